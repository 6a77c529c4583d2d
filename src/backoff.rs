//! How long to wait before which attempt: used between retries and for the open state of a breaker.

use std::{fmt, sync::Arc, time::Duration};

use crate::settings::{Check, ConfigError};

/// At most so many steps of a [`Backoff::steps`] are kept.
const MAX_STEPS: usize = 1024;

/// A sequence of waits: a base, a cap, then jitter; the cap comes first, so no wait is ever over it.
///
/// | kind | base of the n-th wait |
/// |---|---|
/// | [`none`](Self::none) | zero: no timer is touched |
/// | [`fixed`](Self::fixed) | the same each time |
/// | [`exponential`](Self::exponential) | `initial × factor^(n−1)`, factor 2 unless [set](Self::factor) |
/// | [`steps`](Self::steps) | any iterator of durations |
///
/// ```
/// use steadfast::backoff::{Backoff, Jitter};
/// use std::time::Duration;
///
/// let backoff = Backoff::exponential(Duration::from_millis(25)).max(Duration::from_secs(2)).jitter(Jitter::None);
/// let waits: Vec<_> = (1..=4).filter_map(|attempt| backoff.wait(attempt, Duration::ZERO, 0.0)).collect();
/// assert_eq!(waits, [25, 50, 100, 200].map(Duration::from_millis));
/// ```
#[derive(Clone, PartialEq)]
pub struct Backoff {
    base: Base,
    max: Duration,
    /// `None`: what suits the place where it is used.
    jitter: Option<Jitter>,
    unit: Duration,
}

#[derive(Clone, Debug, PartialEq)]
enum Base {
    Fixed(Duration),
    Exponential { initial: Duration, factor: f64 },
    Steps(Arc<[Duration]>),
}

/// How waits are spread, so that callers that failed together do not come back together.
///
/// `base` is the wait before jitter, at most the cap. Sources: Marc Brooker, "Exponential Backoff and Jitter" (AWS
/// Architecture Blog, 2015) for full, equal and decorrelated.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Jitter {
    /// The base itself.
    None,
    /// Between zero and the base.
    Full,
    /// Between half of the base and the base.
    Equal,
    /// Between the first base and three times the previous wait, at most the cap.
    Decorrelated,
    /// The base plus or minus this share of it (0 to 1), at most the cap: the base is kept so far below the cap
    /// that the waits stay spread there too.
    Around(f64),
}

impl Backoff {
    const fn of(base: Base) -> Self {
        Self { base, max: Duration::MAX, jitter: None, unit: Duration::from_nanos(1) }
    }

    /// No wait at all.
    pub const fn none() -> Self {
        Self::fixed(Duration::ZERO)
    }

    /// Always `wait`, without jitter unless [set](Self::jitter).
    pub const fn fixed(wait: Duration) -> Self {
        Self::of(Base::Fixed(wait))
    }

    /// `initial`, then twice the one before, with [jitter](Self::jitter) and without a cap unless [set](Self::max).
    pub const fn exponential(initial: Duration) -> Self {
        Self::of(Base::Exponential { initial, factor: 2.0 })
    }

    /// The waits that `steps` yields (the first 1,024 are kept), without jitter unless [set](Self::jitter).
    ///
    /// A retry ends with the last of them; a breaker goes on with the last one. Also the way to give any function
    /// of the attempt: `Backoff::steps((1..=10).map(wait_of_attempt))`.
    pub fn steps(steps: impl IntoIterator<Item = Duration>) -> Self {
        Self::of(Base::Steps(steps.into_iter().take(MAX_STEPS).collect()))
    }

    /// What each base is multiplied with to give the next. Default 2; range: finite and over 0. Only for
    /// [`exponential`](Self::exponential).
    #[must_use]
    pub const fn factor(mut self, by: f64) -> Self {
        if let Base::Exponential { factor, .. } = &mut self.base {
            *factor = by;
        }
        self
    }

    /// No wait is longer than this. Default: no cap.
    #[must_use]
    pub const fn max(mut self, max: Duration) -> Self {
        self.max = max;
        self
    }

    /// How waits are spread. Default for exponential ones: [`Jitter::Full`] between retries, and `Jitter::Around(0.2)`
    /// for a breaker's open state, which must not be over at once; for all others none.
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = Some(jitter);
        self
    }

    /// Cuts each base to whole milliseconds before the next multiplication, as Resilience4j does. Default:
    /// nanoseconds.
    #[must_use]
    pub const fn whole_millis(mut self) -> Self {
        self.unit = Duration::from_millis(1);
        self
    }

    /// The wait before attempt `n + 1`, with `n` = 1 for the first wait; `None` if there is no n-th wait.
    ///
    /// `previous` is the wait before this one (for [`Jitter::Decorrelated`]), `random` is uniform in `[0, 1)`. Pure:
    /// the same arguments give the same wait. Saturates instead of overflowing.
    pub fn wait(&self, n: u32, previous: Duration, random: f64) -> Option<Duration> {
        self.spread(n, previous, random, Jitter::Full)
    }

    /// The n-th wait, with `jitter` if none has been set and there is something to spread.
    fn spread(&self, n: u32, previous: Duration, random: f64, jitter: Jitter) -> Option<Duration> {
        let max = self.units(self.max);
        let base = self.base(n)?.min(max);
        let jitter = self.jitter.unwrap_or(match self.base {
            Base::Exponential { .. } => jitter,
            Base::Fixed(_) | Base::Steps(_) => Jitter::None,
        });
        let units = match jitter {
            Jitter::None => base,
            Jitter::Full => (random * (base as f64 + 1.0)) as i64,
            Jitter::Equal => base / 2 + (random * (base - base / 2) as f64) as i64,
            Jitter::Decorrelated => {
                let first = self.base(1)?.min(max);
                let top = self.units(previous).max(first).saturating_mul(3);
                first.saturating_add((random * (top - first) as f64) as i64)
            }
            Jitter::Around(share) => {
                let base = base.min((max as f64 / (1.0 + share)) as i64);
                let (low, high) = (base as f64 - share * base as f64, base as f64 + share * base as f64);
                // In this order, rounding included, as Resilience4j computes it.
                (low + random * (high - low + 1.0)).max(1.0) as i64
            }
        };
        Some(self.duration(units.min(max)))
    }

    /// The n-th wait without cap and jitter, in units.
    fn base(&self, n: u32) -> Option<i64> {
        match &self.base {
            _ if n == 0 => None,
            Base::Fixed(wait) => Some(self.units(*wait)),
            Base::Steps(steps) => steps.get(n as usize - 1).map(|step| self.units(*step)),
            Base::Exponential { initial, factor } => {
                let mut base = self.units(*initial);
                for _ in 1..n {
                    // Cut to whole units at each step; the cast saturates.
                    let next = (base as f64 * factor) as i64;
                    if next == base {
                        break;
                    }
                    base = next;
                }
                Some(base)
            }
        }
    }

    /// As [`wait`](Self::wait), but the last of the [`steps`](Self::steps) goes on for ever, and no jitter that was
    /// not asked for makes a wait of nothing.
    pub(crate) fn endless(&self, n: u32, random: f64) -> Duration {
        let n = match &self.base {
            Base::Steps(steps) => n.min(u32::try_from(steps.len()).unwrap_or(u32::MAX)),
            _ => n,
        };
        self.spread(n.max(1), Duration::ZERO, random, Jitter::Around(0.2)).unwrap_or(self.max)
    }

    /// Whether all waits from the n-th on are alike but for jitter, in the sense of [`endless`](Self::endless).
    pub(crate) fn settled(&self, n: u32) -> bool {
        let n = n.max(1);
        match &self.base {
            Base::Fixed(_) => true,
            Base::Steps(steps) => {
                let rest = &steps[steps.len().min(n as usize).saturating_sub(1)..];
                rest.iter().all(|step| *step.min(&self.max) == rest[0].min(self.max))
            }
            Base::Exponential { factor, .. } => {
                let base = self.base(n);
                base == self.base(n.saturating_add(1)) || *factor >= 1.0 && base >= Some(self.units(self.max))
            }
        }
    }

    fn units(&self, wait: Duration) -> i64 {
        i64::try_from(wait.as_nanos() / self.unit.as_nanos()).unwrap_or(i64::MAX)
    }

    fn duration(&self, units: i64) -> Duration {
        let units = u64::try_from(units).unwrap_or(0);
        if self.unit == Duration::from_nanos(1) { Duration::from_nanos(units) } else { Duration::from_millis(units) }
    }

    /// Checks the settings; `endless` if a wait of zero makes no sense where it is used.
    pub(crate) fn check(&self, check: &Check<'_>, field: &'static str, endless: bool) -> Result<(), ConfigError> {
        let whole = |wait: Duration| self.units(wait) > 0;
        if let Base::Exponential { initial, factor } = &self.base {
            let by_factor = format_args!("exponential with a factor of {factor:?}");
            check.that(factor.is_finite() && *factor > 0.0, field, by_factor, "a finite factor over 0")?;
            check.that(
                !endless || *factor >= 1.0,
                field,
                by_factor,
                "a factor of at least 1 (here waits that shrink would end at none at all)",
            )?;
            let from = format_args!("exponential from {initial:?} up to {:?}", self.max);
            check.that(!initial.is_zero(), field, from, "a first wait over 0")?;
            check.that(whole(*initial), field, from, "a first wait of at least 1 ms, as it is cut to whole ones")?;
            check.that(*initial <= self.max, field, from, "a maximum that is not under the first wait")?;
        }
        if let Base::Fixed(wait) = &self.base {
            check.that(!endless || !wait.is_zero(), field, wait, "over 0")?;
            check.that(!endless || whole(*wait), field, wait, "at least 1 ms, as it is cut to whole ones")?;
            let up_to = format_args!("fixed at {wait:?} up to {:?}", self.max);
            check.that(*wait <= self.max, field, up_to, "a maximum that is not under the wait")?;
        }
        if let Base::Steps(steps) = &self.base
            && endless
        {
            check.that(!steps.is_empty(), field, format_args!("without steps"), "at least one step")?;
            let none = steps.iter().position(|step| !whole(*step)).unwrap_or(steps.len());
            let at = format_args!("in steps of which number {} gives no wait", none + 1);
            check.that(none == steps.len(), field, at, "steps over 0")?;
        }
        let spread = format_args!("spread by {:?}", self.jitter.unwrap_or(Jitter::None));
        if let Some(Jitter::Around(share)) = self.jitter {
            check.that((0.0..=1.0).contains(&share), field, spread, "jitter around the wait by 0 to 1 of it")?;
        }
        check.that(!endless || whole(self.max), field, format_args!("up to {:?}", self.max), "a maximum over 0")?;
        check.that(
            !endless || !matches!(self.jitter, Some(Jitter::Full | Jitter::Decorrelated)),
            field,
            spread,
            "no, equal or proportional jitter (here the others could give no wait at all)",
        )
    }
}

impl fmt::Debug for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = f.debug_struct("Backoff");
        all.field("base", &self.base).field("max", &self.max);
        match (self.jitter, &self.base) {
            // There is one; which, is a matter of where it is used.
            (None, Base::Exponential { .. }) => all.field("jitter", &format_args!("default")),
            _ => all.field("jitter", &self.jitter),
        };
        all.field("unit", &self.unit).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn no_wait_is_over_the_cap_whatever_the_jitter_and_not_all_are_at_it() {
        for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::Around(0.2)] {
            let backoff = Backoff::exponential(25 * MS).max(2000 * MS).jitter(jitter);
            let mut previous = Duration::ZERO;
            let mut at_cap = 0;
            for n in 1..1000 {
                let wait = backoff.wait(n, previous, f64::from(n * 7919 % 1000) / 1000.0).unwrap();
                assert!(wait <= 2000 * MS, "{jitter:?} {n} {wait:?}");
                at_cap += u32::from(wait == 2000 * MS);
                previous = wait;
            }
            assert!(at_cap < 500, "{jitter:?} is at the cap {at_cap} times of 999");
        }
    }

    #[test]
    fn extremes_saturate() {
        let backoff = Backoff::exponential(Duration::MAX).factor(1e300).jitter(Jitter::None);
        assert!(backoff.wait(u32::MAX, Duration::MAX, 0.999).unwrap() > Duration::from_secs(1 << 33));
        let decorrelated = Backoff::exponential(Duration::MAX).jitter(Jitter::Decorrelated);
        decorrelated.wait(u32::MAX, Duration::MAX, 0.999).unwrap();
    }

    #[test]
    fn waits_that_are_alike_for_a_while_have_not_settled() {
        let steps = Backoff::steps([MS, MS, 2 * MS, 2 * MS, 2 * MS]);
        assert_eq!([1, 2, 3, 4, 5, 9].map(|n| steps.settled(n)), [false, false, true, true, true, true]);
        let growing = Backoff::exponential(MS).max(4 * MS).jitter(Jitter::None);
        assert_eq!([1, 2, 3, 9].map(|n| growing.settled(n)), [false, false, true, true]);
        let decaying = Backoff::exponential(90 * MS).factor(0.5).max(20 * MS).jitter(Jitter::None).whole_millis();
        assert_eq!([1, 2, 5, 8, 9].map(|n| decaying.settled(n)), [false, false, false, true, true]);
        assert!(Backoff::fixed(MS).settled(1) && Backoff::steps([]).settled(1));
    }

    #[test]
    fn what_is_printed_of_jitter_is_what_is_done() {
        let printed = |backoff: Backoff| format!("{backoff:?}");
        assert!(printed(Backoff::exponential(MS)).contains("jitter: default"));
        assert!(printed(Backoff::exponential(MS).jitter(Jitter::None)).contains("jitter: Some(None)"));
        assert!(printed(Backoff::exponential(MS).jitter(Jitter::Around(0.2))).contains("jitter: Some(Around(0.2))"));
        assert!(printed(Backoff::fixed(MS)).contains("jitter: None"));
        assert!(printed(Backoff::steps([MS])).contains("jitter: None"));
    }

    #[test]
    fn steps_end_for_a_retry_and_go_on_for_a_breaker() {
        let backoff = Backoff::steps([MS, 2 * MS]);
        assert_eq!(backoff.wait(2, Duration::ZERO, 0.5), Some(2 * MS));
        assert_eq!(backoff.wait(3, Duration::ZERO, 0.5), None);
        assert_eq!(backoff.endless(3, 0.5), 2 * MS);
    }
}
