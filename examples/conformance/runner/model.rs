//! A plain model of the circuit breaker of Resilience4j, as slow and obvious as can be: calls in a list, timers in a
//! list. With its rules off it answers as Resilience4j does, defects included; with them on, as ours has to.

use std::collections::HashMap;

use super::{
    answer::{Answer, Origin},
    calls::Calls,
    rules::Rule,
    scenario::{Config, Row, StateName, Step},
};

pub(crate) const ILLEGAL_TRANSITION: &str = "IllegalStateTransitionException";
const DIVISION_BY_ZERO: &str = "ArithmeticException";

/// Whether the model answers as Resilience4j or as ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    Off,
    On,
}

#[derive(Clone, Debug)]
pub(crate) struct Model {
    config: Config,
    rules: Rules,
    now: u64,
    state: State,
    /// Goes up with every transition.
    generation: u64,
    attempts: i64,
    calls: Calls,
    not_permitted: u64,
    timers: Vec<Timer>,
    /// The calls that are out, with the generation that let them through.
    out: HashMap<u64, u64>,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Closed,
    Open { wait_ends: u64 },
    HalfOpen { permits: u64 },
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    due: u64,
    generation: u64,
    from_open: bool,
    /// Our rules ended it; it is kept to see whether that changes anything.
    void: bool,
    /// It has a counterpart that really goes off in the recorded breaker.
    matters: bool,
}

impl Model {
    pub(crate) fn new(config: &Config, start_ms: u64, rules: Rules) -> Self {
        let mut model = Self {
            config: config.clone(),
            rules,
            now: start_ms,
            state: State::Closed,
            generation: 0,
            attempts: 0,
            calls: Calls::closed(config),
            not_permitted: 0,
            timers: Vec::new(),
            out: HashMap::new(),
            answer: Answer::default(),
        };
        match config.initial_state {
            StateName::Closed => {}
            StateName::Open => model.open(),
            StateName::HalfOpen => {
                model.attempts = 1;
                model.half_open();
            }
            StateName::ForcedOpen => model.force_open(),
            StateName::Disabled => model.disable(),
            StateName::MetricsOnly => model.metrics_only(),
        }
        model
    }

    fn ours(&self) -> bool {
        self.rules == Rules::On
    }

    /// Does one step. `upstream` is what the model with its rules off answered to it.
    pub(crate) fn step(&mut self, step: &Step, upstream: Option<&Answer>) -> Answer {
        self.answer =
            Answer { timer_pending: self.timers.iter().any(|t| t.generation == self.generation), ..Answer::default() };
        match *step {
            Step::Advance { ms } => {
                let end = self.now + ms;
                self.fire_until(end);
                self.now = end;
            }
            Step::TryAcquire { call } => {
                let permitted = self.try_acquire();
                self.answer.permitted = Some(permitted);
                if let Some(call) = call {
                    self.out.remove(&call);
                    if permitted {
                        self.out.insert(call, self.generation);
                    }
                }
            }
            Step::Success { ms, call } | Step::UnrecordedError { ms, call } => self.outcome(call, false, ms, upstream),
            Step::Error { ms, call } => self.outcome(call, true, ms, upstream),
            Step::Ignored { call } | Step::Release { call } => self.release(call, upstream),
            Step::ForceOpen => self.force_open(),
            Step::Disable => self.disable(),
            Step::MetricsOnly => self.metrics_only(),
            Step::Close => self.close(),
            Step::ToOpen => self.by_hand(Self::open),
            Step::ToOpenFor { ms } => self.by_hand(|model| model.open_for(ms)),
            Step::ToHalfOpen => {
                if matches!(self.state, State::Closed | State::MetricsOnly) {
                    self.answer.exception = Some(ILLEGAL_TRANSITION);
                } else {
                    self.half_open();
                }
            }
            Step::Reset => self.reset(upstream),
        }
        if self.ours() && self.timers.iter().any(|timer| timer.due <= self.now) {
            self.rule(Rule::ExactWaitEnd);
            self.fire_until(self.now);
        }
        std::mem::take(&mut self.answer)
    }

    fn rule(&mut self, rule: Rule) {
        self.answer.rules.push(rule);
    }

    // ## Calls

    fn try_acquire(&mut self) -> bool {
        if let State::Open { wait_ends } = self.state {
            if self.now > wait_ends {
                self.half_open();
            } else if self.ours() && self.now == wait_ends {
                self.rule(Rule::ExactWaitEnd);
                self.half_open();
            }
        }
        let permitted = match &mut self.state {
            State::Closed | State::Disabled | State::MetricsOnly => true,
            State::HalfOpen { permits } if *permits > 0 => {
                *permits -= 1;
                true
            }
            State::HalfOpen { .. } | State::Open { .. } | State::ForcedOpen => false,
        };
        self.not_permitted += u64::from(!permitted);
        permitted
    }

    /// Where the outcome of this call comes from; the call has ended.
    fn origin(&mut self, call: Option<u64>) -> Origin {
        let origin = match call.and_then(|call| self.out.remove(&call)) {
            Some(generation) if generation == self.generation => Origin::Current,
            Some(_) => Origin::Late,
            None => Origin::Unpaired,
        };
        self.answer.origin = Some(origin);
        origin
    }

    /// Uses a rule because of where an outcome comes from. What the recorded breaker sees in it counts too: where
    /// the call was refused by ours alone, or is late for ours alone, that comes from an earlier rule and is its
    /// difference.
    fn rule_by_origin(&mut self, ours: Origin, upstream: Option<&Answer>, rule: impl Fn(Origin) -> Rule) {
        let recorded = upstream.map_or(Some(ours), |upstream| upstream.origin);
        match (ours, recorded) {
            (Origin::Late, Some(origin @ (Origin::Late | Origin::Unpaired)))
            | (Origin::Unpaired, Some(origin @ Origin::Unpaired)) => self.rule(rule(origin)),
            _ => {}
        }
    }

    fn release(&mut self, call: Option<u64>, upstream: Option<&Answer>) {
        let origin = self.origin(call);
        if let State::HalfOpen { permits } = &mut self.state {
            if self.rules == Rules::Off || origin == Origin::Current {
                *permits += 1;
            } else {
                self.rule_by_origin(origin, upstream, |_| Rule::PermitsNeverExceed);
            }
        }
    }

    fn outcome(&mut self, call: Option<u64>, failed: bool, ms: u64, upstream: Option<&Answer>) {
        let origin = self.origin(call);
        if matches!(self.state, State::ForcedOpen | State::Disabled) {
            return;
        }
        if self.ours() && origin != Origin::Current {
            return self.rule_by_origin(origin, upstream, |origin| match origin {
                Origin::Late => Rule::LateOutcomesCountNothing,
                _ => Rule::UnpairedOutcomesCountNothing,
            });
        }
        let slow = ms > self.config.slow_call_duration_threshold_ms;
        if !self.calls.record(self.now / 1000, failed, slow) {
            self.answer.exception = Some(DIVISION_BY_ZERO);
            return;
        }
        let (failure_rate, slow_call_rate) = self.calls.rates(self.now / 1000);
        let exceeded = failure_rate >= self.config.failure_rate_threshold as f32
            || slow_call_rate >= self.config.slow_call_rate_threshold as f32;
        match self.state {
            State::Closed | State::HalfOpen { .. } if exceeded => self.open(),
            State::HalfOpen { .. } if failure_rate >= 0.0 => self.close(),
            _ => {}
        }
    }

    // ## Transitions

    /// To the open state, if that is possible.
    fn by_hand(&mut self, transition: impl FnOnce(&mut Self)) {
        if self.state == State::MetricsOnly {
            if !self.ours() {
                self.answer.exception = Some(ILLEGAL_TRANSITION);
                return;
            }
            self.rule(Rule::ForcedOpenFromAnyState);
        }
        transition(self);
    }

    fn open(&mut self) {
        self.attempts += 1;
        let wait = self.config.wait_interval_in_open_state.upstream(self.attempts, 0.0);
        self.open_for(wait.map_or(0, |ms| u64::try_from(ms).unwrap_or(0)));
    }

    /// Calls and refusals stay as they are.
    fn open_for(&mut self, wait: u64) {
        let wait_ends = self.now.saturating_add(wait);
        self.enter(State::Open { wait_ends });
        if self.config.automatic_transition_from_open_to_half_open_enabled {
            self.start_timer(wait, true);
        }
    }

    fn half_open(&mut self) {
        let permits = self.config.permitted_number_of_calls_in_half_open_state.into();
        self.enter(State::HalfOpen { permits });
        self.start_over(Calls::count(permits, &self.config));
        if self.config.max_wait_duration_in_half_open_state_ms > 0 {
            self.start_timer(self.config.max_wait_duration_in_half_open_state_ms, false);
        }
    }

    fn close(&mut self) {
        self.attempts = 0;
        self.enter(State::Closed);
        self.start_over(Calls::closed(&self.config));
    }

    fn force_open(&mut self) {
        self.attempts += 1;
        self.enter(State::ForcedOpen);
        self.start_over(Calls::count(0, &self.config));
    }

    fn disable(&mut self) {
        self.attempts = 0;
        self.enter(State::Disabled);
        self.start_over(Calls::count(0, &self.config));
    }

    fn metrics_only(&mut self) {
        self.attempts = 0;
        self.enter(State::MetricsOnly);
        self.start_over(Calls::closed(&self.config));
    }

    /// Closes without ending the timers of the state before.
    fn reset(&mut self, upstream: Option<&Answer>) {
        let generation = self.generation;
        let kept: Vec<_> = self.timers.iter().copied().filter(|timer| timer.generation == generation).collect();
        self.close();
        let void = self.ours();
        let matters = upstream.is_none_or(|upstream| upstream.timer_pending);
        self.timers.extend(kept.into_iter().map(|timer| Timer { void, matters, ..timer }));
    }

    fn enter(&mut self, state: State) {
        let from = self.name();
        self.timers.retain(|timer| timer.generation != self.generation);
        self.generation += 1;
        self.state = state;
        self.answer.changes.extend(from.change(self.name()));
    }

    fn start_over(&mut self, calls: Calls) {
        self.calls = calls;
        self.not_permitted = 0;
    }

    // ## Timers

    fn start_timer(&mut self, after: u64, from_open: bool) {
        let due = self.now.saturating_add(after);
        self.timers.push(Timer { due, generation: self.generation, from_open, void: false, matters: true });
    }

    /// Lets the timers go off that are due by `end`, in order, each with the clock at its due time.
    fn fire_until(&mut self, end: u64) {
        while let Some(at) = (0..self.timers.len()).min_by_key(|at| self.timers[*at].due) {
            if self.timers[at].due > end {
                break;
            }
            let timer = self.timers.remove(at);
            self.now = timer.due;
            let possible = match self.state {
                State::MetricsOnly => !timer.from_open && self.closes_after_max_wait(),
                State::Closed => !timer.from_open,
                _ => true,
            };
            if !possible {
                continue; // an exception that nobody sees
            }
            if timer.void {
                if timer.matters {
                    self.rule(Rule::TransitionsVoidTimers);
                }
            } else if timer.from_open {
                self.half_open();
            } else if self.closes_after_max_wait() {
                self.close();
            } else {
                self.open();
            }
        }
    }

    fn closes_after_max_wait(&self) -> bool {
        self.config.transition_to_state_after_wait_duration == Some(StateName::Closed)
    }

    // ## Reading

    pub(crate) fn name(&self) -> StateName {
        match self.state {
            State::Closed => StateName::Closed,
            State::Open { .. } => StateName::Open,
            State::HalfOpen { .. } => StateName::HalfOpen,
            State::ForcedOpen => StateName::ForcedOpen,
            State::Disabled => StateName::Disabled,
            State::MetricsOnly => StateName::MetricsOnly,
        }
    }

    pub(crate) fn row(&mut self, permitted: Option<bool>) -> Row {
        let (failure_rate, slow_call_rate) = self.calls.rates(self.now / 1000);
        let (buffered, failed, slow) = self.calls.sums();
        Row {
            permitted,
            state: self.name(),
            failure_rate: failure_rate.into(),
            slow_call_rate: slow_call_rate.into(),
            buffered,
            failed,
            slow,
            not_permitted: self.not_permitted,
        }
    }
}
