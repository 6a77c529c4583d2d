//! The decision: pure, single-threaded, with `now` as an argument. All of the semantics live here.
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
//! A call that is let through gets a [`Ticket`] stamped with the generation of the state; every transition starts a
//! new generation, and an outcome with an old ticket changes nothing but the count of late ones. Timers are not
//! waited for: whatever was due is done, with the clock at its due time, before anything else is looked at.

use std::time::Duration;

use super::{
    settings::{Abandoned, CircuitBreakerSettings, HalfOpenEnd, Window as WindowKind},
    state::{Cause, Snapshot, State, StateChange},
    window::{Mark, Totals, Window},
};
use crate::{RejectedKind, rng::Rng};

/// How far a timer loop of an unused breaker is followed step by step before whole rounds are skipped.
const TIMER_STEPS: u32 = 32;

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
    /// `places` are those taken: by calls that are out, and by outcomes.
    HalfOpen {
        places: u32,
        in_a_row: u32,
    },
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

/// A share of the calls that grows from a tenth to all.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ramp {
    end: Duration,
    /// What the share has saved up; a call is let through when this reaches one.
    credit: f64,
}

impl Phase {
    const CLOSED: Self = Self::Closed { in_a_row: 0, ramp: None };
    const HALF_OPEN: Self = Self::HalfOpen { places: 0, in_a_row: 0 };
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

    /// When the state changes by itself next, if it does.
    pub fn next_timer(&self) -> Option<Duration> {
        match self.phase {
            Phase::Open { until } if self.settings.automatic_half_open => Some(until),
            Phase::HalfOpen { .. } => self.settings.half_open_max_wait.map(|wait| self.since.saturating_add(wait)),
            _ => None,
        }
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
            Phase::HalfOpen { places, .. } => match self.settings.half_open_end {
                HalfOpenEnd::Open => self.enter_open(due, Cause::HalfOpenTooLong, None),
                HalfOpenEnd::Close => self.enter_closed(due, Cause::HalfOpenTooLong, None),
                HalfOpenEnd::Judge => {
                    let totals = self.window.totals(due);
                    let out = places.saturating_sub(totals.recorded);
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

    /// An unused breaker with both timers goes round and round. Once its waits have stopped growing, whole rounds
    /// that lie in the past are skipped.
    fn skip_rounds(&mut self, now: Duration) {
        let wait = |n| self.settings.wait_open.endless(n, 0.5);
        let grows = |n: u32| wait(n) != wait(n.saturating_add(1));
        if let (Phase::Open { until }, Some(half_open)) = (self.phase, self.settings.half_open_max_wait)
            && !grows(self.attempt)
        {
            let round = (until - self.since).saturating_add(half_open);
            let rounds = (now.saturating_sub(self.since).as_nanos() / round.as_nanos().max(1)).saturating_sub(1);
            let skipped =
                Duration::from_nanos(u64::try_from(round.as_nanos().saturating_mul(rounds)).unwrap_or(u64::MAX));
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
            Phase::HalfOpen { places, .. } => places < self.settings.half_open_calls,
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
            Phase::HalfOpen { places, .. } if *places < self.settings.half_open_calls => {
                *places += 1;
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
            Phase::HalfOpen { .. } => {
                let wait = self.settings.wait_open.endless(1, 0.5);
                let left = self.next_timer().map_or(wait, |end| end.saturating_sub(now));
                (RejectedKind::CircuitHalfOpen, Some(wait.min(left)))
            }
            Phase::ForcedOpen => (RejectedKind::CircuitForcedOpen, None),
            Phase::Closed { ramp: Some(ramp), .. } => (RejectedKind::CircuitOpen, Some(ramp.end.saturating_sub(now))),
            // It closed since the caller asked for readiness.
            Phase::Closed { .. } | Phase::Disabled | Phase::MetricsOnly => {
                (RejectedKind::CircuitOpen, Some(Duration::ZERO))
            }
        };
        Refusal { kind, retry_after }
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
        if !failed {
            self.give_back();
        }
        self.push(now, Mark { failed, slow, abandoned: !failed }, false);
    }

    /// The time, if the ticket is of the present generation; else the outcome is too late.
    fn current(&mut self, now: Duration, ticket: Ticket) -> Option<Duration> {
        let now = self.advance(now);
        if ticket.generation == self.generation {
            Some(now)
        } else {
            self.late += 1;
            None
        }
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
        let totals = self.window.totals(now);
        match self.phase {
            // ## Closed => Open
            Phase::Closed { in_a_row, .. } => {
                let reached = self
                    .row_reached(in_a_row)
                    .or_else(|| if totals.calls() >= self.minimum { self.rate_reached(&totals) } else { None });
                if let Some(cause) = reached {
                    self.enter_open(now, cause, None);
                }
            }
            // ## HalfOpen => (Open | Closed)
            Phase::HalfOpen { .. } => {
                let left = self.judge_trial(now, may_close);
                // There must be a place for the call that decides.
                if !left && !may_close && mark.failed {
                    self.give_back();
                }
            }
            _ => {}
        }
    }

    /// Leaves half-open if the outcomes there are decide it.
    fn judge_trial(&mut self, now: Duration, may_close: bool) -> bool {
        let Phase::HalfOpen { in_a_row, .. } = self.phase else { return false };
        let totals = self.window.totals(now);
        let enough = totals.calls() >= self.minimum;
        let reached = self.row_reached(in_a_row).or_else(|| if enough { self.rate_reached(&totals) } else { None });
        match reached {
            Some(cause) => self.enter_open(now, cause, None),
            None if enough && may_close && totals.recorded > 0 => {
                self.enter_closed(now, Cause::Recovered, self.settings.ramp);
            }
            None => return false,
        }
        true
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

    // ## By hand

    /// Opens for the wait of the next attempt, from any state.
    pub fn open(&mut self, now: Duration) {
        let now = self.advance(now);
        self.enter_open(now, Cause::ByHand, None);
    }

    /// Opens for `wait`, from any state; not counted as an attempt.
    pub fn open_for(&mut self, now: Duration, wait: Duration) {
        let now = self.advance(now);
        self.enter_open(now, Cause::ByHand, Some(wait));
    }

    /// Makes an open breaker half-open, or begins half-open anew. `false`, and nothing changed, in the other states
    /// that let calls through: there is nothing to try.
    pub fn half_open(&mut self, now: Duration) -> bool {
        let now = self.advance(now);
        let possible = !matches!(self.phase, Phase::Closed { .. } | Phase::MetricsOnly);
        if possible {
            self.enter_half_open(now, Cause::ByHand);
        }
        possible
    }

    /// Closes with an empty window, from any state.
    pub fn close(&mut self, now: Duration) {
        let now = self.advance(now);
        self.enter_closed(now, Cause::ByHand, None);
    }

    /// Refuses all calls until told otherwise.
    pub fn force_open(&mut self, now: Duration) {
        let now = self.advance(now);
        self.attempt = self.attempt.saturating_add(1);
        self.enter(now, Phase::ForcedOpen, Cause::ByHand, None);
        self.replace_window(Window::none(), self.settings.minimum());
    }

    /// Lets all calls through and records nothing until told otherwise.
    pub fn disable(&mut self, now: Duration) {
        let now = self.advance(now);
        self.attempt = 0;
        self.enter(now, Phase::Disabled, Cause::ByHand, None);
        self.replace_window(Window::none(), self.settings.minimum());
    }

    /// Lets all calls through and records them, but never opens, until told otherwise.
    pub fn metrics_only(&mut self, now: Duration) {
        let now = self.advance(now);
        self.attempt = 0;
        self.enter(now, Phase::MetricsOnly, Cause::ByHand, None);
        self.replace_window(Window::new(self.settings.window), self.settings.minimum());
    }

    /// Changes the settings in place: the state, the calls out and the window stay, the window with its newest calls
    /// (empty if it changes between calls and seconds). A running open state ends when it was going to; half-open is
    /// decided at once if that now takes fewer outcomes than there are, for it may have no place left for another.
    pub fn change(&mut self, now: Duration, settings: CircuitBreakerSettings) {
        let now = self.advance(now);
        self.minimum = match self.phase {
            Phase::HalfOpen { .. } => settings.trial_minimum(),
            _ => settings.minimum(),
        };
        match self.phase {
            Phase::Closed { .. } | Phase::MetricsOnly => self.window.resize(now, settings.window),
            Phase::HalfOpen { .. } => {
                self.window.resize(now, WindowKind::Count(settings.half_open_calls));
            }
            Phase::Open { .. } | Phase::ForcedOpen | Phase::Disabled => {}
        }
        self.settings = settings;
        self.judge_trial(now, true);
    }

    // ## Transitions

    fn enter_closed(&mut self, now: Duration, cause: Cause, ramp: Option<Duration>) {
        self.attempt = 0;
        let ramp = ramp.map(|ramp| Ramp { end: now.saturating_add(ramp), credit: 0.0 });
        self.enter(now, Phase::Closed { in_a_row: 0, ramp }, cause, None);
        self.replace_window(Window::new(self.settings.window), self.settings.minimum());
    }

    /// The window stays, to be read.
    fn enter_open(&mut self, now: Duration, cause: Cause, wait: Option<Duration>) {
        let wait = wait.unwrap_or_else(|| {
            self.attempt = self.attempt.saturating_add(1);
            self.settings.wait_open.endless(self.attempt, self.rng.unit())
        });
        self.enter(now, Phase::Open { until: now.saturating_add(wait) }, cause, Some(wait));
    }

    fn enter_half_open(&mut self, now: Duration, cause: Cause) {
        self.enter(now, Phase::HALF_OPEN, cause, None);
        let window = Window::new(WindowKind::Count(self.settings.half_open_calls));
        self.replace_window(window, self.settings.trial_minimum());
    }

    fn replace_window(&mut self, window: Window, minimum: u32) {
        self.window = window;
        self.minimum = minimum;
        self.refused = 0;
    }

    fn enter(&mut self, now: Duration, phase: Phase, cause: Cause, open_for: Option<Duration>) {
        let from = self.state();
        let totals = self.window.totals(now);
        let (failure_rate, slow_call_rate) = self.rates(&totals);
        self.phase = phase;
        self.generation += 1;
        self.changes.push(StateChange {
            from,
            to: self.state(),
            cause,
            generation: self.generation,
            failure_rate,
            slow_call_rate,
            calls: totals.calls(),
            lasted: now.saturating_sub(self.since),
            refused: self.refused_in_all - self.refused_before,
            late: self.late,
            open_for,
        });
        self.since = now;
        self.refused_before = self.refused_in_all;
    }

    /// The changes of state since this was last asked, oldest first. To be asked after every other call.
    pub fn take_changes(&mut self) -> Vec<StateChange> {
        std::mem::take(&mut self.changes)
    }

    // ## Reading

    /// What the breaker looks like. Does what was due, as everything else does, and changes nothing besides.
    pub fn snapshot(&mut self, now: Duration) -> Snapshot {
        let admits = self.would_admit(now);
        let now = self.latest;
        let totals = self.window.totals(now);
        let (failure_rate, slow_call_rate) = self.rates(&totals);
        Snapshot {
            state: self.state(),
            admits,
            since: now.saturating_sub(self.since),
            open_for: match self.phase {
                Phase::Open { until } => Some(until.saturating_sub(now)),
                _ => None,
            },
            attempt: self.attempt,
            failure_rate,
            slow_call_rate,
            recorded: totals.recorded,
            failed: totals.failed,
            slow: totals.slow,
            abandoned: totals.abandoned,
            refused: self.refused,
            refused_in_all: self.refused_in_all,
            late: self.late,
        }
    }

    fn rates(&self, totals: &Totals) -> (Option<f64>, Option<f64>) {
        let known = totals.calls() > 0 && totals.calls() >= self.minimum;
        let share = |percent: f32| known.then(|| f64::from(percent) / 100.0);
        (share(totals.failure_percent()), share(totals.slow_percent()))
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether calls are let through without asking, as long as the generation lasts.
    pub(super) fn lets_all_through(&self) -> bool {
        matches!(self.phase, Phase::Closed { ramp: None, .. } | Phase::Disabled | Phase::MetricsOnly)
    }
}

/// Lets a share of the calls through that grows from a tenth to all; ends the ramp when its time is over.
fn admit_share(ramp: &mut Option<Ramp>, now: Duration, length: Option<Duration>) -> bool {
    let Some(Ramp { end, credit }) = ramp else { return true };
    let left = end.saturating_sub(now);
    let Some(length) = length.filter(|length| !left.is_zero() && *length >= left) else {
        *ramp = None;
        return true;
    };
    *credit += (1.0 - left.as_secs_f64() / length.as_secs_f64()).max(0.1);
    let whole = *credit >= 1.0;
    if whole {
        *credit -= 1.0;
    }
    whole
}
