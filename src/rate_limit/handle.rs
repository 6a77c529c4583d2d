//! Reads a rate limiter, changes it, and takes turns without a service.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{RateLimitSettings, layer::Shared};
use crate::{
    ConfigError, Rejected,
    settings::Check,
    telemetry::{Events, Name},
};

/// A handle of one rate limiter. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct RateLimitHandle {
    pub(super) shared: Arc<Shared>,
}

/// An event of a rate limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RateLimitEvent {
    /// A call was refused; after this time it would have been let through, had nobody else come.
    Refused {
        /// From the refusal on.
        retry_after: Duration,
    },
    /// The settings were changed while running.
    SettingsChanged,
    /// The store of a shared limiter does not answer: from now on the local share.
    StoreAway {
        /// What kind of failure it was.
        why: super::StoreFailure,
    },
    /// The store of a shared limiter answers again.
    StoreBack {
        /// How long the local share was kept to.
        away_for: Duration,
    },
}

/// What a rate limiter looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimitSnapshot {
    /// Calls that would be let through now, one after the other.
    pub available: u64,
    /// Calls that wait in the queue.
    pub waiting: usize,
    /// Calls refused since the limiter was made.
    pub refused: u64,
}

impl RateLimitHandle {
    /// The name of the limiter.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// Turns, queue and counts at this moment.
    pub fn snapshot(&self) -> RateLimitSnapshot {
        let (waiting, available) = self.shared.core.look(self.shared.clock.now());
        RateLimitSnapshot { available, waiting, refused: self.shared.refused.load(Ordering::Relaxed) }
    }

    /// Takes a turn at once, for code without a service.
    ///
    /// # Errors
    /// It is too early, or others wait; the rejection says when there will be a turn.
    pub fn try_acquire(&self) -> Result<(), Rejected> {
        let now = self.shared.clock.now();
        self.shared.core.try_take(now).map_err(|at| self.shared.refuse(now, at))
    }

    /// The settings in force.
    pub fn settings(&self) -> RateLimitSettings {
        self.shared.core.settings()
    }

    /// Changes settings in place: what has been used up stays used up, and who waits goes on waiting, at the new rate.
    /// A call whose turn has become later than it may wait is refused, at the latest when its time is over. With another
    /// period in the mode `Cycles` the count begins anew. Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense, or another mode, which is for a new limiter; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut RateLimitSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        let mode = settings.mode;
        edit(&mut settings);
        settings.check(&self.shared.name)?;
        let check = Check::of(&self.shared.name);
        check.that(settings.mode == mode, "mode", settings.mode, "the mode that it was made with")?;
        self.shared.core.change(self.shared.clock.now(), settings);
        self.shared.events.emit(|| RateLimitEvent::SettingsChanged);
        Ok(())
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<RateLimitEvent> {
        self.shared.events.subscribe()
    }
}
