//! What all services and handles of one client share: the fleet under a lock, and the view that calls read without one.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::{
    EndpointSnapshot, FailoverEvent, FailoverSettings, Snapshot,
    fleet::Fleet,
    load::Load,
    view::{Slot, View},
};
use crate::{
    Rejected, RejectedKind,
    retry::Budget,
    settings::Live,
    sync::Mutex,
    telemetry::{Emitter, Name, Timers},
    time::{Clock, Instant},
};

/// Numbers of endpoints, over all clients: a call may pass several of them. 0 is none.
static NEXT: AtomicU32 = AtomicU32::new(1);

pub(super) struct Shared<S> {
    pub(super) name: Name,
    pub(super) clock: Clock,
    pub(super) settings: Live<FailoverSettings>,
    pub(super) budget: Option<Arc<Budget>>,
    pub(super) view: ArcSwap<View<S>>,
    control: Mutex<Control<S>>,
    pub(super) events: Emitter<FailoverEvent>,
    /// Told of each new view.
    pub(super) changed: Arc<Notify>,
    /// Whose turn it is, over all views.
    pub(super) turn: AtomicU64,
    pub(super) seeds: AtomicU64,
    /// Failures in a row over all endpoints.
    pub(super) in_row: AtomicU32,
    /// What calls take, over all endpoints.
    pub(super) typical: Load,
    pub(super) counts: Counts,
}

/// What all calls came to.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) moved: AtomicU64,
    pub(super) held: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) in_doubt: AtomicU64,
}

pub(super) struct Control<S> {
    pub(super) fleet: Fleet,
    /// In the order of their numbers.
    pub(super) slots: Vec<Arc<Slot<S>>>,
}

/// The next number of an endpoint.
pub(super) fn number() -> u32 {
    // Never 0, though it took four billion endpoints.
    std::iter::repeat_with(|| NEXT.fetch_add(1, Relaxed)).find(|number| *number != 0).unwrap_or(1)
}

impl<S> Shared<S> {
    pub(super) fn new(
        name: Name,
        settings: FailoverSettings,
        fleet: Fleet,
        slots: Vec<Arc<Slot<S>>>,
        budget: Option<Arc<Budget>>,
        clock: Clock,
        seed: u64,
    ) -> Self {
        let shared = Self {
            name,
            clock,
            settings: Live::new(settings),
            budget,
            view: ArcSwap::from_pointee(View::empty()),
            control: Mutex::new(Control { fleet, slots }),
            events: Emitter::new(),
            changed: Arc::default(),
            turn: AtomicU64::new(seed),
            seeds: AtomicU64::new(seed),
            in_row: AtomicU32::new(0),
            typical: Load::new(),
            counts: Counts::default(),
        };
        shared.act(|_, _| ());
        shared
    }

    /// Moves the fleet on and shows what has come of it.
    pub(super) fn act<T>(&self, act: impl FnOnce(&mut Control<S>, Duration) -> T) -> T {
        let now = self.clock.now();
        let mut control = self.control.lock();
        control.fleet.advance(now);
        let value = act(&mut control, now);
        for slot in &control.slots {
            let generation = control.fleet.generation(slot.id).unwrap_or(u32::MAX);
            if slot.generation.swap(generation, Relaxed) != generation {
                slot.is_well();
                slot.load.forget();
            }
        }
        let view = View::of(control.fleet.plan(now), &self.settings.get(), &control.slots);
        let events = control.fleet.take_events();
        // Under the lock, or an older view might replace a newer one.
        let before = self.view.swap(Arc::new(view));
        drop(control);
        drop(before);
        for event in events {
            #[cfg(feature = "tracing")]
            tracing::info!(target: "steadfast", failover = %self.name, ?event, "failover");
            self.events.emit(|| event);
        }
        self.changed.notify_waiters();
        value
    }

    /// Reads without moving anything on but what was due.
    pub(super) fn read<T>(&self, read: impl FnOnce(&Control<S>, Duration) -> T) -> T {
        self.look(self.clock.now());
        let now = self.clock.now();
        read(&self.control.lock(), now)
    }

    /// Does what is due by now.
    pub(super) fn look(&self, now: Duration) {
        if self.view.load().due.is_some_and(|due| now >= due) {
            self.act(|_, _| ());
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.read(|control, now| {
            let endpoints = control.fleet.states(now).filter_map(|(id, meta, state)| {
                let at = control.slots.binary_search_by_key(&id, |slot| slot.id).ok()?;
                let slot = &control.slots[at];
                let counts = &slot.counts;
                Some(EndpointSnapshot {
                    meta,
                    state,
                    calls: counts.calls.load(Relaxed),
                    successes: counts.successes.load(Relaxed),
                    failures: counts.failures.load(Relaxed),
                    abandoned: counts.abandoned.load(Relaxed),
                    late: counts.late.load(Relaxed),
                    in_row: slot.in_row.load(Relaxed),
                    in_flight: slot.load.in_flight(),
                    latency: slot.load.latency(),
                    role: None,
                })
            });
            Snapshot {
                endpoints: endpoints.collect(),
                tier: control.fleet.in_use(),
                primary: None,
                split_brain: false,
                all_out: control.fleet.all_out_since().map(|since| now.saturating_sub(since)),
            }
        })
    }

    /// There is no endpoint for a call, and none comes in time.
    pub(super) fn refuse(&self, next: Option<Duration>) -> Rejected {
        self.counts.refused.fetch_add(1, Relaxed);
        let wait = next.map(|next| next.saturating_sub(self.clock.now()));
        Rejected::new(RejectedKind::NoEndpoint, self.name.clone())
            .with_retry_after(wait)
            .with_endpoints(Arc::new(self.snapshot()))
    }
}

impl<S: Send + Sync> Timers for Shared<S> {
    fn next(&self) -> Option<Instant> {
        self.view.load().due.and_then(|due| self.clock.instant(due))
    }

    fn run_due(&self) {
        self.look(self.clock.now());
    }
}

impl<S> Shared<S> {
    pub(super) fn timers(self: &Arc<Self>) -> Weak<dyn Timers>
    where
        S: Send + Sync + 'static,
    {
        Arc::<Self>::downgrade(self)
    }
}

impl<S> fmt::Debug for Shared<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).finish_non_exhaustive()
    }
}
