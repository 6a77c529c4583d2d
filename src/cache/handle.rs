//! Reads a cache, changes it, and throws answers out.

use std::{fmt, hash::Hash, sync::Arc, time::Duration};

use super::{CacheSettings, layer::Shared};
use crate::{
    ConfigError, RejectedKind, Verdict,
    telemetry::{Events, Name},
};

/// A handle of one cache. Cheap to clone; keeps its answers alive.
pub struct CacheHandle<K, Res> {
    pub(super) shared: Arc<Shared<K, Res>>,
}

/// An event of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheEvent {
    /// A stale answer was given at once, while it is being renewed.
    GivenWhileRevalidating {
        /// How old it was.
        age: Duration,
    },
    /// A layer below had ended the call; an answer from before was given.
    GivenForRejection {
        /// What the layer said.
        kind: RejectedKind,
        /// How old the answer was.
        age: Duration,
    },
    /// The service had failed; an answer from before was given.
    GivenForVerdict {
        /// What the outcome meant.
        verdict: Verdict,
        /// How old the answer was.
        age: Duration,
    },
    /// An answer could not be renewed in the background.
    RevalidationFailed,
    /// Everything was thrown out.
    Cleared,
    /// The settings were changed while running.
    SettingsChanged,
}

/// What a cache looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheSnapshot {
    /// Answers that are stored.
    pub entries: u64,
    /// Calls that were given a fresh answer, since the cache was made.
    pub hits: u64,
    /// Calls that went to the service.
    pub misses: u64,
    /// Calls that were given a stale answer while it was renewed.
    pub stale_while_revalidate: u64,
    /// Calls that failed or were refused, and were given an answer from before.
    pub stale_if_error: u64,
    /// Answers that were stored.
    pub stored: u64,
    /// Renewals begun in the background.
    pub revalidations: u64,
    /// Those of them that brought no answer.
    pub revalidations_failed: u64,
}

impl<K, Res> CacheHandle<K, Res>
where
    K: Eq + Hash + Send + Sync + 'static,
    Res: Send + Sync + 'static,
{
    /// The name of the cache.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// Counts at this moment.
    pub fn snapshot(&self) -> CacheSnapshot {
        let counts = self.shared.counts.read();
        CacheSnapshot { entries: self.shared.store.len(), ..counts }
    }

    /// Throws out the answer for `key`. One that is on its way is not stored.
    pub fn invalidate(&self, key: &K) {
        self.shared.store.throw_out(key);
    }

    /// Throws out everything, and what is on its way.
    pub fn clear(&self) {
        self.shared.store.clear();
        self.shared.events.emit(|| CacheEvent::Cleared);
    }

    /// The settings in force.
    pub fn settings(&self) -> CacheSettings {
        **self.shared.settings.get()
    }

    /// Changes settings in place, at once: stored answers are judged by the new ones. Of two concurrent changes the later
    /// one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut CacheSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        self.shared.check(&settings)?;
        self.shared.settings.set(settings);
        self.shared.events.emit(|| CacheEvent::SettingsChanged);
        Ok(())
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<CacheEvent> {
        self.shared.events.subscribe()
    }
}

impl<K, Res> Clone for CacheHandle<K, Res> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K, Res> fmt::Debug for CacheHandle<K, Res> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheHandle").field("shared", &self.shared).finish()
    }
}
