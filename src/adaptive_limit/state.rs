//! What the services of one layer share: counts of how calls end, and the limit that follows from them.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::{
    AdaptiveLimitEvent, AdaptiveLimitSettings, Cause,
    limiter::{Counts, Limiter},
};
use crate::{
    RejectedKind, Verdict,
    bulkhead::{BulkheadHandle, BulkheadLayer, BulkheadSettings},
    settings::Live,
    stall,
    sync::Mutex,
    telemetry::{Emitter, Name},
    time::{Clock, Instant},
};

/// How a call ended, if that says anything.
#[derive(Clone, Copy, Debug)]
enum Sample {
    Good,
    Late,
    Refused,
    Lost,
    Failed,
}

/// The state of one limit: a bulkhead, and what moves its limit. Held by every service, or a set of limits by key would
/// forget one that is in use.
#[derive(Debug)]
pub(super) struct State {
    pub(super) bulkhead: BulkheadLayer,
    pub(super) places: BulkheadHandle,
    pub(super) settings: Live<AdaptiveLimitSettings>,
    limiter: Mutex<Limiter>,
    counts: [AtomicU64; 5],
    /// What the late and the lost took together, in nanoseconds.
    slow: AtomicU64,
    peak: AtomicU32,
    /// When the window is over, in nanoseconds of the clock.
    window_end: AtomicU64,
    clock: Clock,
    changes: [AtomicU64; 2],
    cutting: AtomicBool,
    pub(super) events: Emitter<AdaptiveLimitEvent>,
}

impl State {
    /// The settings are known to make sense.
    pub(super) fn new(name: Name, settings: AdaptiveLimitSettings) -> Self {
        let clock = Clock::start();
        let limiter = Limiter::new(&settings, clock.now());
        let bulkhead = BulkheadLayer::refusing(name, place_settings(&limiter, &settings), RejectedKind::LimitReached);
        Self {
            places: bulkhead.handle(),
            bulkhead,
            window_end: AtomicU64::new(nanos(limiter.window_end())),
            settings: Live::new(settings),
            limiter: Mutex::new(limiter),
            counts: Default::default(),
            slow: AtomicU64::new(0),
            peak: AtomicU32::new(0),
            clock,
            changes: Default::default(),
            cutting: AtomicBool::new(false),
            events: Emitter::new(),
        }
    }
}

fn place_settings(limiter: &Limiter, settings: &AdaptiveLimitSettings) -> BulkheadSettings {
    BulkheadSettings {
        max_concurrent: limiter.limit(),
        max_waiting: settings.max_waiting,
        max_wait: settings.longest_wait(),
        order: settings.order,
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl State {
    /// A call has ended. That it `took` time is known of those that had to wait: a call that was ready at once reads no
    /// clock. `timed_out`: by a timeout of a layer below.
    pub(super) fn ended(&self, verdict: Verdict, timed_out: bool, took: Option<(Duration, Instant)>) {
        let slow = timed_out || took.is_some_and(|(took, _)| took > self.settings.get().slow());
        self.count(Sample::of(verdict, slow), took.map_or(Duration::ZERO, |(took, _)| took));
        if let Some((_, now)) = took {
            self.look(now);
        }
    }

    /// A call was dropped before it had ended. Only one that was slow, or at its deadline, says anything: others are given
    /// up for reasons of the caller's.
    pub(super) fn given_up(&self, took: Duration, deadline: Option<Instant>, now: Instant) {
        if took > self.settings.get().slow() || deadline.is_some_and(|deadline| now >= deadline) {
            self.count(Some(Sample::Lost), took);
            self.look(now);
        }
    }

    fn count(&self, sample: Option<Sample>, took: Duration) {
        let Some(sample) = sample else { return };
        if matches!(sample, Sample::Late | Sample::Lost) {
            if stall::excuses() {
                return;
            }
            self.slow.fetch_add(nanos(took), Ordering::Relaxed);
        }
        self.counts[sample as usize].fetch_add(1, Ordering::Relaxed);
        let running = self.places.running();
        if self.peak.load(Ordering::Relaxed) < running {
            self.peak.fetch_max(running, Ordering::Relaxed);
        }
    }

    /// Judges the window if it is over.
    fn look(&self, now: Instant) {
        let now = self.clock.at(now);
        if nanos(now) >= self.window_end.load(Ordering::Relaxed) {
            self.judge(now);
        }
    }

    #[cold]
    fn judge(&self, now: Duration) {
        self.update(|limiter| {
            if now < limiter.window_end() {
                // Somebody else has been here.
                return None;
            }
            let take = |sample: Sample| {
                u32::try_from(self.counts[sample as usize].swap(0, Ordering::Relaxed)).unwrap_or(u32::MAX)
            };
            let counts = Counts {
                good: take(Sample::Good),
                late: take(Sample::Late),
                refused: take(Sample::Refused),
                slow: Duration::from_nanos(self.slow.swap(0, Ordering::Relaxed)),
                lost: take(Sample::Lost),
                failed: take(Sample::Failed),
                peak: self.peak.swap(0, Ordering::Relaxed),
            };
            limiter.judge(now, counts, &self.settings.get())
        });
    }

    /// Other settings, at once.
    pub(super) fn change(&self, settings: AdaptiveLimitSettings) {
        let now = self.clock.now();
        self.update(|limiter| {
            self.settings.set(settings);
            limiter.change(now, &settings);
            Some(Cause::Settings)
        });
        self.events.emit(|| AdaptiveLimitEvent::SettingsChanged);
    }

    /// Changes the limiter, and the places after it: settings, limit and places in one order for all.
    fn update(&self, step: impl FnOnce(&mut Limiter) -> Option<Cause>) {
        let mut limiter = self.limiter.lock();
        let from = limiter.limit();
        let cause = step(&mut limiter);
        let to = limiter.limit();
        self.cutting.store(limiter.is_cutting(), Ordering::Relaxed);
        self.window_end.store(nanos(limiter.window_end()), Ordering::Relaxed);
        let Some(cause) = cause else { return };
        // Those that are let in are woken later: a waker is foreign code.
        let wake = self.places.replace(place_settings(&limiter, &self.settings.get()));
        drop(limiter);
        wake();
        if from != to {
            self.changes[usize::from(to > from)].fetch_add(1, Ordering::Relaxed);
            self.events.emit(|| AdaptiveLimitEvent::LimitChanged { from, to, cause });
            #[cfg(feature = "tracing")]
            tracing::debug!(target: "steadfast", adaptive_limit = %self.places.name(), from, to, ?cause, "limit changed");
        }
    }

    /// How often the limit went down, and up.
    pub(super) fn changes(&self) -> [u64; 2] {
        [0, 1].map(|which| self.changes[which].load(Ordering::Relaxed))
    }

    /// What was seen two deadlines before is of long ago, also if no call has ended since.
    pub(super) fn is_cutting(&self) -> bool {
        self.cutting.load(Ordering::Relaxed) && {
            let end = Duration::from_nanos(self.window_end.load(Ordering::Relaxed));
            self.clock.now() < end.saturating_add(self.settings.get().deadline.saturating_mul(2))
        }
    }
}

impl Sample {
    fn of(verdict: Verdict, slow: bool) -> Option<Self> {
        Some(match (verdict, slow) {
            (Verdict::Overloaded { .. }, _) => Self::Refused,
            (Verdict::Success, true) => Self::Late,
            (Verdict::Success, false) => Self::Good,
            (Verdict::Transient { .. } | Verdict::Permanent, true) => Self::Lost,
            (Verdict::Transient { .. } | Verdict::Permanent, false) => Self::Failed,
            (Verdict::Neutral, _) => return None,
        })
    }
}
