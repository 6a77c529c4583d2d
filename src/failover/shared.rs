//! What all services and handles of one client share: the fleet under a lock, and the view that calls read without one.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::Notify;

use super::{
    Endpoint, EndpointSnapshot, FailoverEvent, FailoverSettings, Meta, Snapshot,
    check::Checked,
    endpoint::Source,
    fleet::Fleet,
    load::Load,
    members::Change,
    probe::Report,
    task::{Desk, Parts, Seat},
    view::{Slot, View},
};
use crate::{
    Rejected, RejectedKind,
    retry::Budget,
    rng::Rng,
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
    pub(super) desk: Arc<Desk>,
    /// Whether there is a task to begin.
    pub(super) idle: AtomicBool,
    pub(super) seat: Seat<S>,
    start: fn(&Arc<Self>),
}

impl<S> Drop for Shared<S> {
    fn drop(&mut self) {
        // The task sees that nobody is left.
        self.desk.wake();
    }
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

impl<S> Control<S> {
    fn join(&mut self, endpoint: Endpoint<S>, checked: Checked, now: Duration) {
        let Endpoint { meta, source } = endpoint;
        let slot = Slot::new(number(), meta.key.clone(), source);
        self.fleet.insert(slot.id, meta, checked, false, now);
        let at = self.slots.partition_point(|other| other.id < slot.id);
        self.slots.insert(at, Arc::new(slot));
    }

    fn stay(&mut self, id: u32, meta: Meta, now: Duration) {
        self.with_slot(id, |slot| slot.gate.set(false));
        self.fleet.alter(id, meta, now);
    }

    fn leave(&mut self, id: u32, now: Duration) {
        self.with_slot(id, |slot| slot.gate.set(true));
        self.fleet.leave(id, now);
        self.reap(now);
    }

    fn reap(&mut self, now: Duration) {
        let gone = |id: &u32| {
            let at = self.slots.binary_search_by_key(id, |slot| slot.id);
            at.is_ok_and(|at| self.slots[at].load.in_flight() == 0)
        };
        let leaving = self.fleet.metas().filter(|(.., leaving)| *leaving).map(|(id, ..)| id);
        let gone: Vec<u32> = leaving.filter(gone).collect();
        gone.iter().for_each(|id| self.fleet.remove(*id, now));
        self.slots.retain(|slot| !gone.contains(&slot.id));
    }

    pub(super) fn with_slot(&self, id: u32, act: impl FnOnce(&Slot<S>)) {
        if let Ok(at) = self.slots.binary_search_by_key(&id, |slot| slot.id) {
            act(&self.slots[at]);
        }
    }
}

/// The next number of an endpoint.
fn number() -> u32 {
    // Never 0, though it took four billion endpoints.
    std::iter::repeat_with(|| NEXT.fetch_add(1, Relaxed)).find(|number| *number != 0).unwrap_or(1)
}

impl<S> Shared<S> {
    pub(super) fn new(
        name: Name,
        settings: FailoverSettings,
        budget: Option<Arc<Budget>>,
        seed: u64,
        parts: Parts<S>,
        endpoints: Vec<Endpoint<S>>,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
    {
        let clock = Clock::start();
        let now = clock.now();
        let mut fleet = Fleet::new(settings.clone(), Rng::seeded(seed));
        let mut slots = Vec::new();
        let makes = endpoints.iter().any(|endpoint| !matches!(endpoint.source, Source::Ready(_)));
        for Endpoint { meta, source } in endpoints {
            let slot = Slot::new(number(), meta.key.clone(), source);
            fleet.insert(slot.id, meta, parts.checked(now), false, now);
            slots.push(Arc::new(slot));
        }
        fleet.start();
        let settings = Live::new(settings);
        let view = View::empty(Arc::clone(&settings.get()));
        let works = makes || parts.have_work();
        let shared = Self {
            name,
            clock,
            settings,
            budget,
            view: ArcSwap::from_pointee(view),
            control: Mutex::new(Control { fleet, slots }),
            events: Emitter::new(),
            changed: Arc::default(),
            turn: AtomicU64::new(seed),
            seeds: AtomicU64::new(seed),
            in_row: AtomicU32::new(0),
            typical: Load::new(),
            counts: Counts::default(),
            desk: Arc::default(),
            idle: AtomicBool::new(works),
            seat: Seat::new(works.then_some(parts)),
            start: |shared| shared.seat.start(shared),
        };
        shared.act(|_, _| ());
        shared
    }

    /// Begins the task, if it does not run.
    pub(super) fn start_task(self: &Arc<Self>) {
        if self.idle.load(Relaxed) {
            (self.start)(self);
        }
    }

    /// The service of this endpoint is wanted.
    pub(super) fn make(&self, slot: &Slot<S>) {
        self.desk.make(slot.id);
    }

    pub(super) fn slot(&self, id: u32) -> Option<Arc<Slot<S>>> {
        let control = self.control.lock();
        let at = control.slots.binary_search_by_key(&id, |slot| slot.id).ok()?;
        Some(Arc::clone(&control.slots[at]))
    }

    /// The endpoints that are to be probed now.
    pub(super) fn to_probe(&self) -> Vec<(u32, Meta)> {
        let now = self.clock.now();
        let mut control = self.control.lock();
        let ids = control.fleet.to_probe(now);
        let metas = control.fleet.metas().filter(|(id, ..)| ids.contains(id));
        metas.map(|(id, meta, _)| (id, meta.clone())).collect()
    }

    /// When the task has something to do.
    pub(super) fn next_of_task(&self) -> Option<Duration> {
        self.control.lock().fleet.next_probe()
    }

    pub(super) fn probed(&self, id: u32, result: Result<Report, Name>) {
        self.act(|control, now| control.fleet.probed(id, result, now));
    }

    pub(super) fn reported(&self, key: &str, report: Report) {
        self.act(|control, now| {
            if let Some(id) = control.fleet.id_of(key) {
                control.fleet.reported(id, report, now);
            }
        });
    }

    /// A service has been made, or could not be.
    pub(super) fn made(&self, id: u32, service: Option<S>) {
        if let Some(slot) = self.slot(id) {
            match service {
                Some(service) => slot.made.store(Some(Arc::new(service))),
                None => drop(slot.make_failures.fetch_add(1, Relaxed)),
            }
            self.changed.notify_waiters();
        }
    }

    /// The set of endpoints changes.
    pub(super) fn apply(&self, change: Change<S>, checked: impl Fn(Duration) -> Checked) {
        self.act(|control, now| match change {
            Change::Set(set) => {
                let missing: Vec<u32> = control
                    .fleet
                    .metas()
                    .filter(|(_, meta, _)| !set.iter().any(|endpoint| endpoint.meta.key == meta.key))
                    .map(|(id, ..)| id)
                    .collect();
                missing.into_iter().for_each(|id| control.leave(id, now));
                set.into_iter().for_each(|endpoint| match control.fleet.id_of(&endpoint.meta.key) {
                    Some(id) => control.stay(id, endpoint.meta, now),
                    None => control.join(endpoint, checked(now), now),
                });
            }
            Change::Insert(endpoint) => {
                let before = control.fleet.id_of(&endpoint.meta.key);
                before.into_iter().for_each(|id| control.leave(id, now));
                control.join(endpoint, checked(now), now);
            }
            Change::Remove(key) => control.fleet.id_of(&key).into_iter().for_each(|id| control.leave(id, now)),
        });
        self.desk.wake();
    }

    /// Those that have left, and whose calls have ended, are forgotten.
    pub(super) fn reap(&self) {
        self.act(|control, now| control.reap(now));
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
        let view = View::of(control.fleet.plan(now), Arc::clone(&self.settings.get()), &control.slots);
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

    /// Does what is due by now. What calls see after that.
    pub(super) fn look(&self, now: Duration) -> Guard<Arc<View<S>>> {
        let view = self.view.load();
        if view.due.is_none_or(|due| now < due) {
            return view;
        }
        drop(view);
        self.act(|_, _| ());
        self.view.load()
    }

    /// What calls see when whoever moves the fleet on has done so.
    pub(super) fn next_view(&self) -> Guard<Arc<View<S>>> {
        drop(self.control.lock());
        self.view.load()
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
