//! One call: which endpoint it goes to next, for how long it is held, and what it has come to. No polling.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use super::{
    Need,
    attempt::{Attempt, ENOUGH},
    elsewhere::{self, Ended, Evidence, Next},
    fleet::{Trial, TrialEnd},
    shared::Shared,
    token::Token,
    view::{Slot, View, Wish},
};
use crate::{
    Classify, LayerError, Rejected, RejectedKind, Verdict,
    context::{self, AttemptCount, Tried},
    error::refusal,
    stall,
};

/// A trial has waited for so long for a request that may be sent twice, with time enough; then any will do.
const PATIENCE: Duration = Duration::from_secs(1);
/// So long before its deadline a call that is held is told why.
const TELL: Duration = Duration::from_millis(5);
/// A call whose endpoint has just gone chooses anew among those that are there then, so often.
const REPLACED: u32 = 32;

pub(super) struct Call<Req> {
    /// The request of the next attempt, if there may be one.
    pub(super) request: Option<Req>,
    pub(super) may_repeat: bool,
    pub(super) attempts: AttemptCount,
    begun: bool,
    /// Whether a copy of the request could be of use after the attempt that is about to be made.
    pub(super) may_move: bool,
    need: Need,
    affinity: Option<u64>,
    random: u64,
    /// How many endpoints this layer has sent it to.
    endpoints: u32,
    held_since: Option<Duration>,
    /// When it first looked for an endpoint.
    came: Option<Duration>,
    /// Whether an endpoint may have seen it.
    reached: bool,
    /// Whether this layer, not one above with the same budget, deposits for the call.
    deposits: bool,
    /// Of the attempt under way.
    pub(super) token: Token,
    /// The next attempt is a further one: the call waits for another endpoint.
    further: bool,
}

/// What follows an attempt.
pub(super) enum Then<S, O> {
    /// Another one.
    To(Attempt<S>),
    /// It was not sent, and waits for what comes.
    Hold,
    Finish(O),
}

/// Where a call goes.
pub(super) enum Choice<S> {
    To(Attempt<S>),
    /// Nowhere at present; perhaps by then.
    Hold {
        until: Duration,
    },
    Nowhere(Rejected),
}

impl<Req> Call<Req> {
    pub(super) fn new(request: Req, may_repeat: bool, need: Need, affinity: Option<u64>, random: u64) -> Self {
        Self {
            request: Some(request),
            may_repeat,
            attempts: AttemptCount::none(),
            begun: false,
            need,
            may_move: false,
            affinity,
            random,
            endpoints: 0,
            held_since: None,
            came: None,
            reached: false,
            deposits: false,
            token: Token::default(),
            further: false,
        }
    }

    /// Looks up what the layers above have begun, which `call` cannot see below a `Buffer`.
    fn begin<S>(&mut self, shared: &Arc<Shared<S>>, view: &View<S>) {
        self.begun = true;
        shared.start_task();
        let budget = shared.budget.as_deref();
        self.deposits = budget.is_some_and(|budget| !AttemptCount::deposited(budget));
        self.attempts = AttemptCount::begin(view.settings.max_endpoints_per_call, budget);
        if let Some(budget) = budget.filter(|_| self.deposits) {
            budget.first_attempt();
        }
    }

    /// Finds out whether it may move on, as things are now.
    pub(super) fn sees<S>(&mut self, view: &View<S>) {
        let left = self.endpoints < view.settings.max_endpoints_per_call && self.attempts.left();
        self.may_move = view.all_out || self.need != Need::Any || left && view.has_others();
    }

    /// The endpoint to begin with.
    pub(super) fn choose<S>(&mut self, shared: &Arc<Shared<S>>) -> Choice<S> {
        let now = shared.clock.now();
        self.came.get_or_insert(now);
        let view = shared.look(now);
        if !self.begun {
            self.begin(shared, &view);
        }
        let tried = self.attempts.tried();
        let mut attempt = self.attempt(shared, &view, tried, now);
        // Attempts of layers above have been everywhere: rather there once more than nowhere.
        if attempt.is_none() && !tried.is_empty() {
            attempt = self.attempt(shared, &shared.view.load(), Tried::default(), now);
        }
        if let Some(attempt) = attempt {
            self.sees(&view);
            if std::mem::take(&mut self.further) {
                shared.counts.moved.fetch_add(1, Relaxed);
            }
            return Choice::To(attempt);
        }
        drop(view);
        let (roles, mut next, due) = {
            let view = shared.view.load();
            (view.roles, view.next, view.due)
        };
        if self.need == Need::Primary && roles.split {
            return self.nowhere(shared, RejectedKind::SplitBrain, None);
        }
        if matches!(self.need, Need::Primary | Need::ReplicaPreferred { .. }) && roles.primary.is_none() {
            if !roles.searching && !roles.split {
                shared.act(|control, now| control.fleet.missed(now));
            }
            // All of those that look for it are told as soon as it is found.
            next = Some(now);
        }
        if self.need != Need::Any {
            // What it needs to know of roles is known from probes.
            next = next.into_iter().chain(shared.next_answer(now)).min();
        }
        match self.hold(shared, next, due, now) {
            Some(until) => Choice::Hold { until },
            None => self.nowhere(shared, RejectedKind::NoEndpoint, next),
        }
    }

    /// Refused; an endpoint may have seen an earlier attempt all the same.
    fn nowhere<S>(&self, shared: &Shared<S>, kind: RejectedKind, next: Option<Duration>) -> Choice<S> {
        let rejected = shared.refuse(kind, next);
        Choice::Nowhere(if self.reached { rejected.reached() } else { rejected })
    }

    fn attempt<S>(
        &mut self,
        shared: &Arc<Shared<S>>,
        view: &View<S>,
        tried: Tried,
        now: Duration,
    ) -> Option<Attempt<S>> {
        let in_time = view.trials.is_empty() || self.has_time(shared, now);
        let apt = in_time && (self.may_repeat || view.all_out);
        if let Some(attempt) = self.trial(shared, view, tried, apt, now) {
            return Some(attempt);
        }
        let mut gone = tried;
        let split = self.need == Need::Primary && view.roles.split;
        let times = if split { 0 } else { view.endpoints };
        for _ in 0..times {
            let wish = Wish { need: self.need, affinity: self.affinity, tried: gone, random: self.random, now };
            let Some(slot) = view.choose(&wish, &shared.turn) else { break };
            let attempt = self.begin_at(shared, Arc::clone(slot), None, now);
            if attempt.is_some() {
                return attempt;
            }
            // It has just been let go.
            gone = gone.with(slot.id);
        }
        let rounds = if gone == tried { 0 } else { REPLACED };
        for _ in 0..rounds {
            // Who replaces it may be there, though the view did not say so yet; even itself, let in again.
            shared.await_view();
            let wish = Wish { need: self.need, affinity: self.affinity, tried, random: self.random, now };
            let Some(slot) = shared.view.load().choose(&wish, &shared.turn).cloned() else { break };
            if let Some(attempt) = self.begin_at(shared, slot, None, now) {
                return Some(attempt);
            }
        }
        // With nothing else left, any call that may go there tries.
        self.trial(shared, view, tried, in_time, now)
    }

    /// Leave to try an endpoint; `apt`: whether this call is one to try with before others have had their chance.
    fn trial<S>(
        &mut self,
        shared: &Arc<Shared<S>>,
        view: &View<S>,
        tried: Tried,
        apt: bool,
        now: Duration,
    ) -> Option<Attempt<S>> {
        let awaits = view.trials.iter().filter(|trial| {
            let fits = trial.fits(self.need) && !tried.contains(trial.slot.id);
            fits && (apt || now.saturating_sub(trial.since) >= PATIENCE)
        });
        for awaits in awaits {
            let trial = shared.act(|control, now| control.fleet.take_trial(awaits.slot.id, now));
            if trial.is_some() {
                return self.begin_at(shared, Arc::clone(&awaits.slot), trial, now);
            }
        }
        None
    }

    fn begin_at<S>(
        &mut self,
        shared: &Arc<Shared<S>>,
        slot: Arc<Slot<S>>,
        trial: Option<Trial>,
        now: Duration,
    ) -> Option<Attempt<S>> {
        let id = slot.id;
        let Some(attempt) = Attempt::begin(shared, slot, trial, now) else {
            if let Some(trial) = trial {
                shared.act(|control, now| control.fleet.trial_ended(trial, TrialEnd::GivenBack, now));
            }
            return None;
        };
        self.attempts.tries(id);
        self.endpoints += 1;
        self.random = self.random.rotate_left(17).wrapping_add(1);
        Some(attempt)
    }

    /// Whether there is time enough for an answer that says something of the endpoint. Half of what it had is: where calls
    /// have taken nearly as long as there is time, nobody would else ever try.
    fn has_time<S>(&self, shared: &Shared<S>, now: Duration) -> bool {
        let (Some(deadline), Some(typical)) = (context::deadline(), shared.typical.latency()) else { return true };
        let deadline = shared.clock.at(deadline);
        let had = deadline.saturating_sub(self.came.unwrap_or(now));
        let enough = typical.saturating_mul(ENOUGH).min(had / 2);
        deadline.saturating_sub(now) >= enough
    }

    /// Until when a call waits that has nowhere to go; `None`: it does not.
    /// At `due` it looks again, as nobody else may.
    fn hold<S>(
        &mut self,
        shared: &Shared<S>,
        next: Option<Duration>,
        due: Option<Duration>,
        now: Duration,
    ) -> Option<Duration> {
        let most = shared.settings.get().max_hold;
        let next = next.filter(|next| *next <= now.saturating_add(most) && !most.is_zero())?;
        let since = *self.held_since.get_or_insert_with(|| {
            shared.counts.held.fetch_add(1, Relaxed);
            now
        });
        let end = match context::deadline() {
            Some(deadline) => shared.clock.at(deadline).saturating_sub(TELL),
            None => since.saturating_add(most),
        };
        // Who is being tried now will have answered at some time before that.
        let until = if next > now { next } else { end };
        let looks = due.filter(|due| *due > now).map_or(until, |due| due.min(until));
        (until <= end && end > now).then_some(looks)
    }

    /// What follows from the outcome of an attempt: the attempt that comes next, or what the call has come to.
    pub(super) fn follow<S, Res, Err, C>(
        &mut self,
        shared: &Arc<Shared<S>>,
        classify: &C,
        attempt: Attempt<S>,
        outcome: Result<Res, Err>,
        ready: bool,
    ) -> Then<S, Result<Res, Err>>
    where
        Err: LayerError,
        C: Classify<Res, Err>,
    {
        let ended = match &outcome {
            _ if !ready => Ended::NotReady,
            _ if refusal(&outcome).is_some() => Ended::Refused,
            _ if classify.wrong_role(outcome.as_ref()) => Ended::WrongRole,
            Ok(_) => Ended::Answered(classify.classify(outcome.as_ref())),
            Err(error) => Ended::Failed {
                verdict: classify.classify(outcome.as_ref()),
                reached: classify.reached_service(error),
                in_doubt: classify.in_doubt(error),
            },
        };
        let judged = match ended {
            Ended::Answered(verdict) | Ended::Failed { verdict, .. } => stall::excuse(verdict),
            _ => Verdict::Neutral,
        };
        let (mut evidence, next) = elsewhere::decide(ended, judged, self.may_repeat);
        if ended == Ended::NotReady && stall::excuses() {
            evidence = Evidence::Nothing;
        }
        let of_all_out = attempt.is_trial() && shared.view.load().all_out;
        let sent_to = (next == Next::InDoubt).then(|| Arc::clone(&attempt.slot.key));
        attempt.end(evidence, self.need);
        self.reached |= matches!(ended, Ended::Answered(_) | Ended::Failed { reached: true, .. });
        if !std::mem::take(&mut self.token).ended(ended)
            && matches!(ended, Ended::Answered(Verdict::Success))
            && self.deposits
            && self.endpoints == 1
            && let Some(budget) = shared.budget.as_deref()
        {
            budget.first_success();
        }
        match next {
            Next::Finish => {}
            Next::InDoubt => {
                shared.counts.in_doubt.fetch_add(1, Relaxed);
                let known = outcome.as_ref().err().and_then(Err::as_rejected);
                if known.is_none_or(|rejected| rejected.kind() != RejectedKind::InDoubt) {
                    let rejected = Rejected::new(RejectedKind::InDoubt, shared.name.clone());
                    let rejected = sent_to.into_iter().fold(rejected, Rejected::with_sent_to);
                    return Then::Finish(Err(rejected.into()));
                }
            }
            // It was not sent, or not done, and so has not been anywhere.
            Next::Elsewhere if (of_all_out || self.seeks(ended)) && self.request.is_some() => {
                self.endpoints -= 1;
                self.further = self.seeks(ended);
                return Then::Hold;
            }
            Next::Elsewhere | Next::Again => {
                if let Some(attempt) = self.elsewhere(shared, next == Next::Again) {
                    return Then::To(attempt);
                }
            }
        }
        if ended == Ended::NotReady {
            shared.counts.refused.fetch_add(1, Relaxed);
        }
        Then::Finish(self.finish(outcome))
    }

    /// Whether it looks for the endpoint with the role that it needs, and this was not it.
    fn seeks(&self, ended: Ended) -> bool {
        ended == Ended::WrongRole && self.need == Need::Primary
    }

    fn may_go_on<S>(&self, shared: &Shared<S>) -> bool {
        let most = shared.settings.get().max_endpoints_per_call;
        self.endpoints < most && self.attempts.left() && self.request.is_some()
    }

    /// Another endpoint, never one that it has been sent to.
    fn elsewhere<S>(&mut self, shared: &Arc<Shared<S>>, costs: bool) -> Option<Attempt<S>> {
        if !self.may_go_on(shared) {
            return None;
        }
        let now = shared.clock.now();
        if context::deadline().is_some_and(|deadline| shared.clock.at(deadline) <= now) {
            return None;
        }
        let token = Token::take(shared.budget.as_ref().filter(|_| costs))?;
        let view = shared.look(now);
        let attempt = self.attempt(shared, &view, self.attempts.tried(), now);
        if attempt.is_some() {
            self.attempts.take();
            self.sees(&view);
            self.token = token;
            shared.counts.moved.fetch_add(1, Relaxed);
        }
        attempt
    }

    /// The last outcome, untouched but for one bit: a refusal of the last attempt does not hide that an endpoint may have
    /// seen an earlier one.
    fn finish<Res, Err: LayerError>(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        match refusal(&outcome) {
            Some(rejected) if self.reached => Err(rejected.clone().reached().into()),
            _ => outcome,
        }
    }
}
