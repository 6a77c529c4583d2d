//! One call: what it has come to, and what follows an attempt that has ended.

use std::{sync::Arc, time::Duration};

use super::{
    Budget,
    backup::Around,
    layer::Shared,
    policy::{self, Ended, Facts, Finish, Step},
};
use crate::{
    Classify, LayerError, Verdict,
    context::{self, AttemptCount},
    error::refusal,
    hedge::{Core, Why},
    stall, time,
};

/// What one call has come to.
pub(super) struct Call<Req> {
    pub(super) attempts: AttemptCount,
    /// Whether the attempts of the layers above have been looked up, which `call` cannot see below a `Buffer`.
    pub(super) begun: bool,
    /// The request of the next attempt, if there may be one.
    pub(super) copy: Option<Req>,
    pub(super) may_repeat: bool,
    pub(super) waits: u32,
    wait: Duration,
    /// Whether this layer, not one above with the same budget, deposits for the call.
    deposits: bool,
    /// Whether the service may have seen one of the attempts.
    pub(super) reached: bool,
}

/// The token of one attempt. The first attempt needs none, nor does one that follows a refusal.
#[derive(Default)]
pub(super) struct Token {
    /// Taken for an attempt that has not been sent yet; given back if that never happens.
    held: Option<Arc<Shared>>,
    spent: bool,
    /// Why a second attempt has it while the first is pending.
    backup: Option<Why>,
}

/// What follows an attempt that has ended.
pub(super) enum Then {
    /// The call ends.
    Finish,
    /// Another attempt is under way and is waited for.
    Leave,
    /// It is followed by another, after a wait.
    Again(Duration),
}

impl<Req> Call<Req> {
    #[inline(always)]
    pub(super) fn new(attempts: AttemptCount, copy: Option<Req>, may_repeat: bool) -> Self {
        let (wait, deposits) = (Duration::ZERO, false);
        Self { attempts, begun: false, copy, may_repeat, waits: 0, wait, deposits, reached: false }
    }

    /// Looks up what the layers above have begun, and deposits for the call unless one of them does.
    pub(super) fn begin(&mut self, shared: &Shared) {
        self.begun = true;
        let budget = shared.budget.as_deref();
        self.deposits = budget.is_some_and(|budget| !AttemptCount::deposited(budget));
        self.attempts = AttemptCount::begin(shared.settings.get().max_attempts, budget);
        if let Some(budget) = budget.filter(|_| self.deposits) {
            budget.first_attempt();
        }
    }

    /// The last outcome, untouched but for one bit: a refusal of the last attempt does not hide that the service may
    /// have seen an earlier one.
    pub(super) fn finish<Res, Err: LayerError>(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        match refusal(&outcome) {
            Some(rejected) if self.reached => Err(rejected.clone().reached().into()),
            _ => outcome,
        }
    }

    /// What follows the attempt that had this outcome and this token. `around` knows of another that is under way.
    #[inline(always)]
    pub(super) fn follow<Res, Err, C>(
        &mut self,
        shared: &Arc<Shared>,
        classify: &C,
        outcome: &Result<Res, Err>,
        token: &mut Token,
        around: &mut impl Around,
    ) -> Then
    where
        Err: LayerError,
        C: Classify<Res, Err>,
    {
        // No try more can change it. What fails in a stall of our own is not that: another attempt may be under way.
        let mut final_answer = false;
        let mut judged = || {
            let verdict = classify.classify(outcome.as_ref());
            final_answer = matches!(verdict, Verdict::Success | Verdict::Permanent | Verdict::Neutral);
            stall::excuse(verdict)
        };
        let ended = match (refusal(outcome), outcome) {
            (Some(rejected), _) => Ended::Refused { retry_after: rejected.retry_after() },
            (None, Ok(_)) => Ended::Answered { verdict: judged(), reached: true },
            (None, Err(error)) => Ended::Answered { verdict: judged(), reached: classify.reached_service(error) },
        };
        match ended {
            Ended::Answered { reached, .. } => self.reached |= reached,
            // It made no load, so the token it had been given goes back.
            Ended::Refused { .. } => token.unspend(shared),
        }
        let backup = token.backup;
        // An attempt that ended before it was sent: its token is given back and there for the next.
        if !token.spent {
            *token = Token::default();
        }
        if !final_answer && around.leaves(shared, ended) {
            return Then::Leave;
        }
        let budget = shared.budget.as_deref();
        let facts = Facts {
            ended,
            attempts_left: self.attempts.left(),
            wait_number: self.waits + 1,
            previous_wait: self.wait,
            copied: self.copy.is_some(),
            may_repeat: self.may_repeat,
            at_once: !final_answer && around.at_once(shared, ended),
        };
        let left = || context::deadline().map(|deadline| deadline.saturating_duration_since(time::now()));
        match policy::decide(facts, &shared.settings.get(), budget, left, || shared.rng.unit()) {
            Step::Finish(_) if !final_answer && around.others() => Then::Leave,
            Step::Finish(why) => {
                if why == Finish::Success {
                    token.succeeded(shared, around.is_first(self.waits) && self.deposits);
                    around.succeeded(shared, backup);
                }
                shared.finished(1 + self.waits + around.backups(), self.waits > 0, why);
                Then::Finish
            }
            Step::Again { wait, token: taken } => {
                self.attempts.take();
                self.waits += 1;
                self.wait = wait;
                *token = Token { held: taken.then(|| Arc::clone(shared)), spent: false, backup: None };
                shared.retrying(1 + self.waits + around.backups(), wait);
                Then::Again(wait)
            }
        }
    }
}

impl Token {
    /// For a backup, of the hedge's own bucket or of the retry's budget.
    pub(super) fn of_backup(shared: &Arc<Shared>, why: Why) -> Self {
        Self { held: Some(Arc::clone(shared)), spent: false, backup: Some(why) }
    }

    pub(super) fn spend(&mut self) {
        let held = self.held.take();
        self.spent = held.is_some();
        if let (Some(shared), Some(why)) = (held, self.backup)
            && let Some(core) = shared.hedge.as_deref()
        {
            core.sent(why);
        }
    }

    fn unspend(&mut self, shared: &Shared) {
        if std::mem::take(&mut self.spent) {
            self.give_back(shared);
        }
    }

    fn give_back(&self, shared: &Shared) {
        match self.backup {
            Some(Why::Hedge) => shared.hedge.as_deref().map_or((), Core::not_sent),
            _ => shared.budget.as_deref().map_or((), Budget::not_sent),
        }
    }

    fn succeeded(&self, shared: &Shared, first: bool) {
        let Some(budget) = shared.budget.as_deref() else { return };
        if self.spent {
            // A hedge has not taken its token from there.
            if self.backup != Some(Why::Hedge) {
                budget.retry_success();
            }
        } else if first {
            budget.first_success();
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(shared) = self.held.take() {
            self.give_back(&shared);
        }
    }
}
