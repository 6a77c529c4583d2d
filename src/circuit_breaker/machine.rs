//! The decision: pure, single-threaded, with `now` as an argument. All of the semantics live here. Public for
//! simulations and tests; may change in minor versions.
//!
//! ```text
//!            rate or row of failures              wait over, next call (or by itself)
//!   Closed ---------------------------> Open ------------------------------------------> HalfOpen
//!      ^                                 ^                                                |    |
//!      |                                 '------- trial calls fail, or no decision -------'    |
//!      '--------------------------- trial calls succeed ---------------------------------------'
//!   by hand: ForcedOpen (refuses all), Disabled (lets all through), MetricsOnly (records, never opens)
//! ```
//!
//! A call that is let through gets a `Ticket` stamped with the generation of the state; every transition starts a
//! new generation, and an outcome with an old ticket changes nothing but the count of late ones. Timers are not
//! waited for: whatever was due is done, with the clock at its due time, before anything else is looked at.

mod ramp;
mod reading;
mod transitions;

use std::time::Duration;

use self::ramp::{Ramp, admit_share};
use super::{
    settings::{Abandoned, CircuitBreakerSettings, HalfOpenEnd, Window as WindowKind},
    state::{Cause, State, StateChange},
    window::{Mark, Totals, Window},
};
use crate::{RejectedKind, rng::Rng};

/// How far a timer loop of an unused breaker is followed step by step before whole rounds are skipped.
const TIMER_STEPS: u32 = 32;

/// So many openings in a row are followed while the waits still grow.
const GROWING_STEPS: u32 = 1024;

/// Permission for one call, valid in the generation that issued it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(super) generation: u64,
}

/// Why a call is not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The state that refuses, as a kind of rejection.
    pub kind: RejectedKind,
    /// When a call has a chance again, if the breaker knows.
    pub retry_after: Option<Duration>,
}

/// How a call ended that has a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The service did its job.
    Success,
    /// It did not.
    Failure,
}

/// The circuit breaker without threads, clocks and services.
///
/// `now` is the time since any fixed origin; where it steps back, the latest seen holds. Time windows are cut at
/// whole seconds of it.
#[derive(Clone, Debug)]
pub struct Machine {
    settings: CircuitBreakerSettings,
    phase: Phase,
    generation: u64,
    since: Duration,
    latest: Duration,
    window: Window,
    minimum: u32,
    /// Openings without closing in between.
    attempt: u32,
    /// Since the window began.
    refused: u64,
    refused_in_all: u64,
    refused_before: u64,
    late: u64,
    rng: Rng,
    changes: Vec<StateChange>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Closed {
        in_a_row: u32,
        ramp: Option<Ramp>,
    },
    Open {
        until: Duration,
    },
    /// `places` are those taken: by calls that are `out`, and by outcomes.
    HalfOpen {
        places: u32,
        out: u32,
        in_a_row: u32,
    },
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

impl Phase {
    const CLOSED: Self = Self::Closed { in_a_row: 0, ramp: None };
    const HALF_OPEN: Self = Self::HalfOpen { places: 0, out: 0, in_a_row: 0 };
}

impl Machine {
    /// A closed breaker. `seed` decides the jitter of its waits. The settings are taken as they are; see
    /// [`CircuitBreakerSettings::check`].
    pub fn new(settings: CircuitBreakerSettings, seed: u64, now: Duration) -> Self {
        Self {
            window: Window::new(settings.window),
            minimum: settings.minimum(),
            settings,
            phase: Phase::CLOSED,
            generation: 0,
            since: now,
            latest: now,
            attempt: 0,
            refused: 0,
            refused_in_all: 0,
            refused_before: 0,
            late: 0,
            rng: Rng::seeded(seed),
            changes: Vec::new(),
        }
    }

    /// A breaker that begins in `state`: open and half-open ones have opened once before.
    pub fn starting_in(state: State, settings: CircuitBreakerSettings, seed: u64, now: Duration) -> Self {
        let mut machine = Self::new(settings, seed, now);
        match state {
            State::Closed => {}
            State::Open => machine.enter_open(now, Cause::ByHand, None),
            State::HalfOpen => {
                machine.attempt = 1;
                machine.enter_half_open(now, Cause::ByHand);
            }
            State::ForcedOpen => machine.force_open(now),
            State::Disabled => machine.disable(now),
            State::MetricsOnly => machine.metrics_only(now),
        }
        machine.changes.clear();
        machine
    }

    /// The settings in force.
    pub fn settings(&self) -> &CircuitBreakerSettings {
        &self.settings
    }

    /// The state as of the last look at the clock.
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
            Phase::ForcedOpen => State::ForcedOpen,
            Phase::Disabled => State::Disabled,
            Phase::MetricsOnly => State::MetricsOnly,
        }
    }

    // ## Time

    /// When the state changes by itself next, if it does; never at the end of what a `Duration` can express.
    pub fn next_timer(&self) -> Option<Duration> {
        let due = match self.phase {
            Phase::Open { until } if self.settings.automatic_half_open => Some(until),
            Phase::HalfOpen { .. } => self.settings.half_open_max_wait.map(|wait| self.since.saturating_add(wait)),
            _ => None,
        };
        due.filter(|due| *due < Duration::MAX)
    }

    /// Does what was due by `now`, in order, each with the clock at its due time. Every other function does this
    /// first.
    pub fn advance(&mut self, now: Duration) -> Duration {
        let now = now.max(self.latest);
        self.latest = now;
        let mut steps = 0;
        while let Some(due) = self.next_timer().filter(|due| *due <= now) {
            if steps == TIMER_STEPS {
                self.skip_rounds(now);
                steps = 0;
                continue;
            }
            steps += 1;
            self.fire(due);
        }
        now
    }

    /// What one timer does.
    fn fire(&mut self, due: Duration) {
        match self.phase {
            // ## Open => HalfOpen
            Phase::Open { .. } => self.enter_half_open(due, Cause::WaitOver),
            // ## HalfOpen => (Open | Closed)
            Phase::HalfOpen { out, .. } => match self.settings.half_open_end {
                HalfOpenEnd::Open => self.enter_open(due, Cause::HalfOpenTooLong, None),
                HalfOpenEnd::Close => self.enter_closed(due, Cause::HalfOpenTooLong, None),
                HalfOpenEnd::Judge => {
                    let totals = self.window.totals(due);
                    let judged = Totals {
                        recorded: totals.recorded.saturating_add(out),
                        failed: totals.failed.saturating_add(out),
                        ..totals
                    };
                    if totals.recorded > 0 && self.rate_reached(&judged).is_none() {
                        self.enter_closed(due, Cause::Recovered, self.settings.ramp);
                    } else {
                        self.enter_open(due, Cause::HalfOpenTooLong, None);
                    }
                }
            },
            _ => {}
        }
    }

    /// An unused breaker with both timers goes round and round. Once its waits have stopped changing, whole rounds
    /// that lie in the past are skipped.
    fn skip_rounds(&mut self, now: Duration) {
        if let (Phase::Open { until }, Some(half_open)) = (self.phase, self.settings.half_open_max_wait)
            && (self.attempt >= GROWING_STEPS || self.settings.wait_open.settled(self.attempt))
        {
            let round = (until - self.since).saturating_add(half_open);
            let rounds = (now.saturating_sub(self.since).as_nanos() / round.as_nanos().max(1)).saturating_sub(1);
            let skipped = saturating_nanos(round.as_nanos().saturating_mul(rounds));
            self.since = self.since.saturating_add(skipped);
            self.phase = Phase::Open { until: until.saturating_add(skipped) };
            self.attempt = self.attempt.saturating_add(u32::try_from(rounds).unwrap_or(u32::MAX));
        } else {
            self.fire(self.next_timer().unwrap_or(now));
        }
    }

    // ## Calls

    /// Whether a call would be let through.
    pub fn would_admit(&mut self, now: Duration) -> bool {
        let now = self.advance(now);
        match self.phase {
            Phase::Closed { .. } | Phase::Disabled | Phase::MetricsOnly => true,
            Phase::Open { until } => now >= until,
            Phase::HalfOpen { places, out, .. } => self.settings.has_place(places, out),
            Phase::ForcedOpen => false,
        }
    }

    /// Asks for a call to be let through. Every ticket is to be given back to one of [`record`](Self::record),
    /// [`release`](Self::release) and [`abandon`](Self::abandon).
    ///
    /// # Errors
    /// The refusal, which is counted.
    pub fn acquire(&mut self, now: Duration) -> Result<Ticket, Refusal> {
        let now = self.advance(now);
        if let Phase::Open { until } = self.phase
            && now >= until
        {
            self.enter_half_open(now, Cause::WaitOver);
        }
        let admitted = match &mut self.phase {
            Phase::Closed { ramp, .. } => admit_share(ramp, now, self.settings.ramp),
            Phase::Disabled | Phase::MetricsOnly => true,
            Phase::HalfOpen { places, out, .. } if self.settings.has_place(*places, *out) => {
                *places += 1;
                *out += 1;
                true
            }
            Phase::HalfOpen { .. } | Phase::Open { .. } | Phase::ForcedOpen => false,
        };
        if admitted { Ok(Ticket { generation: self.generation }) } else { Err(self.refuse(now)) }
    }

    /// Refuses a call without looking for a place, and counts that.
    pub fn refuse(&mut self, now: Duration) -> Refusal {
        let now = self.advance(now);
        self.refused += 1;
        self.refused_in_all += 1;
        let (kind, retry_after) = match self.phase {
            Phase::Open { until } => (RejectedKind::CircuitOpen, Some(until.saturating_sub(now))),
            // A place becomes free when a trial call says nothing, or all do when they decide: nobody knows when.
            Phase::HalfOpen { .. } => (RejectedKind::CircuitHalfOpen, Some(self.soon(now, self.next_timer()))),
            Phase::ForcedOpen => (RejectedKind::CircuitForcedOpen, None),
            Phase::Closed { ramp: Some(ramp), .. } => (RejectedKind::CircuitOpen, Some(self.soon(now, Some(ramp.end)))),
            // It closed since the caller asked for readiness.
            Phase::Closed { .. } | Phase::Disabled | Phase::MetricsOnly => {
                (RejectedKind::CircuitOpen, Some(Duration::ZERO))
            }
        };
        Refusal { kind, retry_after }
    }

    /// As long as the first open state, or until `end` if that is sooner: for refusals of a state that lets some calls
    /// through.
    fn soon(&self, now: Duration, end: Option<Duration>) -> Duration {
        let wait = self.settings.wait_open.endless(1, 0.5);
        end.map_or(wait, |end| wait.min(end.saturating_sub(now)))
    }

    /// A call ended with a result after `took`.
    pub fn record(&mut self, now: Duration, ticket: Ticket, outcome: Outcome, took: Duration) {
        if let Some(now) = self.current(now, ticket) {
            let failed = outcome == Outcome::Failure;
            let mark = Mark { failed, slow: self.settings.is_slow(took), abandoned: false };
            self.push(now, mark, true);
        }
    }

    /// A call ended in a way that says nothing about the service, or was not made: its place is free again.
    pub fn release(&mut self, now: Duration, ticket: Ticket) {
        if self.current(now, ticket).is_some() {
            self.give_back();
        }
    }

    /// A call was dropped without a result after `took`, past its deadline or not.
    pub fn abandon(&mut self, now: Duration, ticket: Ticket, took: Duration, past_deadline: bool) {
        let Some(now) = self.current(now, ticket) else { return };
        let slow = self.settings.is_slow(took);
        let failed = match self.settings.abandoned {
            Abandoned::Ignored => return self.give_back(),
            Abandoned::Failure => true,
            Abandoned::Judged => past_deadline,
        };
        // There must be a place for the call that decides.
        self.give_back();
        self.push(now, Mark { failed, slow, abandoned: !failed }, false);
    }

    /// The time, if the ticket is of the present generation; else the outcome is too late.
    fn current(&mut self, now: Duration, ticket: Ticket) -> Option<Duration> {
        let now = self.advance(now);
        if ticket.generation != self.generation {
            self.late += 1;
            return None;
        }
        if let Phase::HalfOpen { out, .. } = &mut self.phase {
            *out = out.saturating_sub(1);
        }
        Some(now)
    }

    fn give_back(&mut self) {
        if let Phase::HalfOpen { places, .. } = &mut self.phase {
            *places = places.saturating_sub(1);
        }
    }

    /// Records an outcome and decides. Only one that `may_close` closes a half-open breaker.
    fn push(&mut self, now: Duration, mark: Mark, may_close: bool) {
        match &mut self.phase {
            Phase::Closed { in_a_row, .. } | Phase::HalfOpen { in_a_row, .. } => {
                if mark.failed {
                    *in_a_row = in_a_row.saturating_add(1);
                } else if !mark.abandoned {
                    *in_a_row = 0;
                }
            }
            Phase::MetricsOnly => return self.window.push(now, mark),
            Phase::Disabled | Phase::Open { .. } | Phase::ForcedOpen => return,
        }
        self.window.push(now, mark);
        self.decide(now, may_close);
    }

    /// Looks at what has been recorded, and changes the state if that is reason enough.
    fn decide(&mut self, now: Duration, may_close: bool) {
        let (Phase::Closed { in_a_row, .. } | Phase::HalfOpen { in_a_row, .. }) = self.phase else { return };
        let totals = self.window.totals(now);
        let enough = totals.calls() >= self.minimum;
        let rate = if enough { self.rate_reached(&totals) } else { None };
        // ## Closed, HalfOpen => Open
        if let Some(cause) = self.row_reached(in_a_row).or(rate) {
            return self.enter_open(now, cause, None);
        }
        // ## HalfOpen => Closed
        if enough && may_close && totals.recorded > 0 && matches!(self.phase, Phase::HalfOpen { .. }) {
            self.enter_closed(now, Cause::Recovered, self.settings.ramp);
        }
    }

    fn row_reached(&self, in_a_row: u32) -> Option<Cause> {
        self.settings.consecutive_failures.filter(|limit| in_a_row >= *limit).map(|_| Cause::ConsecutiveFailures)
    }

    fn rate_reached(&self, totals: &Totals) -> Option<Cause> {
        // A rate so small that it is 0 as a 32-bit float is still not reached by nothing.
        let reached = |percent: f32, rate: f64| percent > 0.0 && percent >= (rate * 100.0) as f32;
        if reached(totals.failure_percent(), self.settings.failure_rate) {
            Some(Cause::FailureRate)
        } else {
            let slow = self.settings.slow_calls.filter(|slow| reached(totals.slow_percent(), slow.rate));
            slow.map(|_| Cause::SlowCallRate)
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether calls are let through without asking, as long as the generation lasts.
    pub(super) fn lets_all_through(&self) -> bool {
        matches!(self.phase, Phase::Closed { ramp: None, .. } | Phase::Disabled | Phase::MetricsOnly)
    }
}

fn saturating_nanos(nanos: u128) -> Duration {
    const SECOND: u128 = 1_000_000_000;
    u64::try_from(nanos / SECOND).map_or(Duration::MAX, |secs| Duration::new(secs, (nanos % SECOND) as u32))
}
