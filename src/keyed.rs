//! State per key (host, tenant), bounded: when there are too many keys, those least used are forgotten. And the settings
//! that new states are made with, which change together with the states there are.

use std::{convert::Infallible, fmt, hash::Hash, sync::Arc};

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache};

use crate::sync::Mutex;

/// A bounded map of shared states.
pub(crate) struct Keyed<K, V, S> {
    states: Cache<K, Arc<V>, UnitWeighter, DefaultHashBuilder, InUse>,
    /// What new states are made with. Held while one is inserted, so that none is missed by a change.
    settings: Mutex<S>,
}

impl<K: Eq + Hash + Clone, V, S: Clone> Keyed<K, V, S> {
    pub(crate) fn new(capacity: usize, settings: S) -> Self {
        let states = Cache::with(capacity, capacity as u64, UnitWeighter, DefaultHashBuilder::default(), InUse);
        Self { states, settings: Mutex::new(settings) }
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.states.get(key)
    }

    /// The state of `key`, made by `make` if there is none.
    pub(crate) fn get_or_make(&self, key: &K, make: impl FnOnce(S) -> V) -> Arc<V> {
        let settings = self.settings.lock();
        let Ok(state) = self.states.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::new(make(settings.clone()))));
        state
    }

    /// What new states are made with.
    pub(crate) fn settings(&self) -> S {
        self.settings.lock().clone()
    }

    /// Other settings for states to come. The states that there are, which are the caller's to change.
    pub(crate) fn change(&self, settings: S) -> Vec<Arc<V>> {
        let mut present = self.settings.lock();
        *present = settings;
        self.states.iter().map(|(_, state)| state).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }
}

impl<K, V, S> fmt::Debug for Keyed<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed").finish_non_exhaustive()
    }
}

/// Keeps a state that somebody else holds: forgetting it would give its key a second one.
#[derive(Clone)]
struct InUse;

impl<K, V> Lifecycle<K, Arc<V>> for InUse {
    type RequestState = ();

    fn is_pinned(&self, _key: &K, state: &Arc<V>) -> bool {
        Arc::strong_count(state) > 1
    }
}
