//! What the handles and features of one degradation share: the level in an atomic, and when the pressure is due to be read.
//!
//! Whoever asks when it is due reads the sources, outside of every lock; all others are answered from the atomic meanwhile.

use std::{fmt, time::Duration};

use super::{DegradationEvent, DegradationSettings, LevelChange, Pressure, levels::Levels};
use crate::{
    settings::Live,
    sync::{
        Mutex,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    telemetry::{Emitter, Name, Timers},
    time::{Clock, Instant},
};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    /// Sorted by name.
    pub(super) features: Vec<Rank>,
    pub(super) sources: Vec<Source>,
    pub(super) settings: Live<DegradationSettings>,
    pub(super) events: Emitter<DegradationEvent>,
    pub(super) highest: u8,
    pub(super) clock: Clock,
    pub(super) left_out: AtomicU64,
    /// The level in force.
    level: AtomicU8,
    /// When the pressure is read next: nanoseconds.
    due: AtomicU64,
    state: Mutex<State>,
}

/// A feature: left out from level `rank` on.
#[derive(Clone, Debug)]
pub(super) struct Rank {
    pub(super) name: Name,
    pub(super) rank: u8,
}

pub(super) struct Source {
    pub(super) name: Name,
    pub(super) pressure: Box<dyn Pressure + Send + Sync>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    levels: Levels,
    pub(super) by_hand: Option<u8>,
    /// The highest of the pressures when they were read last, and which of the sources it was.
    pub(super) pressure: f64,
    pub(super) source: Option<usize>,
    pub(super) changes: u64,
    /// When the level in force changed last.
    pub(super) since: Duration,
}

impl State {
    pub(super) fn in_force(&self) -> u8 {
        self.by_hand.unwrap_or(self.levels.level())
    }
}

impl Shared {
    pub(super) fn new(name: Name, features: Vec<Rank>, sources: Vec<Source>, settings: DegradationSettings) -> Self {
        let highest = features.iter().map(|feature| feature.rank).max().unwrap_or(0);
        let state = State {
            levels: Levels::new(highest),
            by_hand: None,
            pressure: 0.0,
            source: None,
            changes: 0,
            since: Duration::ZERO,
        };
        Self {
            name,
            features,
            sources,
            settings: Live::new(settings),
            events: Emitter::new(),
            highest,
            clock: Clock::start(),
            left_out: AtomicU64::new(0),
            level: AtomicU8::new(0),
            due: AtomicU64::new(0),
            state: Mutex::new(state),
        }
    }

    /// The level in force, after reading the pressure if that is due.
    pub(super) fn level(&self) -> u8 {
        let now = self.clock.now();
        let due = self.due.load(Ordering::Relaxed);
        if nanos(now) >= due {
            self.read(now, due);
        }
        self.level.load(Ordering::Relaxed)
    }

    /// Reads the pressure, unless somebody else does.
    #[cold]
    fn read(&self, now: Duration, due: u64) {
        let settings = **self.settings.get();
        let next = nanos(now.saturating_add(settings.every));
        if self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let (mut pressure, mut source) = (0.0, None);
        for (number, Source { pressure: read, .. }) in self.sources.iter().enumerate() {
            let read = bounded(read.pressure());
            if read > pressure {
                (pressure, source) = (read, Some(number));
            }
        }
        self.change(now, |state| {
            state.levels.read(now, pressure, &settings);
            (state.pressure, state.source) = (pressure, source);
        });
    }

    /// Sets the level by hand; `None`: back to the one that follows from the pressure.
    pub(super) fn set(&self, by_hand: Option<u8>) {
        self.change(self.clock.now(), |state| state.by_hand = by_hand);
    }

    /// Changes the state, and tells if that changes the level in force.
    fn change(&self, now: Duration, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        let (from, was_by_hand) = (state.in_force(), state.by_hand.is_some());
        change(&mut state);
        let to = state.in_force();
        if from == to {
            return;
        }
        state.changes += 1;
        state.since = now;
        self.level.store(to, Ordering::Relaxed);
        let State { pressure, source, by_hand, .. } = *state;
        drop(state);
        let by_hand = by_hand.is_some() || was_by_hand;
        let source = source.and_then(|number| self.sources.get(number)).map(|source| source.name.clone());
        let change = LevelChange { from, to, pressure, source, by_hand };
        #[cfg(feature = "tracing")]
        change.trace(&self.name);
        self.events.emit(|| DegradationEvent::LevelChanged(change));
    }

    pub(super) fn replace(&self, settings: DegradationSettings) {
        self.settings.set(settings);
        // It may be due sooner now.
        self.due.store(0, Ordering::Relaxed);
        self.events.emit(|| DegradationEvent::SettingsChanged);
    }

    pub(super) fn state(&self) -> State {
        self.level();
        *self.state.lock()
    }
}

impl Timers for Shared {
    fn next(&self) -> Option<Instant> {
        self.clock.instant(Duration::from_nanos(self.due.load(Ordering::Relaxed)))
    }

    fn run_due(&self) {
        self.level();
    }
}

pub(super) fn bounded(pressure: f64) -> f64 {
    if pressure.is_nan() { 0.0 } else { pressure.clamp(0.0, 1.0) }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}
