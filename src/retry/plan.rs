//! The decision: when an attempt that is pending has a backup. Pure: takes `now` and the deadline.

use std::time::Duration;

use super::lane::Busy;
use crate::{
    hedge::{Due, Why},
    time::{self, Instant},
};

/// One attempt, as far as its backup is concerned.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    /// Which attempt of the call it is.
    pub(super) number: u32,
    /// When it was first pending.
    pub(super) started: Option<Instant>,
    /// Whether its soft timeout has had its say.
    pub(super) backed: bool,
}

impl Timing {
    /// Grows from the attempt that was sent first to the one that was sent last.
    fn sent(&self) -> (Option<Instant>, u32) {
        (self.started, self.number)
    }
}

/// The next backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) at: Instant,
    pub(super) why: Why,
    /// The lane of the attempt that is pending for too long.
    pub(super) of: usize,
    /// The lane that the backup takes.
    pub(super) into: usize,
}

/// What is planned from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) busy: [Busy; 2],
    pub(super) timings: [Timing; 2],
    /// When a hedge is due, if the first attempt is under way and has none yet.
    pub(super) hedge: Option<Due>,
    pub(super) soft_timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
}

/// The next backup, if one can come before the deadline. No more than two attempts are under way: when both have passed
/// the soft timeout, the older one makes room.
pub(super) fn plan(facts: Facts) -> Option<Plan> {
    use Busy::{Out, Trying};
    let (of, into) = match facts.busy {
        [Trying, Out] => (0, 1),
        [Out, Trying] => (1, 0),
        // Not by their numbers alone: retries below add to those.
        [Trying, Trying] if facts.timings[0].sent() > facts.timings[1].sent() => (0, 1),
        [Trying, Trying] => (1, 0),
        _ => return None,
    };
    let timing = facts.timings[of];
    let started = timing.started?;
    let at = |wait, why| Some(Plan { at: time::after(started, wait)?, why, of, into });
    let in_time =
        |plan: &Plan, takes| facts.deadline.is_none_or(|end| time::after(plan.at, takes).is_some_and(|at| at < end));
    let hedge = facts.hedge.filter(|_| of == 0 && facts.busy[1] == Out);
    let hedge = hedge.and_then(|due| at(due.after, Why::Hedge).filter(|plan| in_time(plan, due.takes)));
    let soft = facts.soft_timeout.filter(|_| !timing.backed).and_then(|limit| at(limit, Why::SoftTimeout));
    let soft = soft.filter(|plan| in_time(plan, Duration::ZERO));
    [hedge, soft].into_iter().flatten().min_by_key(|plan| plan.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn of_two_the_older_makes_room_though_retries_below_it_have_raised_its_number() {
        let start = time::now();
        let backed = Timing { number: 3, started: Some(start), backed: true };
        let newer = Timing { number: 2, started: Some(start + 100 * MS), backed: false };
        let facts = Facts {
            busy: [Busy::Trying; 2],
            timings: [backed, newer],
            hedge: None,
            soft_timeout: Some(100 * MS),
            deadline: None,
        };
        let expected = Plan { at: start + 200 * MS, why: Why::SoftTimeout, of: 1, into: 0 };
        assert_eq!(plan(facts), Some(expected));
    }
}
