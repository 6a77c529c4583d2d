//! Permission for one call, as a guard.

use std::{sync::Arc, time::Duration};

use super::{
    core::Core,
    machine::{Machine, Outcome, Refusal, Ticket},
};
use crate::{
    Rejected, Verdict, context, stall,
    time::{self, Instant},
};

/// Permission for one call, for code without a service: a consumer, a stream, synchronous code.
///
/// Say how the call ended with [`success`](Self::success), [`failure`](Self::failure) or [`record`](Self::record); or
/// that it says nothing ([`ignore`](Self::ignore)) or was not made ([`release`](Self::release)). Dropped without a
/// word it counts as abandoned, or, if a panic drops it, as a failure; either way it gives back what it held.
///
/// ```
/// # use steadfast::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
/// # fn send(line: &str) -> std::io::Result<()> { Ok(()) }
/// # fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let breaker = CircuitBreakerLayer::default().handle();
/// let permit = breaker.acquire()?;
/// match send("hello") {
///     Ok(()) => permit.success(),
///     Err(_) => permit.failure(),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as an abandoned call"]
pub struct Permit {
    core: Arc<Core>,
    /// `None` once the outcome is recorded.
    ticket: Option<Ticket>,
    started: Option<Duration>,
    deadline: Option<Instant>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Held by a user: a panic is seen as it unwinds.
    ByHand { was_panicking: bool },
    /// Held by a response future that is not being polled.
    Idle,
    /// The call is being polled; if this is never taken back, it panicked.
    Running,
}

impl Permit {
    /// Asks the breaker for a call of a service.
    pub(super) fn for_call(core: &Arc<Core>) -> Result<Self, Rejected> {
        let started = core.timed().then(|| core.clock.now());
        Self::acquire(core, started, Stage::Running)
    }

    pub(super) fn by_hand(core: &Arc<Core>) -> Result<Self, Rejected> {
        let was_panicking = std::thread::panicking();
        let mut permit = Self::acquire(core, Some(core.clock.now()), Stage::ByHand { was_panicking })?;
        permit.pending();
        Ok(permit)
    }

    fn acquire(core: &Arc<Core>, started: Option<Duration>, stage: Stage) -> Result<Self, Rejected> {
        match core.acquire(|| started.unwrap_or_else(|| core.clock.now())) {
            Ok(ticket) => Ok(Self { core: Arc::clone(core), ticket: Some(ticket), started, deadline: None, stage }),
            Err(refusal) => Err(rejected(core, refusal)),
        }
    }

    /// The refusal of a call that the breaker is not even asked for.
    pub(super) fn refuse(core: &Core) -> Rejected {
        rejected(core, core.with(|machine| machine.refuse(core.clock.now())))
    }

    /// The call worked.
    pub fn success(self) {
        self.record(Verdict::Success);
    }

    /// The call failed.
    pub fn failure(self) {
        self.record(Verdict::TRANSIENT);
    }

    /// The call ended in a way that says nothing about the service.
    pub fn ignore(self) {
        self.record(Verdict::Neutral);
    }

    /// The call was not made after all.
    pub fn release(self) {
        self.record(Verdict::Neutral);
    }

    /// The call ended as `verdict` says.
    pub fn record(mut self, verdict: Verdict) {
        self.finish(stall::excuse(verdict));
    }

    pub(super) fn finish(&mut self, verdict: Verdict) {
        let outcome = match verdict {
            Verdict::Success => Some(Outcome::Success),
            Verdict::Transient { .. } | Verdict::Permanent => Some(Outcome::Failure),
            Verdict::Overloaded { .. } => self.core.overloaded_is_failure().then_some(Outcome::Failure),
            Verdict::Neutral => None,
        };
        self.end(|machine, now, ticket, took| match outcome {
            Some(outcome) => machine.record(now, ticket, outcome, took),
            None => machine.release(now, ticket),
        });
    }

    /// Runs a poll of the call; one that does not come back has panicked.
    pub(super) fn run<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        self.stage = Stage::Running;
        let value = poll();
        self.stage = Stage::Idle;
        value
    }

    /// The call has to wait: remember its deadline, by which its end is judged if it is dropped.
    pub(super) fn pending(&mut self) {
        if self.deadline.is_none() {
            self.deadline = context::deadline();
        }
    }

    fn end(&mut self, tell: impl FnOnce(&mut Machine, Duration, Ticket, Duration)) {
        if let Some(ticket) = self.ticket.take() {
            let now = self.core.clock.now();
            let took = self.started.map(|started| now.saturating_sub(started));
            let took = took.filter(|took| !self.core.may_be_slow(*took) || !stall::excuses()).unwrap_or_default();
            self.core.with(|machine| tell(machine, now, ticket, took));
        }
    }
}

fn rejected(core: &Core, refusal: Refusal) -> Rejected {
    Rejected::new(refusal.kind, core.name.clone()).with_retry_after(refusal.retry_after)
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.ticket.is_none() {
            return;
        }
        let panicked = match self.stage {
            Stage::ByHand { was_panicking } => std::thread::panicking() && !was_panicking,
            Stage::Idle => false,
            Stage::Running => true,
        };
        let excused = !panicked && stall::excuses();
        let past_deadline = self.deadline.is_some_and(|deadline| time::now() >= deadline);
        self.end(|machine, now, ticket, took| {
            if panicked {
                machine.record(now, ticket, Outcome::Failure, took);
            } else if excused {
                machine.release(now, ticket);
            } else {
                machine.abandon(now, ticket, took, past_deadline);
            }
        });
    }
}
