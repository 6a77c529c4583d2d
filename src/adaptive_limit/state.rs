//! What the services of one layer share: counts of how calls end, and the limit that follows from them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
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
    Lost,
    Failed,
}

#[derive(Debug)]
pub(super) struct Shared {
    /// Takes and gives places; its limit is the one that is found here.
    pub(super) places: BulkheadHandle,
    pub(super) settings: Live<AdaptiveLimitSettings>,
    limiter: Mutex<Limiter>,
    counts: [AtomicU32; 4],
    peak: AtomicU32,
    /// When the window is over, in nanoseconds of the clock.
    window_end: AtomicU64,
    clock: Clock,
    changes: [AtomicU64; 2],
    pub(super) events: Emitter<AdaptiveLimitEvent>,
}

/// The state of one limit: a bulkhead, and what moves its limit.
#[derive(Debug)]
pub(super) struct State {
    pub(super) places: BulkheadLayer,
    pub(super) shared: Arc<Shared>,
}

impl State {
    /// The settings are known to make sense.
    pub(super) fn new(name: Name, settings: AdaptiveLimitSettings) -> Self {
        let clock = Clock::start();
        let limiter = Limiter::new(&settings, clock.now());
        let places = BulkheadLayer::refusing(name, place_settings(&limiter, &settings), RejectedKind::LimitReached);
        let shared = Shared {
            places: places.handle(),
            window_end: AtomicU64::new(nanos(limiter.window_end())),
            settings: Live::new(settings),
            limiter: Mutex::new(limiter),
            counts: Default::default(),
            peak: AtomicU32::new(0),
            clock,
            changes: Default::default(),
            events: Emitter::new(),
        };
        Self { places, shared: Arc::new(shared) }
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

impl Shared {
    /// A call that was ready at once has ended: no clock was read for it.
    pub(super) fn ended_at_once(&self, verdict: Verdict) {
        self.count(Sample::of(verdict, false));
    }

    /// A call has ended.
    pub(super) fn ended(&self, verdict: Verdict, began: Instant, now: Instant) {
        let sample = Sample::of(verdict, now.saturating_duration_since(began) > self.settings.get().slow());
        if !(matches!(sample, Sample::Late | Sample::Lost) && stall::excuses()) {
            self.count(sample);
        }
        self.look(now);
    }

    /// A call was dropped before it had ended. Only a slow one says anything: others are given up for reasons of the
    /// caller's.
    pub(super) fn given_up(&self, began: Instant, now: Instant) {
        let slow = now.saturating_duration_since(began) > self.settings.get().slow();
        if slow && !stall::excuses() {
            self.count(Sample::Lost);
            self.look(now);
        }
    }

    fn count(&self, sample: Sample) {
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
        self.update(|limiter, settings| {
            if now < limiter.window_end() {
                // Somebody else has been here.
                return None;
            }
            let take = |sample: Sample| self.counts[sample as usize].swap(0, Ordering::Relaxed);
            let counts = Counts {
                good: take(Sample::Good),
                late: take(Sample::Late),
                lost: take(Sample::Lost),
                failed: take(Sample::Failed),
                peak: self.peak.swap(0, Ordering::Relaxed),
            };
            limiter.judge(now, counts, settings)
        });
    }

    /// Other settings, at once.
    pub(super) fn change(&self, settings: AdaptiveLimitSettings) {
        self.settings.set(settings);
        self.update(|limiter, settings| {
            limiter.clamp(settings);
            Some(Cause::Settings)
        });
        self.events.emit(|| AdaptiveLimitEvent::SettingsChanged);
    }

    /// Changes the limiter, and the places after it, in one order for all.
    fn update(&self, step: impl FnOnce(&mut Limiter, &AdaptiveLimitSettings) -> Option<Cause>) {
        let settings = self.settings.get();
        let mut limiter = self.limiter.lock();
        let from = limiter.limit();
        let cause = step(&mut limiter, &settings);
        let to = limiter.limit();
        self.window_end.store(nanos(limiter.window_end()), Ordering::Relaxed);
        let Some(cause) = cause else { return };
        // Those that are let in are woken later: a waker is foreign code.
        let wake = self.places.replace(place_settings(&limiter, &settings));
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

    pub(super) fn is_cutting(&self) -> bool {
        self.limiter.lock().is_cutting()
    }
}

impl Sample {
    fn of(verdict: Verdict, slow: bool) -> Self {
        match verdict {
            Verdict::Overloaded { .. } => Self::Late,
            Verdict::Success | Verdict::Neutral => {
                if slow {
                    Self::Late
                } else {
                    Self::Good
                }
            }
            Verdict::Transient { .. } | Verdict::Permanent => {
                if slow {
                    Self::Lost
                } else {
                    Self::Failed
                }
            }
        }
    }
}
