//! Reads a bulkhead, changes it, and takes places in it without a service.

use std::sync::{Arc, atomic::Ordering};

use super::{BulkheadSettings, Permit, layer::Shared};
use crate::{
    ConfigError, Rejected,
    telemetry::{Events, Name},
};

/// A handle of one bulkhead. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct BulkheadHandle {
    pub(super) shared: Arc<Shared>,
}

/// An event of a bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BulkheadEvent {
    /// A call was refused.
    Refused(Refused),
    /// The settings were changed while running.
    SettingsChanged,
}

/// Why a bulkhead refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refused {
    /// No place was free, and the queue (if there is one) was full.
    Full,
    /// The call waited as long as it may.
    WaitedTooLong,
    /// It would not have been served before its deadline.
    Hopeless,
}

impl Refused {
    pub(super) const COUNT: usize = 3;
}

/// What a bulkhead looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// Calls that may run at once.
    pub max_concurrent: u32,
    /// Calls that run; over the limit only while that has just been lowered.
    pub running: u32,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls refused because everything was full, since the bulkhead was made.
    pub refused_full: u64,
    /// Calls refused because they had waited too long.
    pub refused_waited: u64,
    /// Calls refused because their deadline would have come first.
    pub refused_hopeless: u64,
}

impl BulkheadHandle {
    /// The name of the bulkhead.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// Places, queue and counts at this moment.
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let refused = |why: Refused| self.shared.refused[why as usize].load(Ordering::Relaxed);
        BulkheadSnapshot {
            max_concurrent: self.settings().max_concurrent,
            running: self.shared.places.taken(),
            waiting: self.shared.places.waiting(),
            refused_full: refused(Refused::Full),
            refused_waited: refused(Refused::WaitedTooLong),
            refused_hopeless: refused(Refused::Hopeless),
        }
    }

    /// Calls that run.
    pub(crate) fn running(&self) -> u32 {
        self.shared.places.taken()
    }

    /// Takes a place at once, for code without a service.
    ///
    /// # Errors
    /// All places are taken, or others wait for one.
    pub fn try_acquire(&self) -> Result<Permit, Rejected> {
        if self.shared.places.try_take() {
            Ok(Permit::of(Arc::clone(&self.shared)))
        } else {
            Err(self.shared.refuse(Refused::Full))
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> BulkheadSettings {
        **self.shared.settings.get()
    }

    /// Changes settings in place, at once: nobody who runs or waits is put out. Of two concurrent changes the later
    /// one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut BulkheadSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(&self.shared.name)?;
        self.replace(settings)();
        self.shared.events.emit(|| BulkheadEvent::SettingsChanged);
        Ok(())
    }

    /// Other settings, which are known to make sense. What comes back wakes those that are let in by them: to be called
    /// when no lock is held.
    pub(crate) fn replace(&self, settings: BulkheadSettings) -> impl FnOnce() + '_ {
        let now = self.shared.clock.now();
        self.shared.places.change(&settings, now, || self.shared.settings.set(settings));
        move || self.shared.places.hand_out(now)
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<BulkheadEvent> {
        self.shared.events.subscribe()
    }
}
