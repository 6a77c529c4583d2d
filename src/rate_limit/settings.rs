//! What can be set on a rate limiter, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a rate limiter. Given through the [builder](super::RateLimitBuilder), changed in place through
/// [`RateLimitHandle::change`](super::RateLimitHandle::change).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitSettings {
    /// How many calls are let through in a period; at least 1.
    pub limit: u32,
    /// The period; 1 µs to 1 day.
    pub period: Duration,
    /// How many calls may come at once after a pause (smooth mode). Default: a tenth of the limit, at least 1. At
    /// least 1, at most 1,000,000,000.
    pub burst: u32,
    /// The longest that a call waits for its turn, if its deadline is not earlier. Default: zero, it is refused.
    pub max_wait: Duration,
    /// How many calls may wait (smooth mode). Default 1,024; at most 1,000,000.
    pub max_waiting: u32,
    /// How calls are spread; cannot be changed later. Default: smooth.
    pub mode: Mode,
}

/// How a rate limiter spreads calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// One call every `period / limit`, and a burst after a pause: at most `limit + burst` in any period. (GCRA, the
    /// generic cell rate algorithm of ITU-T I.371.)
    #[default]
    Smooth,
    /// Fixed periods from the creation on, `limit` calls in each, reserved ahead as long as the wait allows: how
    /// Resilience4j does it. Up to twice the limit around the end of a period.
    Cycles,
}

impl RateLimitSettings {
    /// The defaults for `limit` calls per `period`.
    pub const fn new(limit: u32, period: Duration) -> Self {
        let tenth = limit / 10;
        Self {
            limit,
            period,
            burst: if tenth == 0 { 1 } else { tenth },
            max_wait: Duration::ZERO,
            max_waiting: 1024,
            mode: Mode::Smooth,
        }
    }

    /// Checks the settings of the limiter called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        const MICROSECOND: Duration = Duration::from_micros(1);
        const DAY: Duration = Duration::from_secs(86_400);
        let check = Check::of(component);
        check.that(self.limit > 0, "limit", self.limit, "at least 1")?;
        check.that((MICROSECOND..=DAY).contains(&self.period), "period", self.period, "1 µs to 1 day")?;
        check.that((1..=1_000_000_000).contains(&self.burst), "burst", self.burst, "1 to 1,000,000,000")?;
        check.that(self.max_waiting <= 1_000_000, "max_waiting", self.max_waiting, "at most 1,000,000")
    }
}
