//! What can be set on a limiter over a store, its defaults, and what is refused.

use std::time::Duration;

use super::super::{Mode, RateLimitSettings};
use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a limiter over a store. Given through the [builder](super::SharedRateLimitBuilder), changed in place
/// through [`SharedRateLimitHandle::change`](super::SharedRateLimitHandle::change).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedRateLimitSettings {
    /// The limit of all processes together; `max_waiting` is that of one.
    pub rate: RateLimitSettings,
    /// How many processes share the limit: each keeps to `limit / processes` while the store is away. 1 to 1,000,000.
    pub processes: u32,
    /// How long the store may be waited for in vain, before it is away; 1 ms to 1 minute. Default: 50 ms.
    pub store_timeout: Duration,
    /// How often a call asks a store that is away; 1 ms to 1 day. Default: 1 s.
    pub probe_interval: Duration,
}

impl SharedRateLimitSettings {
    pub(super) const fn new(rate: RateLimitSettings, processes: u32) -> Self {
        Self { rate, processes, store_timeout: Duration::from_millis(50), probe_interval: Duration::from_secs(1) }
    }

    /// Checks the settings of the limiter called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        const MILLISECOND: Duration = Duration::from_millis(1);
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(86_400);
        self.rate.check(component)?;
        let check = Check::of(component);
        check.that(self.rate.mode == Mode::Smooth, "mode", self.rate.mode, "Smooth, over a store")?;
        check.that((1..=1_000_000).contains(&self.processes), "processes", self.processes, "1 to 1,000,000")?;
        let timeout = (MILLISECOND..=MINUTE).contains(&self.store_timeout);
        check.that(timeout, "store_timeout", self.store_timeout, "1 ms to 1 minute")?;
        let interval = (MILLISECOND..=DAY).contains(&self.probe_interval);
        check.that(interval, "probe_interval", self.probe_interval, "1 ms to 1 day")
    }

    /// The share of one process. The period grows instead of the limit shrinking, so there is nothing to round.
    pub(super) fn share(&self) -> RateLimitSettings {
        RateLimitSettings {
            period: self.rate.period.saturating_mul(self.processes),
            burst: (self.rate.burst / self.processes).max(1),
            ..self.rate
        }
    }
}
