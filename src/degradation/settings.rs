//! What can be set on a degradation, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a degradation. Given through the [builder](super::DegradationBuilder), changed in place through
/// [`Degradation::change`](super::Degradation::change).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DegradationSettings {
    /// The level rises while the pressure is so high or higher. Default 0.8; over 0, at most 1.
    pub rise_at: f64,
    /// It rises by one after so long, and by one more each time that it has been so long again. Default 1 s.
    pub rise_after: Duration,
    /// The level falls while the pressure is under this. Default 0.5; over 0 and under `rise_at`.
    pub fall_at: f64,
    /// It falls by one after so long, and by one more each time that it has been so long again. Default 5 s, over 0.
    pub fall_after: Duration,
    /// The pressure is read at most so often. Default 100 ms; 1 ms or more.
    pub every: Duration,
}

impl Default for DegradationSettings {
    fn default() -> Self {
        Self {
            rise_at: 0.8,
            rise_after: Duration::from_secs(1),
            fall_at: 0.5,
            fall_after: Duration::from_secs(5),
            every: Duration::from_millis(100),
        }
    }
}

impl DegradationSettings {
    /// Checks the settings of the degradation called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        check.rate("rise_at", self.rise_at)?;
        let under = self.fall_at > 0.0 && self.fall_at < self.rise_at;
        check.that(under, "fall_at", self.fall_at, "over 0, under `rise_at`")?;
        check.positive("fall_after", self.fall_after)?;
        check.that(self.every >= Duration::from_millis(1), "every", self.every, "1 ms or more")
    }
}
