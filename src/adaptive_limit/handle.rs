//! Reads an adaptive limit and changes it.

use std::sync::Arc;

use super::{AdaptiveLimitSettings, Cause, state::State};
use crate::{
    ConfigError,
    telemetry::{Events, Name},
};

/// A handle of one adaptive limit. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct AdaptiveLimitHandle {
    pub(super) state: Arc<State>,
}

/// An event of an adaptive limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AdaptiveLimitEvent {
    /// The limit has changed.
    LimitChanged {
        /// What it was.
        from: u32,
        /// What it is.
        to: u32,
        /// Why.
        cause: Cause,
    },
    /// The settings were changed while running.
    SettingsChanged,
}

/// What an adaptive limit looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AdaptiveLimitSnapshot {
    /// Calls that may be in progress.
    pub limit: u32,
    /// Calls in progress; over the limit only while that has just been lowered.
    pub running: u32,
    /// Calls that wait for a place.
    pub waiting: usize,
    /// Whether the limit is being lowered: the last window in which enough calls ended was an overload, and is not of long
    /// ago.
    pub cutting: bool,
    /// How often the limit was raised, since it was made.
    pub raised: u64,
    /// How often it was lowered.
    pub lowered: u64,
    /// Calls refused because no place was free, and none to wait in.
    pub refused_full: u64,
    /// Calls refused because they had waited too long.
    pub refused_waited: u64,
    /// Calls refused because their deadline would have come first.
    pub refused_hopeless: u64,
}

impl AdaptiveLimitHandle {
    /// The name of the limit.
    pub fn name(&self) -> &Name {
        self.state.places.name()
    }

    /// How many calls may be in progress now.
    pub fn limit(&self) -> u32 {
        self.state.places.settings().max_concurrent
    }

    /// Whether the limit is being lowered: the service is overloaded, and nothing that can be left out should be sent. Not
    /// while nothing is answered at all, and no longer than two deadlines if no calls end any more: who leaves out all of
    /// them would else do so for ever. A single load (and the clock, while it is), so it may be asked for each call.
    pub fn is_cutting(&self) -> bool {
        self.state.is_cutting()
    }

    /// The limit and counts at this moment.
    pub fn snapshot(&self) -> AdaptiveLimitSnapshot {
        let places = self.state.places.snapshot();
        let [lowered, raised] = self.state.changes();
        AdaptiveLimitSnapshot {
            limit: places.max_concurrent,
            running: places.running,
            waiting: places.waiting,
            cutting: self.is_cutting(),
            raised,
            lowered,
            refused_full: places.refused_full,
            refused_waited: places.refused_waited,
            refused_hopeless: places.refused_hopeless,
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> AdaptiveLimitSettings {
        **self.state.settings.get()
    }

    /// Changes settings in place, at once. The limit stays, brought to between the lowest and the highest; `initial` is for
    /// limits of new keys only. Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut AdaptiveLimitSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(self.name())?;
        self.state.change(settings);
        Ok(())
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<AdaptiveLimitEvent> {
        self.state.events.subscribe()
    }
}
