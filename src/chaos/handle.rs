//! Reads chaos, changes it, and switches it on and off.

use std::sync::{Arc, atomic::Ordering};

use super::{ChaosSettings, layer::Shared};
use crate::{
    ConfigError,
    telemetry::{Events, Name},
};

/// A handle of chaos. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct ChaosHandle {
    pub(super) shared: Arc<Shared>,
}

/// An event of chaos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChaosEvent {
    /// A call was hit.
    Injected(Injected),
    /// The settings were changed while running.
    SettingsChanged,
}

/// What was done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Injected {
    /// It was delayed.
    Delay,
    /// It failed, without reaching the service.
    Failure,
    /// It is never answered.
    Hang,
    /// It panicked.
    Panic,
}

impl Injected {
    pub(super) const COUNT: usize = 4;
}

/// What chaos has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosSnapshot {
    /// Calls that were delayed.
    pub delays: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Calls that are never answered.
    pub hangs: u64,
    /// Calls that panicked.
    pub panics: u64,
}

impl ChaosHandle {
    /// The name of it.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// What it has done so far.
    pub fn snapshot(&self) -> ChaosSnapshot {
        let injected = |what: Injected| self.shared.injected[what as usize].load(Ordering::Relaxed);
        ChaosSnapshot {
            delays: injected(Injected::Delay),
            failures: injected(Injected::Failure),
            hangs: injected(Injected::Hang),
            panics: injected(Injected::Panic),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> ChaosSettings {
        **self.shared.settings.get()
    }

    /// Switches it off: from the next call on, all pass. What hangs goes on hanging.
    pub fn disable(&self) {
        self.publish(ChaosSettings { enabled: false, ..self.settings() });
    }

    /// Switches it on.
    pub fn enable(&self) {
        self.publish(ChaosSettings { enabled: true, ..self.settings() });
    }

    /// Changes settings in place, from the next call on. Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut ChaosSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        self.shared.check(&settings)?;
        self.publish(settings);
        Ok(())
    }

    fn publish(&self, settings: ChaosSettings) {
        self.shared.settings.set(settings);
        self.shared.events.emit(|| ChaosEvent::SettingsChanged);
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<ChaosEvent> {
        self.shared.events.subscribe()
    }
}
