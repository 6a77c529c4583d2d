//! The decision: whether an attempt that ended is followed by another, and when. Pure but for the budget.

use std::time::Duration;

use super::{budget::Budget, settings::RetrySettings};
use crate::Verdict;

/// How an attempt ended, as far as retrying is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The service, or something on the way to it, answered.
    Answered {
        verdict: Verdict,
        /// Whether the service may have seen the request.
        reached: bool,
    },
    /// A layer below refused; it certainly was not sent.
    Refused { retry_after: Option<Duration> },
}

/// What is known when an attempt has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) ended: Ended,
    pub(super) attempts_left: bool,
    /// Which wait this would be, counted from 1.
    pub(super) wait_number: u32,
    pub(super) previous_wait: Duration,
    /// Whether there is a copy to send.
    pub(super) copied: bool,
    /// Whether it may be sent even if the first one was seen.
    pub(super) may_repeat: bool,
    /// Whether it is sent without a back-off: in place of the hedge that was to come.
    pub(super) at_once: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Answer with this outcome.
    Finish(Finish),
    /// Try again after `wait`, with a token of the budget or not.
    Again { wait: Duration, token: bool },
}

/// Why a call is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finish {
    /// It succeeded.
    Success,
    /// Another try would make no sense: the outcome is permanent or neutral, or a layer below refused without saying
    /// when it will not, or not soon enough.
    NotRetryable,
    /// The service may have seen it, and it may not be sent twice.
    NotRepeatable,
    /// All attempts have been made, or the back-off has no further wait.
    OutOfAttempts,
    /// The budget is used up.
    OutOfBudget,
    /// The wait would end after the deadline; or the wait for a layer that refuses would leave less than half of the
    /// time for the attempt.
    OutOfTime,
}

/// A wait that nobody lives to see the end of, and that the clock may not be able to express.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Decides. What is `left` until the deadline (`None`: there is none) is asked, and `random` drawn, only if needed: a
/// call that succeeds reads no clock.
pub(super) fn decide(
    facts: Facts,
    settings: &RetrySettings,
    budget: Option<&Budget>,
    left: impl FnOnce() -> Option<Duration>,
    random: impl FnOnce() -> f64,
) -> Step {
    let (asked, reached, token) = match facts.ended {
        Ended::Answered { verdict: Verdict::Success, .. } => return Step::Finish(Finish::Success),
        Ended::Answered { verdict: Verdict::Permanent | Verdict::Neutral, .. } => {
            return Step::Finish(Finish::NotRetryable);
        }
        Ended::Answered {
            verdict: Verdict::Transient { retry_after } | Verdict::Overloaded { retry_after },
            reached,
        } => (retry_after.map(|wait| wait.min(settings.max_retry_after)), reached, true),
        // It made no load, so it costs no token; to come back before the time is to be refused again.
        Ended::Refused { retry_after: Some(wait) } if wait <= settings.max_retry_after => (Some(wait), false, false),
        Ended::Refused { .. } => return Step::Finish(Finish::NotRetryable),
    };
    if !facts.attempts_left {
        return Step::Finish(Finish::OutOfAttempts);
    }
    if !facts.copied || reached && !facts.may_repeat {
        return Step::Finish(Finish::NotRepeatable);
    }
    let back_off = || settings.backoff.wait(facts.wait_number, facts.previous_wait, random());
    let wait = asked.or_else(|| back_off().map(|wait| if facts.at_once { Duration::ZERO } else { wait }));
    let Some(wait) = wait.filter(|wait| *wait < NEVER) else { return Step::Finish(Finish::OutOfAttempts) };
    // A call that is held for a refusing layer leaves at least half of its time for the attempt. Those held longest come
    // first when a breaker becomes half-open: cut by their deadlines, they would fail the trial of a service that is well.
    let needed = if token { wait } else { wait.saturating_mul(2) };
    if left().is_some_and(|left| needed >= left) {
        return Step::Finish(Finish::OutOfTime);
    }
    // Last, so that no token is taken for a retry that is not made.
    if token && budget.is_some_and(|budget| !budget.withdraw()) {
        return Step::Finish(Finish::OutOfBudget);
    }
    Step::Again { wait, token: token && budget.is_some() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn facts(ended: Ended) -> Facts {
        Facts {
            ended,
            attempts_left: true,
            wait_number: 1,
            previous_wait: Duration::ZERO,
            copied: true,
            may_repeat: true,
            at_once: false,
        }
    }

    fn transient(retry_after: Option<Duration>) -> Ended {
        Ended::Answered { verdict: Verdict::Transient { retry_after }, reached: true }
    }

    fn step(facts: Facts) -> Step {
        decide(facts, &RetrySettings::default(), None, || None, || 0.5)
    }

    #[test]
    fn a_retry_after_wins_over_the_computed_wait_up_to_its_cap() {
        let again = |wait| Step::Again { wait, token: false };
        assert_eq!(step(facts(transient(Some(700 * MS)))), again(700 * MS));
        assert_eq!(step(facts(transient(Some(3_600_000 * MS)))), again(10_000 * MS));
        assert_eq!(step(facts(transient(Some(Duration::ZERO)))), again(Duration::ZERO));
    }

    #[test]
    fn what_may_have_been_seen_and_not_be_repeated_is_not() {
        let once = |ended| step(Facts { may_repeat: false, ..facts(ended) });
        assert_eq!(once(transient(None)), Step::Finish(Finish::NotRepeatable));
        let unsent = Ended::Answered { verdict: Verdict::TRANSIENT, reached: false };
        assert!(matches!(once(unsent), Step::Again { .. }));
        assert!(matches!(once(Ended::Refused { retry_after: Some(MS) }), Step::Again { .. }));
    }

    #[test]
    fn a_wait_that_would_end_at_the_deadline_or_after_it_is_not_begun() {
        let facts = facts(transient(Some(100 * MS)));
        let with = |left| decide(facts, &RetrySettings::default(), None, || Some(left), || 0.5);
        assert_eq!(with(100 * MS), Step::Finish(Finish::OutOfTime));
        assert!(matches!(with(101 * MS), Step::Again { .. }));
    }

    #[test]
    fn a_wait_for_a_refusing_layer_leaves_half_of_the_time_for_the_attempt() {
        let facts = facts(Ended::Refused { retry_after: Some(100 * MS) });
        let with = |left| decide(facts, &RetrySettings::default(), None, || Some(left), || 0.5);
        assert_eq!(with(200 * MS), Step::Finish(Finish::OutOfTime));
        assert!(matches!(with(201 * MS), Step::Again { .. }));
    }

    #[test]
    fn a_refusal_is_retried_only_when_it_says_when_and_costs_no_token() {
        let budget = Budget::ratio();
        let refused = |retry_after| {
            decide(facts(Ended::Refused { retry_after }), &RetrySettings::default(), Some(&budget), || None, || 0.5)
        };
        assert_eq!(refused(None), Step::Finish(Finish::NotRetryable));
        assert_eq!(refused(Some(20_000 * MS)), Step::Finish(Finish::NotRetryable));
        assert_eq!(refused(Some(MS)), Step::Again { wait: MS, token: false });
        assert_eq!(budget.tokens(), 50.0);
    }
}
