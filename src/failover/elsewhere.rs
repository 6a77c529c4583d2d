//! What the outcome of an attempt says of its endpoint, and whether the call may be sent to another one. Pure.
//!
//! | outcome | of the endpoint | elsewhere? |
//! |---|---|---|
//! | refused by a layer around the endpoint (its breaker is open, its bulkhead full) | nothing | always: it was not sent |
//! | no connection, not ready in time | a failure | always: it was not sent |
//! | the endpoint says that it has the wrong role, or is starting | its role | always: it was not done |
//! | the endpoint says "less" | a penalty | if it was not sent, or may be sent twice |
//! | no answer: reset, timed out | a failure | if it may be sent twice; if not, the caller is told that it is in doubt |
//! | an error as answer that another try may mend | a failure | if it may be sent twice |
//! | any other error that counts against the service | a failure | never |
//! | an answer, or an error that says nothing of the service | that it is well | never |

use std::time::Duration;

use crate::Verdict;

/// What is known of how an attempt has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By a layer around the endpoint.
    Refused,
    WrongRole,
    /// Its service could not be made, or was not ready in time.
    NotReady,
    /// With an answer.
    Answered(Verdict),
    /// With an error.
    Failed {
        verdict: Verdict,
        reached: bool,
        in_doubt: bool,
    },
}

/// What it says of the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    Nothing,
    /// It has answered.
    Well,
    Busy {
        retry_after: Option<Duration>,
    },
    WrongRole,
    Failure(Failure),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Connect,
    NoAnswer,
    Error,
}

/// What may be done with the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It has come to its end.
    Finish,
    /// It may go to another endpoint, for nothing.
    Elsewhere,
    /// It may go to another endpoint, as any attempt that adds to the load.
    Again,
    /// Nobody knows whether it was done.
    InDoubt,
}

/// `judged` is the verdict of `ended` as far as it is the service's fault: in a stall of our own nothing is.
pub(super) fn decide(ended: Ended, judged: Verdict, may_repeat: bool) -> (Evidence, Next) {
    let again = if may_repeat { Next::Again } else { Next::Finish };
    match ended {
        Ended::Refused => (Evidence::Nothing, Next::Elsewhere),
        Ended::WrongRole => (Evidence::WrongRole, Next::Elsewhere),
        Ended::NotReady => (Evidence::Failure(Failure::Connect), Next::Elsewhere),
        Ended::Answered(verdict) => {
            let next = match verdict {
                Verdict::Transient { .. } | Verdict::Overloaded { .. } => again,
                Verdict::Success | Verdict::Permanent | Verdict::Neutral => Next::Finish,
            };
            (evidence(verdict, judged, Failure::Error), next)
        }
        Ended::Failed { verdict, reached, in_doubt } => {
            let failure = match (reached, in_doubt) {
                (false, _) => Failure::Connect,
                (true, true) => Failure::NoAnswer,
                (true, false) => Failure::Error,
            };
            let next = match verdict {
                Verdict::Success | Verdict::Neutral => Next::Finish,
                _ if !reached => Next::Elsewhere,
                Verdict::Permanent => Next::Finish,
                Verdict::Transient { .. } if in_doubt && !may_repeat => Next::InDoubt,
                Verdict::Transient { .. } | Verdict::Overloaded { .. } => again,
            };
            (evidence(verdict, judged, failure), next)
        }
    }
}

fn evidence(verdict: Verdict, judged: Verdict, failure: Failure) -> Evidence {
    match (verdict, judged) {
        (Verdict::Success | Verdict::Neutral, _) => Evidence::Well,
        (_, Verdict::Overloaded { retry_after }) => Evidence::Busy { retry_after },
        (_, Verdict::Transient { .. } | Verdict::Permanent) => Evidence::Failure(failure),
        // A failure that is excused.
        (_, Verdict::Success | Verdict::Neutral) => Evidence::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Verdict = Verdict::Overloaded { retry_after: None };

    fn failed(verdict: Verdict, reached: bool, in_doubt: bool) -> Ended {
        Ended::Failed { verdict, reached, in_doubt }
    }

    #[test]
    fn each_line_of_the_table() {
        use Evidence as E;
        let (busy, failure) = (E::Busy { retry_after: None }, E::Failure);
        let lines = [
            (Ended::Refused, E::Nothing, [Next::Elsewhere; 2]),
            (Ended::WrongRole, E::WrongRole, [Next::Elsewhere; 2]),
            (Ended::NotReady, failure(Failure::Connect), [Next::Elsewhere; 2]),
            (failed(Verdict::TRANSIENT, false, true), failure(Failure::Connect), [Next::Elsewhere; 2]),
            (failed(Verdict::Permanent, false, true), failure(Failure::Connect), [Next::Elsewhere; 2]),
            (failed(BUSY, false, true), busy, [Next::Elsewhere; 2]),
            (failed(BUSY, true, true), busy, [Next::Again, Next::Finish]),
            (failed(Verdict::TRANSIENT, true, true), failure(Failure::NoAnswer), [Next::Again, Next::InDoubt]),
            (failed(Verdict::TRANSIENT, true, false), failure(Failure::Error), [Next::Again, Next::Finish]),
            (failed(Verdict::Permanent, true, true), failure(Failure::NoAnswer), [Next::Finish; 2]),
            (failed(Verdict::Neutral, true, true), E::Well, [Next::Finish; 2]),
            (Ended::Answered(Verdict::Success), E::Well, [Next::Finish; 2]),
            (Ended::Answered(Verdict::Neutral), E::Well, [Next::Finish; 2]),
            (Ended::Answered(Verdict::TRANSIENT), failure(Failure::Error), [Next::Again, Next::Finish]),
            (Ended::Answered(Verdict::Permanent), failure(Failure::Error), [Next::Finish; 2]),
            (Ended::Answered(BUSY), busy, [Next::Again, Next::Finish]),
        ];
        for (ended, evidence, [if_twice, if_once]) in lines {
            let judged = match ended {
                Ended::Answered(verdict) | Ended::Failed { verdict, .. } => verdict,
                _ => Verdict::Neutral,
            };
            assert_eq!(decide(ended, judged, true), (evidence, if_twice), "{ended:?}, may be sent twice");
            assert_eq!(decide(ended, judged, false), (evidence, if_once), "{ended:?}, must not be sent twice");
        }
    }

    #[test]
    fn a_failure_in_a_stall_of_our_own_is_nobodys_and_moves_on_all_the_same() {
        let ended = failed(Verdict::TRANSIENT, true, true);
        assert_eq!(decide(ended, Verdict::Neutral, true), (Evidence::Nothing, Next::Again));
        assert_eq!(decide(ended, Verdict::Neutral, false), (Evidence::Nothing, Next::InDoubt));
    }
}
