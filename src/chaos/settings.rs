//! What can be set on chaos, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of chaos. Given through the [builder](super::ChaosBuilder), changed in place through
/// [`ChaosHandle::change`](super::ChaosHandle::change). Shares are from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ChaosSettings {
    /// Whether anything is done at all. Default: yes.
    pub enabled: bool,
    /// The share of calls that may be hit; the others pass as if there were no chaos. Default: 1, all.
    pub traffic: f64,
    /// Of those, the share that fails without reaching the service. Default: 0.
    pub failures: f64,
    /// The share that is never answered, and never reaches the service. Default: 0.
    pub hangs: f64,
    /// The share that panics when it is polled. Default: 0.
    pub panics: f64,
    /// The share that is delayed before anything else becomes of it. Default: 0.
    pub delays: f64,
    /// The shortest delay. Default: zero.
    pub shortest_delay: Duration,
    /// The longest delay, up to 1 hour; in between all are equally likely. Default: zero.
    pub longest_delay: Duration,
}

impl Default for ChaosSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            traffic: 1.0,
            failures: 0.0,
            hangs: 0.0,
            panics: 0.0,
            delays: 0.0,
            shortest_delay: Duration::ZERO,
            longest_delay: Duration::ZERO,
        }
    }
}

impl ChaosSettings {
    /// Checks the settings of the chaos called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        const HOUR: Duration = Duration::from_secs(3600);
        let check = Check::of(component);
        let shares = [
            ("traffic", self.traffic),
            ("failures", self.failures),
            ("hangs", self.hangs),
            ("panics", self.panics),
            ("delays", self.delays),
        ];
        for (field, share) in shares {
            check.that((0.0..=1.0).contains(&share), field, share, "0 to 1")?;
        }
        let ends = self.failures + self.hangs + self.panics;
        check.that(ends <= 1.0, "failures", ends, "at most 1, with hangs and panics")?;
        check.that(self.longest_delay <= HOUR, "longest_delay", self.longest_delay, "up to 1 hour")?;
        let ordered = self.shortest_delay <= self.longest_delay;
        check.that(ordered, "shortest_delay", self.shortest_delay, "at most the longest delay")
    }
}
