//! State per key (host, tenant), bounded: when there are too many keys, those least used are forgotten.

use std::{convert::Infallible, fmt, hash::Hash, sync::Arc};

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache};

/// A bounded map of shared states.
pub(crate) struct Keyed<K, V> {
    states: Cache<K, Arc<V>, UnitWeighter, DefaultHashBuilder, InUse>,
}

impl<K: Eq + Hash + Clone, V> Keyed<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { states: Cache::with(capacity, capacity as u64, UnitWeighter, DefaultHashBuilder::default(), InUse) }
    }

    /// The state of `key`, made by `make` if there is none.
    pub(crate) fn get_or_insert_with(&self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        let Ok(state) = self.states.get_or_insert_with(key, || Ok::<_, Infallible>(Arc::new(make())));
        state
    }

    pub(crate) fn len(&self) -> usize {
        self.states.len()
    }
}

impl<K, V> fmt::Debug for Keyed<K, V> {
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
