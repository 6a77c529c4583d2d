//! One attempt at one endpoint: a guard that tells the endpoint how it ended, dropped without an end too.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    Cause, Need,
    elsewhere::{Evidence, Failure},
    fleet::{Trial, TrialEnd},
    gate::Last,
    shared::Shared,
    view::Slot,
};
use crate::{
    context, stall,
    time::{self, Instant},
};

/// A call that is given up early says something of its endpoint if it had taken so many times as long as calls do. So long
/// nothing may have been answered, too, before calls without an answer eject: a row of them may be one that ends at once.
const LONG: u32 = 3;
/// One that is cut off by its deadline says something after so many times as long as calls take. What has waited elsewhere
/// for most of its time, or is one of too many, is no evidence against who was asked last.
pub(super) const ENOUGH: u32 = 2;

pub(super) struct Attempt<S> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) slot: Arc<Slot<S>>,
    generation: u32,
    trial: bool,
    began: Duration,
    /// When whoever asked stops waiting, once it has had to wait.
    deadline: Option<Instant>,
    pending: bool,
    /// In a poll of it, from which it may not come back.
    running: bool,
    open: bool,
}

impl<S> Attempt<S> {
    /// `None` if the endpoint has just gone.
    #[inline]
    pub(super) fn begin(
        shared: &Arc<Shared<S>>,
        slot: Arc<Slot<S>>,
        trial: Option<Trial>,
        now: Duration,
    ) -> Option<Self> {
        if let Err(last) = slot.gate.enter(&slot.load) {
            last.into_iter().for_each(|Last| shared.reap());
            return None;
        }
        let shared = Arc::clone(shared);
        slot.counts.calls.fetch_add(1, Relaxed);
        let generation = trial.map_or_else(|| slot.generation.load(Relaxed), |trial| trial.generation);
        let (deadline, trial) = (None, trial.is_some());
        Some(Self { shared, slot, generation, trial, began: now, deadline, pending: false, running: false, open: true })
    }

    pub(super) fn is_trial(&self) -> bool {
        self.trial
    }

    /// It was not over at once, so it takes time.
    pub(super) fn pending(&mut self) {
        if !self.pending {
            (self.pending, self.deadline) = (true, context::deadline());
        }
    }

    /// Runs a poll of the call; one that does not come back has panicked.
    pub(super) fn run<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        self.running = true;
        let value = poll();
        self.running = false;
        value
    }

    #[inline]
    pub(super) fn end(mut self, evidence: Evidence, need: Need) {
        self.open = false;
        leaves(&self.shared, &self.slot);
        let now = || self.shared.clock.now();
        let (slot, shared) = (&self.slot, &*self.shared);
        match evidence {
            Evidence::Well => {
                slot.counts.successes.fetch_add(1, Relaxed);
                if self.pending {
                    let now = now();
                    let took = now.saturating_sub(self.began);
                    slot.load.answered(took, now);
                    shared.typical.answered(took, now);
                }
                if self.is_current() {
                    slot.is_well();
                    if shared.in_row.load(Relaxed) != 0 {
                        shared.in_row.store(0, Relaxed);
                    }
                }
                self.trial_ends(TrialEnd::Passed);
                if need == Need::Primary && shared.view.load().roles.primary != Some(slot.id) {
                    shared.act(|control, now| control.fleet.served(slot.id, self.began, now));
                }
            }
            Evidence::Busy { retry_after } => {
                slot.counts.failures.fetch_add(1, Relaxed);
                slot.load.penalise(now(), retry_after.unwrap_or(shared.settings.get().penalty));
                // It is there, and has said so.
                self.trial_ends(TrialEnd::Passed);
            }
            Evidence::Failure(failure) => self.failed(failure),
            Evidence::WrongRole if need == Need::Any => {
                // All calls are alike to us. It is there and may be promoted at any moment, so it stays in, and others are
                // preferred.
                slot.counts.failures.fetch_add(1, Relaxed);
                slot.load.penalise(now(), shared.settings.get().penalty);
                self.trial_ends(TrialEnd::Failed);
            }
            Evidence::WrongRole => {
                self.trial_ends(TrialEnd::Passed);
                shared.act(|control, now| control.fleet.refused_role(slot.id, now));
            }
            Evidence::Nothing => self.trial_ends(TrialEnd::Nothing),
        }
    }

    fn failed(&self, failure: Failure) {
        let (slot, shared) = (&self.slot, &*self.shared);
        let (now, settings) = (shared.clock.now(), shared.settings.get());
        slot.counts.failures.fetch_add(1, Relaxed);
        if failure != Failure::Error {
            slot.counts.local.fetch_add(1, Relaxed);
        }
        slot.load.penalise(now, settings.penalty);
        if !self.is_current() {
            slot.counts.late.fetch_add(1, Relaxed);
            return;
        }
        if failure == Failure::Connect {
            shared.desk.look_again();
        }
        if self.trial {
            slot.give_up();
            return self.trial_ends(TrialEnd::Failed);
        }
        let in_row = slot.fails_again(now);
        let connects = match failure {
            Failure::Connect => slot.connects_in_row.fetch_add(1, Relaxed).saturating_add(1),
            _ => 0,
        };
        let all = shared.in_row.fetch_add(1, Relaxed).saturating_add(1);
        let reached = |limit: Option<u32>, times: u32| limit.is_some_and(|limit| times >= limit);
        // Where it may not be ejected, it is asked anew after as many more, and not each time: that takes a lock.
        let turn = |limit: Option<u32>, times: u32| limit.is_some_and(|limit| times > 0 && times.is_multiple_of(limit));
        let cause = if turn(settings.connect_failures, connects) {
            Cause::Connect(connects)
        } else if !turn(settings.consecutive_failures, in_row) && failure == Failure::Error
            || !reached(settings.consecutive_failures, in_row)
            || failure == Failure::NoAnswer && !self.lasts(slot.row_since(), now)
        {
            return self.all_may_be_out(reached(settings.all_out_failures, all));
        } else if failure == Failure::Error {
            Cause::Errors(in_row)
        } else {
            Cause::NoAnswer(in_row)
        };
        let ejected = shared.act(|control, now| control.fleet.failing(slot.id, self.generation, cause, now));
        if ejected {
            slot.give_up();
        } else {
            self.all_may_be_out(reached(settings.all_out_failures, all));
        }
    }

    /// Whether nothing has been answered for long enough to say that nothing will be: where many calls are under way, as many
    /// as are asked for end at once whenever an endpoint is late, and to do without it would overload the others.
    fn lasts(&self, since: Duration, now: Duration) -> bool {
        let typical = self.shared.typical.latency().unwrap_or_default();
        now.saturating_sub(since) >= typical.saturating_mul(LONG)
    }

    /// So many calls in a row have failed. If each endpoint that can be called is among them, they are all out.
    fn all_may_be_out(&self, enough: bool) {
        let shared = &*self.shared;
        if enough && shared.view.load().all_fail() {
            shared.act(|control, now| control.fleet.all_failing(now));
            shared.in_row.store(0, Relaxed);
        }
    }

    fn is_current(&self) -> bool {
        self.generation == self.slot.generation.load(Relaxed)
    }

    fn trial_ends(&self, end: TrialEnd) {
        if self.trial {
            let trial = Trial { id: self.slot.id, generation: self.generation };
            self.shared.act(|control, now| control.fleet.trial_ended(trial, end, now));
        }
    }
}

/// A call there is no longer in flight.
fn leaves<S>(shared: &Shared<S>, slot: &Slot<S>) {
    if let Some(Last) = slot.gate.leave(&slot.load) {
        shared.reap();
    }
}

impl<S> Drop for Attempt<S> {
    /// Given up, or unwound.
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        leaves(&self.shared, &self.slot);
        self.slot.counts.abandoned.fetch_add(1, Relaxed);
        if self.running {
            return self.failed(Failure::Error);
        }
        let instant = time::now();
        let now = self.shared.clock.at(instant);
        let age = now.saturating_sub(self.began);
        self.slot.load.abandoned(age, now);
        let late = self.deadline.is_some_and(|deadline| instant >= deadline);
        let typical = self.shared.typical.latency();
        let times = if late { ENOUGH } else { LONG };
        let long = typical.map_or(late, |typical| age > typical.saturating_mul(times));
        if long && !stall::excuses() {
            self.failed(Failure::NoAnswer);
        } else {
            self.trial_ends(TrialEnd::GivenBack);
        }
    }
}
