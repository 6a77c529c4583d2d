//! Sets up a limiter over a store.

use std::{hash::Hash, sync::Arc, time::Duration};

use super::{
    super::{RateLimitBuilder, Store},
    SharedRateLimitLayer, SharedRateLimitSettings, SharedRateLimits,
    layer::State,
};
use crate::{ConfigError, settings::Check, telemetry::Name};

/// What a limiter is called that nobody has named.
const UNNAMED: &str = "rate_limit";

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
    /// Keeps the count in a store that several processes share: the limiters of the same name share one limit, so it
    /// needs a [name](Self::name).
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
    /// How long the store may be waited for in vain, before it is away: by one call, or by several that give up earlier.
    /// Default: 50 ms.
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
    /// The first setting that makes no sense, with what is allowed; or no name: limiters of the same name share one
    /// count, and so would all that have none.
    pub fn build(self) -> Result<SharedRateLimitLayer<St>, ConfigError> {
        self.check()?;
        let state = State::new(self.name, Arc::new(self.store), self.settings);
        Ok(SharedRateLimitLayer { state: Arc::new(state) })
    }

    /// Checks the settings and makes a set of limiters, one for each key, of which at most `capacity` (at least 1) are
    /// held that nobody uses.
    ///
    /// # Errors
    /// As for [`build`](Self::build).
    pub fn build_keyed<K: Eq + Hash + Clone>(self, capacity: usize) -> Result<SharedRateLimits<K, St>, ConfigError> {
        self.check()?;
        Check::of(&self.name).that(capacity > 0, "capacity", capacity, "at least 1")?;
        Ok(SharedRateLimits::new(self.name, self.store, self.settings, capacity))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let named = self.name.as_str() != UNNAMED;
        let allowed = "one of its own, set by `name(..)`: limiters of the same name share one count";
        Check::of(&self.name).that(named, "name", &self.name, allowed)?;
        self.settings.check(&self.name)
    }
}
