//! What is put to the test: the machine of this crate, or a broken one.

use std::{collections::HashMap, time::Duration};

use steadfast::circuit_breaker::{
    CircuitBreakerSettings, HalfOpenEnd, SlowCalls, Window,
    machine::{Machine, Outcome, Ticket},
};

use super::{
    model::ILLEGAL_TRANSITION,
    scenario::{Config, Row, StateName, Step, WindowType},
};

/// A circuit breaker that steps can be done on. `now` is the reading of the clock.
pub(crate) trait Subject {
    fn advance(&mut self, now: Duration);

    /// Whether the call is let through.
    fn acquire(&mut self, now: Duration, call: Option<u64>) -> bool;

    fn record(&mut self, now: Duration, call: Option<u64>, failed: bool, took: Duration);

    /// The call ended with an error that counts as a success.
    fn record_other_error(&mut self, now: Duration, call: Option<u64>, took: Duration) {
        self.record(now, call, false, took);
    }

    fn release(&mut self, now: Duration, call: Option<u64>);

    /// A transition by hand; `false` if there is no such one.
    fn by_hand(&mut self, now: Duration, step: &Step) -> bool;

    fn row(&mut self, now: Duration, permitted: Option<bool>) -> Row;

    /// The changes of state since this was last asked.
    fn changes(&mut self) -> Vec<String>;

    /// Does one step: whether a call was let through, and the exception that Resilience4j would raise.
    fn step(&mut self, now: Duration, step: &Step) -> (Option<bool>, Option<&'static str>) {
        match *step {
            Step::Advance { .. } => self.advance(now),
            Step::TryAcquire { call } => return (Some(self.acquire(now, call)), None),
            Step::Success { ms, call } => self.record(now, call, false, Duration::from_millis(ms)),
            Step::Error { ms, call } => self.record(now, call, true, Duration::from_millis(ms)),
            Step::UnrecordedError { ms, call } => self.record_other_error(now, call, Duration::from_millis(ms)),
            Step::Ignored { call } | Step::Release { call } => self.release(now, call),
            _ => return (None, (!self.by_hand(now, step)).then_some(ILLEGAL_TRANSITION)),
        }
        (None, None)
    }
}

/// The machine of this crate.
#[derive(Clone, Debug)]
pub(crate) struct Real {
    pub(super) machine: Machine,
    /// Calls that are out.
    pub(super) tickets: HashMap<u64, Ticket>,
}

impl Real {
    pub(crate) fn new(config: &Config, now: Duration) -> Self {
        Self::with(settings(config), config, now)
    }

    pub(super) fn with(settings: CircuitBreakerSettings, config: &Config, now: Duration) -> Self {
        let machine = Machine::starting_in(config.initial_state.into(), settings, 0, now);
        Self { machine, tickets: HashMap::new() }
    }

    fn ended(&mut self, call: Option<u64>) -> Option<Ticket> {
        call.and_then(|call| self.tickets.remove(&call))
    }
}

impl Subject for Real {
    fn advance(&mut self, now: Duration) {
        self.machine.advance(now);
    }

    fn acquire(&mut self, now: Duration, call: Option<u64>) -> bool {
        let ticket = self.machine.acquire(now);
        self.ended(call);
        if let (Some(call), Ok(ticket)) = (call, ticket) {
            self.tickets.insert(call, ticket);
        }
        ticket.is_ok()
    }

    fn record(&mut self, now: Duration, call: Option<u64>, failed: bool, took: Duration) {
        let outcome = if failed { Outcome::Failure } else { Outcome::Success };
        if let Some(ticket) = self.ended(call) {
            self.machine.record(now, ticket, outcome, took);
        }
    }

    fn release(&mut self, now: Duration, call: Option<u64>) {
        if let Some(ticket) = self.ended(call) {
            self.machine.release(now, ticket);
        }
    }

    fn by_hand(&mut self, now: Duration, step: &Step) -> bool {
        match *step {
            Step::ForceOpen => self.machine.force_open(now),
            Step::Disable => self.machine.disable(now),
            Step::MetricsOnly => self.machine.metrics_only(now),
            Step::Close | Step::Reset => self.machine.close(now),
            Step::ToOpen => self.machine.open(now),
            Step::ToOpenFor { ms } => self.machine.open_for(now, Duration::from_millis(ms)),
            Step::ToHalfOpen => return self.machine.half_open(now),
            _ => {}
        }
        true
    }

    fn row(&mut self, now: Duration, permitted: Option<bool>) -> Row {
        let snapshot = self.machine.snapshot(now);
        let percent = |rate: Option<f64>| rate.map_or(-1.0, |rate| rate * 100.0);
        Row {
            permitted,
            state: snapshot.state.into(),
            failure_rate: percent(snapshot.failure_rate),
            slow_call_rate: percent(snapshot.slow_call_rate),
            buffered: (snapshot.recorded + snapshot.abandoned).into(),
            failed: snapshot.failed.into(),
            slow: snapshot.slow.into(),
            not_permitted: snapshot.refused,
        }
    }

    fn changes(&mut self) -> Vec<String> {
        let changes = self.machine.take_changes();
        changes.iter().filter_map(|change| StateName::from(change.from).change(change.to.into())).collect()
    }
}

/// A configuration of Resilience4j in our terms.
pub(super) fn settings(config: &Config) -> CircuitBreakerSettings {
    let mut settings = CircuitBreakerSettings::resilience4j();
    settings.window = match config.sliding_window_type {
        WindowType::CountBased => Window::Count(config.sliding_window_size),
        WindowType::TimeBased => Window::Time(Duration::from_secs(config.sliding_window_size.into())),
    };
    settings.minimum_calls = config.minimum_number_of_calls;
    settings.failure_rate = config.failure_rate_threshold / 100.0;
    settings.slow_calls = Some(SlowCalls {
        rate: config.slow_call_rate_threshold / 100.0,
        longer_than: Duration::from_millis(config.slow_call_duration_threshold_ms),
    });
    settings.wait_open = config.wait_interval_in_open_state.backoff();
    settings.half_open_calls = config.permitted_number_of_calls_in_half_open_state;
    settings.half_open_max_wait = match config.max_wait_duration_in_half_open_state_ms {
        0 => None,
        ms => Some(Duration::from_millis(ms)),
    };
    settings.half_open_end = match config.transition_to_state_after_wait_duration {
        Some(StateName::Closed) => HalfOpenEnd::Close,
        _ => HalfOpenEnd::Open,
    };
    settings.automatic_half_open = config.automatic_transition_from_open_to_half_open_enabled;
    settings
}
