//! What is compared: each one configuration, for all scenarios and clients.

mod aws;
mod plain;
mod seatbelt;
mod steadfast;
mod tower;
mod tower_resilience;

use std::time::Duration;

use ::steadfast::storm::{Candidate, Failure, Response, Status};

/// What everybody's own total timeout is, if they have one: nobody waits for longer.
const DEADLINE: Duration = Duration::from_secs(1);
/// What one attempt may take where it is cut: over ten times the mean of a call.
const ATTEMPT: Duration = Duration::from_millis(250);

/// Someone to compare with.
pub(crate) struct Peer {
    pub(crate) stack: Box<dyn Candidate>,
    /// Whether it reads the system's clock, and so needs a virtual one.
    pub(crate) reads_system_clock: bool,
    /// In a few words.
    pub(crate) configuration: &'static str,
}

impl Peer {
    fn new(stack: impl Candidate + 'static, configuration: &'static str) -> Self {
        Self { stack: Box::new(stack), reads_system_clock: false, configuration }
    }

    fn reads_system_clock(self) -> Self {
        Self { reads_system_clock: true, ..self }
    }

    pub(crate) fn name(&self) -> &str {
        self.stack.name()
    }
}

pub(crate) fn all() -> Vec<Peer> {
    vec![
        plain::no_policy(),
        plain::naive(),
        tower::peer(),
        aws::peer(),
        tower_resilience::presets(),
        tower_resilience::tuned(),
        seatbelt::defaults(),
        seatbelt::tuned(),
        steadfast::peer(),
    ]
}

/// How an attempt can end badly.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    Backend(Failure),
    TimedOut,
    /// By the client's own breaker or bulkhead.
    NotSent,
    /// A 4xx, where it is an error like any other.
    Invalid(Response),
}

/// A 4xx becomes an error.
fn strictly(outcome: Result<Response, Failure>) -> Result<Response, Trouble> {
    match outcome {
        Ok(response) if response.status() == Status::Invalid => Err(Trouble::Invalid(response)),
        outcome => outcome.map_err(Trouble::Backend),
    }
}

/// A 4xx is an answer again for who asked.
fn leniently(outcome: Result<Response, Trouble>) -> Result<Response, Trouble> {
    match outcome {
        Err(Trouble::Invalid(response)) => Ok(response),
        outcome => outcome,
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Backend(failure)
    }
}
