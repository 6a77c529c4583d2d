//! What a breaker tells of itself: its states, why it changed them, and how it looks.

use std::{fmt, time::Duration};

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Lets calls through and watches them.
    Closed,
    /// Refuses calls until its wait is over.
    Open,
    /// Lets a few trial calls through, to decide by them.
    HalfOpen,
    /// By hand: refuses all calls, records nothing.
    ForcedOpen,
    /// By hand: lets all calls through, records nothing.
    Disabled,
    /// By hand: lets all calls through, records them, never opens.
    MetricsOnly,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics only",
        })
    }
}

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The failure rate was reached.
    FailureRate,
    /// The rate of slow calls was reached.
    SlowCallRate,
    /// So many failures came in a row.
    ConsecutiveFailures,
    /// The wait of the open state was over.
    WaitOver,
    /// The trial calls went well.
    Recovered,
    /// Half-open lasted too long without a decision.
    HalfOpenTooLong,
    /// By hand.
    ByHand,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FailureRate => "failure rate",
            Self::SlowCallRate => "slow call rate",
            Self::ConsecutiveFailures => "failures in a row",
            Self::WaitOver => "wait over",
            Self::Recovered => "trial calls succeeded",
            Self::HalfOpenTooLong => "half-open too long",
            Self::ByHand => "by hand",
        })
    }
}

/// One change of state, with what an operator asks about it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StateChange {
    /// The state before.
    pub from: State,
    /// The state after.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// Which change this is, counted from the creation of the breaker. Events may arrive out of order; this tells.
    pub generation: u64,
    /// The failure rate in the state before, if it had one.
    pub failure_rate: Option<f64>,
    /// The rate of slow calls in the state before, if it had one.
    pub slow_call_rate: Option<f64>,
    /// Calls that had ended in the window of the state before.
    pub calls: u32,
    /// How long the state before lasted.
    pub lasted: Duration,
    /// How many calls the state before refused.
    pub refused: u64,
    /// Outcomes that came too late to count, since the breaker was created.
    pub late: u64,
    /// If the new state is open: for how long.
    pub open_for: Option<Duration>,
}

impl fmt::Display for StateChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {} ({})", self.from, self.to, self.cause)
    }
}

/// What a breaker looks like at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// The state.
    pub state: State,
    /// Whether a call would be let through now. An open breaker whose wait is over says `true`.
    pub admits: bool,
    /// How long the state has lasted.
    pub since: Duration,
    /// If open: how long until a call is let through.
    pub open_for: Option<Duration>,
    /// How many times in a row the breaker has opened without closing in between.
    pub attempt: u32,
    /// Share of failures in the window, if it holds enough calls.
    pub failure_rate: Option<f64>,
    /// Share of slow calls in the window, if it holds enough calls.
    pub slow_call_rate: Option<f64>,
    /// Calls in the window that ended with a result.
    pub recorded: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// Calls in the window that were slow.
    pub slow: u32,
    /// Calls in the window that were dropped without a result.
    pub abandoned: u32,
    /// Calls refused since the window began.
    pub refused: u64,
    /// Calls refused since the breaker was created.
    pub refused_in_all: u64,
    /// Outcomes that came too late to count, since the breaker was created.
    pub late: u64,
}
