//! Reads a limiter over a store, changes it, and takes turns without a service.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use super::{
    super::{RateLimitEvent, Store},
    Acquire, SharedRateLimitSettings,
    layer::State,
};
use crate::{
    ConfigError,
    telemetry::{Events, Name},
};

/// A handle of one limiter over a store. Cheap to clone; keeps its state alive.
pub struct SharedRateLimitHandle<St> {
    pub(super) state: Arc<State<St>>,
}

/// What a limiter over a store looks like at one moment, in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedRateLimitSnapshot {
    /// Whether the store is away, and this process keeps to its share.
    pub store_away: bool,
    /// How often the store went away.
    pub went_away: u64,
    /// How often it came back.
    pub came_back: u64,
    /// Calls that kept to the local share.
    pub local_calls: u64,
    /// Calls that wait for their turn, or for the store to say when that is.
    pub waiting: usize,
    /// Calls refused, by the store or by the share.
    pub refused: u64,
}

impl<St: Store> SharedRateLimitHandle<St> {
    /// The name of the limiter, under which the store counts.
    pub fn name(&self) -> &Name {
        &self.state.local.name
    }

    /// Takes a turn, for code without a service: waits for it as a call would.
    pub fn acquire(&self) -> Acquire<St> {
        Acquire::new(Arc::clone(&self.state))
    }

    /// The store's presence, and the counts of this process.
    pub fn snapshot(&self) -> SharedRateLimitSnapshot {
        let (store_away, (went_away, came_back)) = self.state.presence();
        let (local_waiting, _) = self.state.local.core.look(self.state.now());
        SharedRateLimitSnapshot {
            store_away,
            went_away,
            came_back,
            local_calls: self.state.local_calls.load(Ordering::Relaxed),
            waiting: self.state.waiting.count() + local_waiting,
            refused: self.state.local.refused.load(Ordering::Relaxed),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> SharedRateLimitSettings {
        **self.state.settings.get()
    }

    /// Changes settings in place, in this process: give all the same. What has been used up stays used up. Turns that
    /// the store has reserved stay as they are. Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut SharedRateLimitSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(self.name())?;
        // Both in one step: of two concurrent changes the same one is the later for the store and for the share.
        let publish = || self.state.settings.set(settings);
        self.state.local.core.change_and(self.state.now(), settings.share(), publish);
        self.state.local.events.emit(|| RateLimitEvent::SettingsChanged);
        Ok(())
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<RateLimitEvent> {
        self.state.local.events.subscribe()
    }
}

impl<St> Clone for SharedRateLimitHandle<St> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<St> fmt::Debug for SharedRateLimitHandle<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimitHandle").field("name", &self.state.local.name).finish_non_exhaustive()
    }
}
