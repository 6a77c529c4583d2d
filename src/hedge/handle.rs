//! Reads the hedge of a retry and changes it.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{HedgeSettings, core::Core};
use crate::{ConfigError, retry::RetryHandle, time};

/// A handle of the hedge of one retry, from [`RetryHandle::hedge`]. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct HedgeHandle {
    retry: RetryHandle,
    core: Arc<Core>,
}

/// What a hedge has done, and what it would do now.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgeSnapshot {
    /// Hedges that were sent.
    pub hedges: u64,
    /// Of those, how many answered first.
    pub hedges_won: u64,
    /// Backups that were sent when a soft timeout had passed.
    pub soft_timeouts: u64,
    /// Of those, how many answered first.
    pub soft_timeouts_won: u64,
    /// Hedges that were due and not sent, as the bucket was empty.
    pub without_token: u64,
    /// Backups that were due and not sent, as the service was overloaded.
    pub held: u64,
    /// Whether there are none at the moment, as the service was overloaded.
    pub on_hold: bool,
    /// The tokens in the hedge's bucket.
    pub tokens: f64,
    /// When a hedge of a call that begins now is due; `None`: never, or too few attempts have been seen.
    pub delay: Option<Duration>,
}

impl HedgeHandle {
    pub(crate) fn new(retry: RetryHandle, core: Arc<Core>) -> Self {
        Self { retry, core }
    }

    /// What it has done so far, and what it would do now.
    pub fn snapshot(&self) -> HedgeSnapshot {
        let (counts, now) = (&self.core.counts, time::now());
        HedgeSnapshot {
            hedges: counts.hedges.load(Relaxed),
            hedges_won: counts.hedges_won.load(Relaxed),
            soft_timeouts: counts.soft_timeouts.load(Relaxed),
            soft_timeouts_won: counts.soft_timeouts_won.load(Relaxed),
            without_token: counts.without_token.load(Relaxed),
            held: counts.held.load(Relaxed),
            on_hold: self.core.holds(now),
            tokens: self.core.bucket.tokens(),
            delay: self.core.due(&self.core.settings(), now).map(|due| due.after),
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> HedgeSettings {
        self.core.settings()
    }

    /// Changes settings in place, for calls in progress too as far as they have not planned their next backup. The
    /// tokens there are stay, up to what the bucket holds from now on. Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut HedgeSettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(self.retry.name())?;
        self.core.set(settings);
        self.retry.changed();
        Ok(())
    }
}
