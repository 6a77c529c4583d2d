//! What can be set on load shedding, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of load shedding. Given through the [builder](super::ShedBuilder), changed in place through
/// [`ShedHandle::change`](super::ShedHandle::change).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShedSettings {
    /// How many calls may run at once. Default 25; 1 to 2,147,483,647.
    pub max_concurrent: u32,
    /// How many more may wait for a place. Default 1,000, which is what comes in an `interval` at 10,000 calls a second;
    /// at most 1,000,000. 0: a call that finds no place is refused.
    pub max_waiting: u32,
    /// How long a call may wait while a queue stands. Default 20 ms; over 0, at most `interval`.
    pub target: Duration,
    /// How long a call may wait otherwise, and how long a queue must last to be one that stands. Default 100 ms, over 0.
    pub interval: Duration,
    /// While a queue stands, whoever came last is served first. Default: yes. Otherwise whoever came first, always.
    pub adaptive_lifo: bool,
}

impl Default for ShedSettings {
    fn default() -> Self {
        Self {
            max_concurrent: 25,
            max_waiting: 1000,
            target: Duration::from_millis(20),
            interval: Duration::from_millis(100),
            adaptive_lifo: true,
        }
    }
}

impl ShedSettings {
    /// Checks the settings of the layer called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        check.that(
            (1..=u32::MAX >> 1).contains(&self.max_concurrent),
            "max_concurrent",
            self.max_concurrent,
            "1 to 2,147,483,647",
        )?;
        check.that(self.max_waiting <= 1_000_000, "max_waiting", self.max_waiting, "at most 1,000,000")?;
        check.positive("interval", self.interval)?;
        let fits = !self.target.is_zero() && self.target <= self.interval;
        check.that(fits, "target", self.target, "over 0, at most `interval`")
    }
}
