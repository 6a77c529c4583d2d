//! State per key (host, tenant), bounded: when there are too many keys, those least used are forgotten. And the settings
//! that new states are made with, which change together with the states there are.

use std::{
    convert::Infallible,
    fmt::{self, Display},
    hash::Hash,
    sync::Arc,
};

use quick_cache::{DefaultHashBuilder, Lifecycle, UnitWeighter, sync::Cache};

use crate::{ConfigError, sync::Mutex, telemetry::Name};

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

    /// The state of `key`, made by `make` with the name `of/key` if there is none.
    pub(crate) fn for_key(&self, key: &K, of: &Name, make: impl FnOnce(Name, S) -> V) -> Arc<V>
    where
        K: Display,
    {
        self.states.get(key).unwrap_or_else(|| {
            // Not under the lock: how a key is shown is foreign code.
            let name = Name::from(format!("{of}/{key}"));
            let settings = self.settings.lock();
            let made = || Ok::<_, Infallible>(Arc::new(make(name, settings.clone())));
            let Ok(state) = self.states.get_or_insert_with(key, made);
            state
        })
    }

    /// What new states are made with.
    pub(crate) fn settings(&self) -> S {
        self.settings.lock().clone()
    }

    /// Edits the settings of states to come, if `check` allows it, and has each state there is changed by `each`. The
    /// first error of these, if all else is well.
    pub(crate) fn change(
        &self,
        edit: impl FnOnce(&mut S),
        check: impl FnOnce(&S) -> Result<(), ConfigError>,
        each: impl Fn(Arc<V>) -> Result<(), ConfigError>,
    ) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        check(&settings)?;
        let states: Vec<_> = {
            let mut present = self.settings.lock();
            *present = settings;
            self.states.iter().map(|(_, state)| state).collect()
        };
        let mut outcome = Ok(());
        for state in states {
            outcome = outcome.and(each(state));
        }
        outcome
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
