//! Reads a layer that sheds load, changes it, and takes places in it without a service.

use std::{sync::Arc, time::Duration};

use super::{Permit, ShedSettings, layer::Shared};
use crate::{
    ConfigError, Priority, Rejected,
    telemetry::{Events, Name, Timers},
};

/// A handle of one layer that sheds load. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct ShedHandle {
    pub(super) shared: Arc<Shared>,
}

/// An event of a layer that sheds load: none for each call, but when it begins and when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShedEvent {
    /// The first call was shed.
    OverloadBegan,
    /// No call has been shed for ten intervals.
    OverloadEnded {
        /// How long it lasted, those intervals included.
        lasted: Duration,
        /// Calls that were shed.
        shed: u64,
    },
    /// The settings were changed while running.
    SettingsChanged,
}

/// Why a call did not get a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// As many waited as may. It came last, or made room for one that is more important, or newer, or of a key that has
    /// fewer there.
    Full,
    /// It had waited too long for a queue that stands; or one that is more important had.
    Stood,
    /// Its deadline came while it waited.
    Expired,
    /// Its deadline would have come before its turn.
    Hopeless,
    /// Nobody waited for it any more: its future was dropped. Not shed, and no sign of overload.
    Cancelled,
}

impl Cause {
    pub(super) const COUNT: usize = 5;
    const SHED: [Self; 4] = [Self::Full, Self::Stood, Self::Expired, Self::Hopeless];
}

/// What a layer that sheds load looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShedSnapshot {
    /// Calls that may run at once.
    pub max_concurrent: u32,
    /// Calls that run; over the limit only while that has just been lowered.
    pub running: u32,
    /// Calls that wait.
    pub waiting: usize,
    /// Whether calls are being shed: from the first until none has been for ten intervals.
    pub overloaded: bool,
    /// See [`ShedHandle::pressure`].
    pub pressure: f64,
    waiting_of: [usize; 3],
    counts: [[u64; 3]; Cause::COUNT],
}

impl ShedSnapshot {
    /// Calls that have been shed, since the layer was made.
    pub fn shed(&self) -> u64 {
        Cause::SHED.into_iter().map(|cause| self.ended(cause)).sum()
    }

    /// Calls that have been shed of this priority.
    pub fn shed_of(&self, priority: Priority) -> u64 {
        Cause::SHED.into_iter().map(|cause| self.ended_of(cause, priority)).sum()
    }

    /// Calls that did not get a place for this cause.
    pub fn ended(&self, cause: Cause) -> u64 {
        self.counts[cause as usize].iter().sum()
    }

    /// Calls of this priority that did not get a place for this cause.
    pub fn ended_of(&self, cause: Cause, priority: Priority) -> u64 {
        self.counts[cause as usize][priority as usize]
    }

    /// Calls of this priority that wait.
    pub fn waiting_of(&self, priority: Priority) -> usize {
        self.waiting_of[priority as usize]
    }
}

impl ShedHandle {
    /// The name of the layer.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// Places, line and counts at this moment.
    pub fn snapshot(&self) -> ShedSnapshot {
        let shared = &self.shared;
        let (max_concurrent, running) = (self.settings().max_concurrent, shared.core.taken());
        shared.core.read(shared.clock.now(), &|changes| shared.tell(changes), |line, at| ShedSnapshot {
            max_concurrent,
            running,
            waiting: line.waiting(),
            overloaded: line.overload.is_on(),
            pressure: shared.pressure(line, at),
            waiting_of: [0, 1, 2].map(|priority| line.waiting_of(priority)),
            counts: line.counts,
        })
    }

    /// How much there is to do, for others to do less in time (leave out what is optional, answer from a cache): 0 if
    /// nothing runs; up to 0.5 the share of places taken, while nobody waits; up to 1 how long calls have been waiting, by
    /// the `interval` after which a queue is one that stands; 1 while calls are shed, and for an `interval` after.
    pub fn pressure(&self) -> f64 {
        let shared = &self.shared;
        let now = shared.clock.now();
        shared.core.read(now, &|changes| shared.tell(changes), |line, at| shared.pressure(line, at))
    }

    /// Takes a place at once, for code without a service.
    ///
    /// # Errors
    /// All places are taken, or others wait for one.
    pub fn try_acquire(&self) -> Result<Permit, Rejected> {
        if self.shared.core.try_take() {
            Ok(Permit::of(Arc::clone(&self.shared), None))
        } else {
            Err(self.shared.refuse_at_once())
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> ShedSettings {
        **self.shared.settings.get()
    }

    /// Changes settings in place, at once: nobody who runs is put out, and who waits does so by the new ones. Of two
    /// concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut ShedSettings)) -> Result<(), ConfigError> {
        let shared = &self.shared;
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(&shared.name)?;
        let publish = || shared.settings.set(settings);
        shared.core.change(&settings, shared.clock.now(), publish, &|changes| shared.tell(changes));
        shared.events.emit(|| ShedEvent::SettingsChanged);
        Ok(())
    }

    /// Events from now on. While a subscriber waits for one, the end of an overload is heard of without traffic.
    pub fn subscribe(&self) -> Events<ShedEvent> {
        let timers: std::sync::Weak<dyn Timers> = Arc::<Shared>::downgrade(&self.shared);
        self.shared.events.subscribe().driving(timers)
    }
}
