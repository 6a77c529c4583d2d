//! What can be set on an adaptive limit, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    bulkhead::Order,
    settings::{Check, ConfigError},
    telemetry::Name,
};

const MOST: u32 = 1_000_000;

/// The settings of an adaptive limit. Given through the [builder](super::AdaptiveLimitBuilder), changed in place through
/// [`AdaptiveLimitHandle::change`](super::AdaptiveLimitHandle::change).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdaptiveLimitSettings {
    /// How long who asks waits for an answer, 4 ns or more. All else is measured by it: a window is a quarter of it.
    pub deadline: Duration,
    /// How the limit moves. Default [`Algorithm::Deadline`].
    pub algorithm: Algorithm,
    /// The share of the deadline after which a call counts as slow. Default 0.5; over 0, at most 1.
    pub slow_after: f64,
    /// The limit to begin with, brought to between `min` and `max`. Default 50; 1 to 1,000,000.
    pub initial: u32,
    /// The lowest limit. Default 1; 1 to `max`.
    pub min: u32,
    /// The highest limit. Default 10,000; `min` to 1,000,000.
    pub max: u32,
    /// How many calls more may wait for a place. Default 1,000; at most 1,000,000.
    pub max_waiting: u32,
    /// The share of the deadline that a call waits at most, if its own deadline is not earlier. Default 0.6; over 0, at
    /// most 1.
    pub max_wait: f64,
    /// Who of those that wait is next. Default: who came last.
    pub order: Order,
}

/// How a limit moves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Algorithm {
    /// Down to what the service answers in good time, by Little's law: so many in progress as come back in a slow call's
    /// time. Up by a tenth.
    #[default]
    Deadline,
    /// Additive increase, multiplicative decrease: up by `increase` (over 0), down to `decrease` (over 0, under 1) of what
    /// was in use.
    Aimd {
        /// So many calls more.
        increase: f64,
        /// Down to this share.
        decrease: f64,
    },
}

impl Algorithm {
    /// Additive increase by 1, multiplicative decrease to 0.9: the figures of Netflix's
    /// [concurrency-limits](https://github.com/Netflix/concurrency-limits).
    pub const AIMD: Self = Self::Aimd { increase: 1.0, decrease: 0.9 };
}

impl AdaptiveLimitSettings {
    /// The defaults, for those who wait so long.
    pub const fn new(deadline: Duration) -> Self {
        Self {
            deadline,
            algorithm: Algorithm::Deadline,
            slow_after: 0.5,
            initial: 50,
            min: 1,
            max: 10_000,
            max_waiting: 1_000,
            max_wait: 0.6,
            order: Order::Lifo,
        }
    }

    /// Checks the settings of the limit called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        check.that(self.deadline >= Duration::from_nanos(4), "deadline", self.deadline, "4 ns or more")?;
        if let Algorithm::Aimd { increase, decrease } = self.algorithm {
            let grows = increase > 0.0 && increase <= f64::from(MOST);
            check.that(grows, "increase", increase, "over 0, at most 1,000,000")?;
            check.that(decrease > 0.0 && decrease < 1.0, "decrease", decrease, "over 0, under 1")?;
        }
        check.rate("slow_after", self.slow_after)?;
        check.that((1..=MOST).contains(&self.initial), "initial", self.initial, "1 to 1,000,000")?;
        check.that((1..=MOST).contains(&self.max), "max", self.max, "1 to 1,000,000")?;
        check.that((1..=self.max).contains(&self.min), "min", self.min, "1 to `max`")?;
        check.that(self.max_waiting <= MOST, "max_waiting", self.max_waiting, "at most 1,000,000")?;
        check.rate("max_wait", self.max_wait)
    }

    /// What takes longer is slow.
    pub(super) fn slow(&self) -> Duration {
        share(self.deadline, self.slow_after)
    }

    /// The longest that a call waits for a place.
    pub(super) fn longest_wait(&self) -> Duration {
        share(self.deadline, self.max_wait).max(Duration::from_nanos(1))
    }
}

/// A share of a time; without panicking where rounding goes over the end.
fn share(time: Duration, share: f64) -> Duration {
    Duration::try_from_secs_f64(time.as_secs_f64() * share).unwrap_or(time)
}
