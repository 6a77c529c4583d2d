//! What can be set on a cache, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a cache. Given through the [builder](super::CacheBuilder), changed in place through
/// [`CacheHandle::change`](super::CacheHandle::change). They hold for answers that are stored already, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSettings {
    /// For how long an answer is fresh: given without a call. Zero: the service is always called.
    pub ttl: Duration,
    /// For how long after that it is still given at once, while it is being renewed in the background. Default 0: not at all.
    pub stale_while_revalidate: Duration,
    /// For how long after the `ttl` it is given where the call fails or is refused. Default 0: not at all.
    pub stale_if_error: Duration,
    /// The longest that a renewal in the background takes. Default 10 s, over 0.
    pub revalidate_timeout: Duration,
}

impl CacheSettings {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: Duration::ZERO,
            revalidate_timeout: Duration::from_secs(10),
        }
    }

    /// Checks the settings of the cache called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        let gives = self.ttl.saturating_add(self.stale_while_revalidate).saturating_add(self.stale_if_error);
        check.that(!gives.is_zero(), "ttl", self.ttl, "over 0, or 0 with a time in which what is stale is given")?;
        check.positive("revalidate_timeout", self.revalidate_timeout)
    }
}
