//! What all services and handles of one client share: the fleet under a lock, and the view that calls read without one.

mod errands;

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
    Endpoint, EndpointSnapshot, FailoverEvent, FailoverSettings, Snapshot,
    control::{Control, GIVEN},
    endpoint::Source,
    fleet::{Fleet, Plan},
    load::Load,
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
    start: fn(&Arc<Self>) -> bool,
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

impl<S> Shared<S> {
    pub(super) fn new(
        name: Name,
        settings: FailoverSettings,
        budget: Option<Arc<Budget>>,
        seed: u64,
        parts: Parts<S>,
        endpoints: Vec<Endpoint<S>>,
        by_role: bool,
    ) -> Self
    where
        S: Clone + Send + Sync + 'static,
    {
        let clock = Clock::start();
        let now = clock.now();
        let fleet = Fleet::new(settings.clone(), by_role, Rng::seeded(seed));
        let control = Control::new(fleet, parts.members.iter().map(|source| source.number).collect());
        let makes = endpoints.iter().any(|endpoint| !matches!(endpoint.source, Source::Ready(_)));
        for endpoint in endpoints {
            control.lock().join(endpoint, vec![GIVEN], parts.checked(now), now);
        }
        control.lock().fleet.start();
        let settings = Live::new(settings);
        let view = View::empty(Arc::clone(&settings.get()));
        let works = makes || parts.have_work();
        let shared = Self {
            name,
            clock,
            settings,
            budget,
            view: ArcSwap::from_pointee(view),
            control,
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

    /// Begins the task, if it does not run. Whether it was begun.
    pub(super) fn start_task(self: &Arc<Self>) -> bool {
        self.idle.load(Relaxed) && (self.start)(self)
    }

    /// The service of this endpoint is wanted.
    pub(super) fn make(&self, slot: &Slot<S>) {
        self.desk.make(slot.id);
    }

    pub(super) fn slot(&self, id: u32) -> Option<Arc<Slot<S>>> {
        self.control.lock().slot(id).cloned()
    }

    /// When a probe may say next what calls by role wait for.
    pub(super) fn next_answer(&self, now: Duration) -> Option<Duration> {
        let mut control = self.control.lock();
        // Whoever asks may wait for it.
        control.awaits_answer = true;
        control.fleet.next_answer(now)
    }

    /// Until whoever changes something has shown it.
    pub(super) fn await_view(&self) {
        drop(self.control.lock());
    }

    /// Those that have left, and whose calls have ended, are forgotten.
    pub(super) fn reap(&self) {
        self.act(|control, now| control.reap(now));
    }

    /// Moves the fleet on and shows what has come of it.
    pub(super) fn act<T>(&self, act: impl FnOnce(&mut Control<S>, Duration) -> T) -> T {
        let now = self.clock.now();
        let mut control = self.control.lock();
        let next_of_task = |fleet: &Fleet, due: Option<Duration>| {
            [fleet.task_due(), fleet.next_silence(), due].into_iter().flatten().min()
        };
        let before = next_of_task(&control.fleet, self.view.load().due);
        control.judge(now);
        control.fleet.advance(now);
        let value = act(&mut control, now);
        for (id, generation) in control.fleet.generations() {
            let Some(slot) = control.slot(id) else { continue };
            if slot.generation.swap(generation, Relaxed) != generation {
                slot.is_well();
                slot.load.forget();
            }
        }
        let mut plan = control.fleet.plan(now);
        if control.awaits() {
            // Who is still to be told of may come at any time.
            plan.next = Some(plan.next.map_or(now, |next| next.min(now)));
        }
        let next = next_of_task(&control.fleet, plan.due);
        let sooner = next.is_some_and(|next| before.is_none_or(|before| next < before));
        let events = control.fleet.take_events();
        let gone = std::mem::take(&mut control.gone);
        // Under the lock, or an older view might replace a newer one.
        let before = self.show(&mut control, plan, now);
        let tells = std::mem::take(&mut control.tells) | std::mem::take(&mut control.awaits_answer) | before.is_some();
        drop(control);
        drop((before, gone));
        events.into_iter().for_each(|event| self.tell(event));
        if tells {
            self.changed.notify_waiters();
        }
        if sooner {
            self.desk.wake();
        }
        value
    }

    /// Shows calls what has come of it, if they see something else. What they saw.
    fn show(&self, control: &mut Control<S>, plan: Plan, now: Duration) -> Option<Arc<View<S>>> {
        let (before, settings) = (self.view.load(), self.settings.get());
        let same_rules = Arc::ptr_eq(&before.settings, &settings) && before.endpoints == control.slots.len();
        if same_rules && plan.is_shown_by(&control.shown, now) {
            return None;
        }
        // Those that can be called are mostly the same.
        let groups = (same_rules && plan.groups == control.shown.groups).then(|| before.groups());
        let view = View::of(&plan, groups, Arc::clone(&settings), &control.slots);
        control.shown = plan;
        drop(before);
        Some(self.view.swap(Arc::new(view)))
    }

    /// Not under a lock.
    pub(super) fn tell(&self, event: FailoverEvent) {
        #[cfg(feature = "tracing")]
        tracing::info!(target: "steadfast", failover = %self.name, ?event, "failover");
        self.events.emit(|| event);
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

    pub(super) fn snapshot(&self) -> Snapshot {
        self.read(|control, now| {
            let endpoints = control.fleet.states(now).filter_map(|(id, meta, state)| {
                let slot = control.slot(id)?;
                let (counts, (epoch, lag)) = (&slot.counts, control.fleet.said_of_data(id));
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
                    role: control.fleet.role(id, now),
                    epoch,
                    lag,
                    times_made: slot.times_made.load(Relaxed),
                    make_failures: slot.make_failures.load(Relaxed),
                })
            });
            Snapshot {
                endpoints: endpoints.collect(),
                tier: control.fleet.in_use(),
                switched_to: control.fleet.pinned().cloned(),
                primary: control.fleet.primary(now).cloned(),
                highest_epoch: control.fleet.highest_epoch(),
                split_brain: control.fleet.is_split(),
                all_out: control.fleet.all_out_since().map(|since| now.saturating_sub(since)),
                moved: self.counts.moved.load(Relaxed),
                held: self.counts.held.load(Relaxed),
                refused: self.counts.refused.load(Relaxed),
                in_doubt: self.counts.in_doubt.load(Relaxed),
            }
        })
    }

    /// There is no endpoint for a call, and none comes in time.
    pub(super) fn refuse(&self, kind: RejectedKind, next: Option<Duration>) -> Rejected {
        self.counts.refused.fetch_add(1, Relaxed);
        self.reasons(kind, next)
    }

    /// Why there is none, or not the one that was chosen.
    pub(super) fn reasons(&self, kind: RejectedKind, next: Option<Duration>) -> Rejected {
        let wait = next.map(|next| next.saturating_sub(self.clock.now())).filter(|wait| !wait.is_zero());
        Rejected::new(kind, self.name.clone()).with_retry_after(wait).with_endpoints(Arc::new(self.snapshot()))
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
