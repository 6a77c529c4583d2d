//! Sets up a limiter over a store.

use std::time::Duration;

use super::{
    super::{RateLimitBuilder, Store},
    SharedRateLimitLayer, SharedRateLimitSettings,
};
use crate::{ConfigError, telemetry::Name};

/// Sets up a rate limiter over a store; see [`SharedRateLimitSettings`] for what each setting means. Nothing is checked
/// before [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct SharedRateLimitBuilder<St> {
    name: Name,
    store: St,
    settings: SharedRateLimitSettings,
}

impl RateLimitBuilder {
    /// Keeps the count in a store that several processes share: the limiters of the same name share one limit.
    /// `processes` is how many there are, as far as is known: each keeps to its part of the limit while the store is
    /// away.
    pub fn store<St: Store>(self, store: St, processes: u32) -> SharedRateLimitBuilder<St> {
        SharedRateLimitBuilder {
            name: self.name,
            store,
            settings: SharedRateLimitSettings::new(self.settings, processes),
        }
    }
}

impl<St: Store> SharedRateLimitBuilder<St> {
    /// How long a decision of the store may take, before the store is away. Default: 50 ms.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// How often a call asks a store that is away. Default: 1 s.
    pub fn probe_interval(mut self, interval: Duration) -> Self {
        self.settings.probe_interval = interval;
        self
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<SharedRateLimitLayer<St>, ConfigError> {
        self.settings.check(&self.name)?;
        Ok(SharedRateLimitLayer::new(self.name, self.store, self.settings))
    }
}
