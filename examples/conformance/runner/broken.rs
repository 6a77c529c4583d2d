//! Machines and waits that are broken on purpose: the runner has to find each of them.

use std::time::Duration;

use steadfast::{
    backoff::Backoff,
    circuit_breaker::{CircuitBreakerSettings, HalfOpenEnd, SlowCalls, State, Window},
};

use super::{
    scenario::{Config, Row, Step, WindowType},
    subject::{Real, Subject, settings},
    waits::{Interval, Kind, in_millis, ours},
};

/// What is wrong with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    WindowNeverSlides,
    ThresholdIsExclusive,
    MinimumIgnored,
    SlowIsInclusive,
    WaitNeverGrows,
    WaitIsExclusive,
    WaitsOfFractions,
    SecondsFromCreation,
    AutomaticNeverHappens,
    MaxWaitNeverEnds,
    MaxWaitEndsTheOtherWay,
    OnePermitMore,
    OutcomesGivePermitsBack,
    ReleasesKeepPermits,
    LateOutcomesCount,
    UnpairedOutcomesCount,
    OtherErrorsAreFailures,
    ResetKeepsTimers,
    CloseKeepsTheWindow,
    RefusalsNotCounted,
    RefusalsCountedForEver,
}

impl Fault {
    pub(crate) const ALL: [Self; 21] = [
        Self::WindowNeverSlides,
        Self::ThresholdIsExclusive,
        Self::MinimumIgnored,
        Self::SlowIsInclusive,
        Self::WaitNeverGrows,
        Self::WaitIsExclusive,
        Self::WaitsOfFractions,
        Self::SecondsFromCreation,
        Self::AutomaticNeverHappens,
        Self::MaxWaitNeverEnds,
        Self::MaxWaitEndsTheOtherWay,
        Self::OnePermitMore,
        Self::OutcomesGivePermitsBack,
        Self::ReleasesKeepPermits,
        Self::LateOutcomesCount,
        Self::UnpairedOutcomesCount,
        Self::OtherErrorsAreFailures,
        Self::ResetKeepsTimers,
        Self::CloseKeepsTheWindow,
        Self::RefusalsNotCounted,
        Self::RefusalsCountedForEver,
    ];

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::WindowNeverSlides => "the window never forgets a call",
            Self::ThresholdIsExclusive => "a rate at its threshold does not open",
            Self::MinimumIgnored => "one call is enough for a rate",
            Self::SlowIsInclusive => "a call of exactly the slow duration is slow",
            Self::WaitNeverGrows => "every wait is as long as the first",
            Self::WaitIsExclusive => "at exactly the end of the wait the call is refused",
            Self::WaitsOfFractions => "waits are not cut to whole milliseconds",
            Self::SecondsFromCreation => "the seconds of a window are counted from the creation",
            Self::AutomaticNeverHappens => "open does not become half-open by itself",
            Self::MaxWaitNeverEnds => "half-open lasts until it is decided",
            Self::MaxWaitEndsTheOtherWay => "half-open that lasted too long closes for open and opens for closed",
            Self::OnePermitMore => "half-open has one permit more",
            Self::OutcomesGivePermitsBack => "a recorded outcome gives its half-open permit back",
            Self::ReleasesKeepPermits => "an ignored or released call keeps its permit",
            Self::LateOutcomesCount => "an outcome from before the change of state counts",
            Self::UnpairedOutcomesCount => "an outcome without a call counts",
            Self::OtherErrorsAreFailures => "an error that is none to record is a failure",
            Self::ResetKeepsTimers => "reset leaves the timer of half-open running",
            Self::CloseKeepsTheWindow => "closing a closed breaker changes nothing",
            Self::RefusalsNotCounted => "refusals are not counted",
            Self::RefusalsCountedForEver => "the count of refusals is never begun anew",
        }
    }

    fn settings(self, config: &Config) -> CircuitBreakerSettings {
        let mut settings = settings(config);
        match self {
            Self::WindowNeverSlides => {
                if config.sliding_window_type == WindowType::CountBased {
                    settings.minimum_calls = settings.minimum_calls.min(config.sliding_window_size);
                    settings.window = Window::Count(10_000);
                } else {
                    settings.window = Window::Time(Duration::from_secs(1_000_000));
                }
            }
            Self::ThresholdIsExclusive => {
                let above = |rate: f64| f64::from(((rate * 100.0) as f32).next_up()) / 100.0;
                settings.failure_rate = above(settings.failure_rate);
                settings.slow_calls = settings.slow_calls.map(|slow| SlowCalls { rate: above(slow.rate), ..slow });
            }
            Self::MinimumIgnored => settings.minimum_calls = 1,
            Self::WaitNeverGrows => settings.wait_open = settings.wait_open.factor(1.0),
            Self::WaitsOfFractions => {
                let function = &config.wait_interval_in_open_state;
                let first = Duration::from_millis(function.first().unsigned_abs());
                if function.kind == Kind::Exponential {
                    settings.wait_open = fractions(function, first);
                }
            }
            Self::AutomaticNeverHappens => settings.automatic_half_open = false,
            Self::MaxWaitNeverEnds => settings.half_open_max_wait = None,
            Self::MaxWaitEndsTheOtherWay => {
                settings.half_open_end = match settings.half_open_end {
                    HalfOpenEnd::Close => HalfOpenEnd::Open,
                    _ => HalfOpenEnd::Close,
                }
            }
            Self::OnePermitMore => settings.half_open_calls += 1,
            _ => {}
        }
        settings
    }
}

/// The machine of this crate with one fault.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    fault: Fault,
    real: Real,
    created: Duration,
    /// A timer that should have ended.
    kept: Option<Duration>,
}

impl Broken {
    pub(crate) fn new(fault: Fault, config: &Config, now: Duration) -> Self {
        let created = if fault == Fault::SecondsFromCreation { now } else { Duration::ZERO };
        let real = Real::with(fault.settings(config), config, now - created);
        Self { fault, real, created, kept: None }
    }

    /// The clock as the faulty machine reads it.
    fn clock(&mut self, now: Duration) -> Duration {
        let now = now - self.created;
        if let Some(due) = self.kept.filter(|due| *due <= now) {
            self.kept = None;
            self.real.machine.open(due);
        }
        now
    }

    /// The same outcome as one of a call that is let through now.
    fn renewed(&mut self, now: Duration, call: Option<u64>) -> Option<u64> {
        let ticket = call.and_then(|call| self.real.tickets.get(&call)).copied();
        let renew = match self.fault {
            Fault::LateOutcomesCount => ticket.is_some_and(|ticket| {
                let late = self.real.machine.snapshot(now).late;
                let mut probe = self.real.machine.clone();
                probe.release(now, ticket);
                probe.snapshot(now).late > late
            }),
            Fault::UnpairedOutcomesCount => ticket.is_none(),
            _ => false,
        };
        if !renew {
            return call;
        }
        let call = call.unwrap_or(u64::MAX);
        self.real.acquire(now, Some(call));
        Some(call)
    }
}

impl Subject for Broken {
    fn advance(&mut self, now: Duration) {
        let now = self.clock(now);
        self.real.advance(now);
    }

    fn acquire(&mut self, now: Duration, call: Option<u64>) -> bool {
        let now = self.clock(now);
        if self.fault == Fault::WaitIsExclusive && self.real.machine.snapshot(now).open_for == Some(Duration::ZERO) {
            self.real.machine.refuse(now);
            return false;
        }
        self.real.acquire(now, call)
    }

    fn record(&mut self, now: Duration, call: Option<u64>, failed: bool, took: Duration) {
        let now = self.clock(now);
        let call = self.renewed(now, call);
        let ticket = call.and_then(|call| self.real.tickets.get(&call)).copied();
        let slower = if self.fault == Fault::SlowIsInclusive { Duration::from_nanos(1) } else { Duration::ZERO };
        self.real.record(now, call, failed, took + slower);
        if let (Fault::OutcomesGivePermitsBack, Some(ticket)) = (self.fault, ticket) {
            self.real.machine.release(now, ticket);
        }
    }

    fn record_other_error(&mut self, now: Duration, call: Option<u64>, took: Duration) {
        self.record(now, call, self.fault == Fault::OtherErrorsAreFailures, took);
    }

    fn release(&mut self, now: Duration, call: Option<u64>) {
        let now = self.clock(now);
        if self.fault != Fault::ReleasesKeepPermits {
            self.real.release(now, call);
        }
    }

    fn by_hand(&mut self, now: Duration, step: &Step) -> bool {
        let now = self.clock(now);
        let timer = self.real.machine.next_timer().filter(|_| self.real.machine.state() == State::HalfOpen);
        if (self.fault, *step) == (Fault::ResetKeepsTimers, Step::Reset) {
            self.kept = timer;
        }
        if self.fault == Fault::CloseKeepsTheWindow && self.real.machine.state() == State::Closed {
            return matches!(step, Step::Close) || self.real.by_hand(now, step);
        }
        self.real.by_hand(now, step)
    }

    fn row(&mut self, now: Duration, permitted: Option<bool>) -> Row {
        let now = self.clock(now);
        let mut row = self.real.row(now, permitted);
        match self.fault {
            Fault::RefusalsNotCounted => row.not_permitted = 0,
            Fault::RefusalsCountedForEver => row.not_permitted = self.real.machine.snapshot(now).refused_in_all,
            _ => {}
        }
        row
    }

    fn changes(&mut self) -> Vec<String> {
        self.real.changes()
    }
}

/// The wait in milliseconds of an attempt, for a draw.
type WrongWait = fn(&Interval, i64, f64) -> Option<i64>;

/// Waits that are wrong, and how.
pub(crate) const WAITS: [(&str, WrongWait); 5] = [
    ("the first attempt is attempt 0", |function, attempt, draw| ours(function, attempt + 1, draw)),
    ("waits are not cut to whole milliseconds", |function, attempt, draw| {
        let first = Duration::from_millis(function.first().unsigned_abs());
        if function.kind != Kind::Exponential {
            return ours(function, attempt, draw);
        }
        in_millis(&fractions(function, first), attempt, draw)
    }),
    ("there is no cap", |function, attempt, draw| in_millis(&function.backoff().max(Duration::MAX), attempt, draw)),
    ("the jitter comes first, then the cap", |function, attempt, draw| {
        let wait = in_millis(&function.backoff().max(Duration::MAX), attempt, draw)?;
        Some(wait.min(function.max().unwrap_or(i64::MAX)))
    }),
    ("the jitter never reaches its top", |function, attempt, draw| ours(function, attempt, draw * 0.999)),
];

/// The same exponential waits, cut to nanoseconds only.
fn fractions(function: &Interval, first: Duration) -> Backoff {
    let waits = Backoff::exponential(first).factor(function.multiplier()).jitter(steadfast::backoff::Jitter::None);
    match function.max() {
        Some(max) => waits.max(Duration::from_millis(max.unsigned_abs())),
        None => waits,
    }
}
