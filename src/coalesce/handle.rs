//! Reads a coalescer, and switches it on and off.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::core::Gauges;
use crate::telemetry::{Emitter, Events, Name};

/// What a handle shows. Apart from the groups, whose types are those of the service.
#[derive(Debug)]
pub(super) struct Stats {
    name: Name,
    enabled: AtomicBool,
    pub(super) gauges: Arc<Gauges>,
    made: AtomicU64,
    joined: AtomicU64,
    handed_on: AtomicU64,
    begun_anew: AtomicU64,
    events: Emitter<CoalesceEvent>,
}

impl Stats {
    pub(super) fn new(name: Name, enabled: bool) -> Self {
        Self {
            name,
            enabled: AtomicBool::new(enabled),
            gauges: Arc::default(),
            made: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            handed_on: AtomicU64::new(0),
            begun_anew: AtomicU64::new(0),
            events: Emitter::new(),
        }
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    pub(super) fn made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn joined(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts and tells what is worth an event.
    pub(super) fn happened(&self, event: CoalesceEvent) {
        match event {
            CoalesceEvent::HandedOn => self.handed_on.fetch_add(1, Ordering::Relaxed),
            CoalesceEvent::BegunAnew => self.begun_anew.fetch_add(1, Ordering::Relaxed),
            CoalesceEvent::Enabled | CoalesceEvent::Disabled => 0,
        };
        self.events.emit(|| event);
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", coalesce = %self.name, ?event, "coalesced calls");
    }
}

/// A handle of one coalescer. Cheap to clone; keeps its counters alive.
#[derive(Clone)]
pub struct CoalesceHandle {
    pub(super) stats: Arc<Stats>,
}

/// An event of a coalescer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CoalesceEvent {
    /// Who had made a call is gone, and one of those that wait for it has gone on with it.
    HandedOn,
    /// A call has ended without an outcome for those that wait (a panic, or one that cannot be shared), and one of them
    /// makes it anew.
    BegunAnew,
    /// It was switched on.
    Enabled,
    /// It was switched off.
    Disabled,
}

/// What a coalescer looks like at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CoalesceSnapshot {
    /// Calls in flight, each of another key.
    pub calls: usize,
    /// Callers that wait for one of these, or have not fetched its outcome yet.
    pub waiting: usize,
    /// Callers that found no equal call in flight and have made theirs, since the layer was made.
    pub made: u64,
    /// Callers that have joined an equal call in flight.
    pub joined: u64,
    /// Calls in flight that were handed on to somebody else, because who had made them was gone.
    pub handed_on: u64,
    /// Calls that were made anew by somebody who had waited, because of a panic or an outcome that cannot be shared.
    pub begun_anew: u64,
}

impl CoalesceHandle {
    /// The name of the coalescer.
    pub fn name(&self) -> &Name {
        &self.stats.name
    }

    /// Calls, callers and counts at this moment.
    pub fn snapshot(&self) -> CoalesceSnapshot {
        let Stats { gauges, made, joined, handed_on, begun_anew, .. } = &*self.stats;
        CoalesceSnapshot {
            calls: gauges.calls.load(Ordering::Relaxed),
            waiting: gauges.waiting.load(Ordering::Relaxed),
            made: made.load(Ordering::Relaxed),
            joined: joined.load(Ordering::Relaxed),
            handed_on: handed_on.load(Ordering::Relaxed),
            begun_anew: begun_anew.load(Ordering::Relaxed),
        }
    }

    /// Whether it is switched on.
    pub fn is_enabled(&self) -> bool {
        self.stats.is_enabled()
    }

    /// Switches it off: every new caller makes a call of its own. Who waits goes on waiting.
    pub fn disable(&self) {
        self.switch(false);
    }

    /// Switches it on.
    pub fn enable(&self) {
        self.switch(true);
    }

    fn switch(&self, enabled: bool) {
        if self.stats.enabled.swap(enabled, Ordering::Relaxed) != enabled {
            self.stats.happened(if enabled { CoalesceEvent::Enabled } else { CoalesceEvent::Disabled });
        }
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<CoalesceEvent> {
        self.stats.events.subscribe()
    }
}

impl fmt::Debug for CoalesceHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceHandle").field("stats", &self.stats).finish()
    }
}
