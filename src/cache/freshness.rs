//! The decision: what an answer of some age is good for. Pure.

use std::time::Duration;

use super::CacheSettings;

/// What a stored answer is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GoodFor {
    /// To be given without a call.
    All,
    /// To be given at once, while it is renewed.
    WhileRevalidating,
    /// For nothing but an error, if for that: call.
    Call,
}

impl GoodFor {
    pub(super) fn at(age: Duration, settings: &CacheSettings) -> Self {
        if age < settings.ttl {
            Self::All
        } else if age < settings.ttl.saturating_add(settings.stale_while_revalidate) {
            Self::WhileRevalidating
        } else {
            Self::Call
        }
    }
}

/// Whether an answer of this age may be given instead of a failure.
pub(super) fn may_replace_failure(age: Duration, settings: &CacheSettings) -> bool {
    !settings.stale_if_error.is_zero() && age < settings.ttl.saturating_add(settings.stale_if_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_up_to_but_not_at_the_end_of_each_time() {
        let ms = Duration::from_millis;
        let settings =
            CacheSettings { stale_while_revalidate: ms(10), stale_if_error: ms(50), ..CacheSettings::new(ms(100)) };
        for (age, good_for, replaces) in [
            (0, GoodFor::All, true),
            (99, GoodFor::All, true),
            (100, GoodFor::WhileRevalidating, true),
            (109, GoodFor::WhileRevalidating, true),
            (110, GoodFor::Call, true),
            (149, GoodFor::Call, true),
            (150, GoodFor::Call, false),
        ] {
            assert_eq!(
                (GoodFor::at(ms(age), &settings), may_replace_failure(ms(age), &settings)),
                (good_for, replaces),
                "{age}"
            );
        }
        let off = CacheSettings::new(ms(100));
        assert_eq!((GoodFor::at(ms(100), &off), may_replace_failure(ms(1), &off)), (GoodFor::Call, false));
        let always = CacheSettings { stale_if_error: Duration::MAX, ..CacheSettings::new(Duration::ZERO) };
        assert_eq!((GoodFor::at(ms(0), &always), may_replace_failure(ms(u64::MAX), &always)), (GoodFor::Call, true));
    }
}
