//! What can be set on a retry, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    backoff::{Backoff, Jitter},
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a retry. Given through the [builder](super::RetryBuilder), changed in place through
/// [`RetryHandle::change`](super::RetryHandle::change).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetrySettings {
    /// How many attempts a call has in all, the first included, over all attempt engines of its stack. Default 3, at
    /// least 1 (no retry).
    pub max_attempts: u32,
    /// How long to wait between attempts. Default: 25 ms × 2 up to 2 s, full jitter.
    pub backoff: Backoff,
    /// The longest that a wait asked for by the service (`Retry-After`) or by a refusing layer is obeyed. Default 10 s,
    /// over 0.
    pub max_retry_after: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            backoff: Backoff::exponential(Duration::from_millis(25)).max(Duration::from_secs(2)).jitter(Jitter::Full),
            max_retry_after: Duration::from_secs(10),
        }
    }
}

impl RetrySettings {
    /// Checks the settings of the retry called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        check.that(self.max_attempts > 0, "max_attempts", self.max_attempts, "at least 1")?;
        check.positive("max_retry_after", self.max_retry_after)?;
        self.backoff.check(&check, "backoff", false)
    }
}
