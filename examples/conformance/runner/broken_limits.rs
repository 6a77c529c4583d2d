//! Rate limiters and bulkheads that are broken on purpose: the runner has to find each of them.

use std::time::Duration;

use steadfast::bulkhead::Order;

use super::{
    bulkhead::{self, Bulkhead, Outcome as Said},
    limiter::{self, Limiter, Outcome, Step},
    recorded::Machine,
};

/// What is wrong with a rate limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimiterFault {
    PeriodsFromTheFirstCall,
    WholeWaitRefused,
    RefusalsTake,
    DrainForgives,
    DrainTakesTheStoredCount,
    HopelessWaits,
    RaiseActsAtOnce,
    PeriodsBeforeAChangeAtTheOldLimit,
    NoMoreThanTheLimitAtOnce,
    WaitsNotPaidFor,
}

impl LimiterFault {
    pub(crate) const ALL: [Self; 10] = [
        Self::PeriodsFromTheFirstCall,
        Self::WholeWaitRefused,
        Self::RefusalsTake,
        Self::DrainForgives,
        Self::DrainTakesTheStoredCount,
        Self::HopelessWaits,
        Self::RaiseActsAtOnce,
        Self::PeriodsBeforeAChangeAtTheOldLimit,
        Self::NoMoreThanTheLimitAtOnce,
        Self::WaitsNotPaidFor,
    ];

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::PeriodsFromTheFirstCall => "the first period begins with the first call",
            Self::WholeWaitRefused => "a wait of exactly the timeout is refused",
            Self::RefusalsTake => "a refused call takes its permissions",
            Self::DrainForgives => "drain forgives a debt",
            Self::DrainTakesTheStoredCount => "drain takes what was left when somebody last asked",
            Self::HopelessWaits => "who cannot succeed waits for the whole timeout",
            Self::RaiseActsAtOnce => "a raised limit adds to the running period",
            Self::PeriodsBeforeAChangeAtTheOldLimit => "a changed limit finds the permissions of the old one",
            Self::NoMoreThanTheLimitAtOnce => "a call for more permissions than the limit is refused",
            Self::WaitsNotPaidFor => "a reserved permission is not taken from a later period",
        }
    }
}

/// The limiter of this crate with one fault.
#[derive(Clone, Debug)]
pub(crate) struct BrokenLimiter {
    fault: LimiterFault,
    real: limiter::Real,
    limit: u32,
    /// Permissions as they were when somebody last asked.
    stored: i64,
    /// Time before the first call.
    unused: Option<Duration>,
}

impl BrokenLimiter {
    pub(crate) fn new(fault: LimiterFault, config: &limiter::Config) -> Self {
        let limit = config.limit_for_period;
        Self { fault, real: limiter::Real::new(config), limit, stored: limit.into(), unused: None }
    }

    fn outcome(&mut self, step: &Step) -> Option<Outcome> {
        let Self { fault, real, limit, stored, unused } = self;
        match (*fault, *step) {
            (LimiterFault::PeriodsFromTheFirstCall, Step::Reserve { .. } | Step::Acquire { .. })
                if unused.is_none() =>
            {
                *unused = Some(std::mem::take(&mut real.now));
            }
            (LimiterFault::WholeWaitRefused, Step::Reserve { permits }) => {
                let wait = real.cycles.wait(real.now, permits);
                if !wait.is_zero() && wait == real.max_wait {
                    return Some(Outcome::Wait(-1));
                }
            }
            (LimiterFault::RefusalsTake, Step::Reserve { permits }) => {
                let outcome = real.outcome(step);
                if outcome == Some(Outcome::Wait(-1)) {
                    real.cycles.reserve(real.now, permits, Duration::MAX);
                }
                return outcome;
            }
            (LimiterFault::DrainForgives, Step::Drain) => {
                let debt = u32::try_from(-real.cycles.available(real.now)).unwrap_or(0);
                real.cycles.give_back(real.now, debt);
            }
            (LimiterFault::DrainTakesTheStoredCount, Step::Drain) => {
                let stored = u32::try_from(*stored).unwrap_or(0);
                real.cycles.reserve(real.now, stored, Duration::ZERO);
                return None;
            }
            (LimiterFault::HopelessWaits, Step::Acquire { .. }) => {
                let outcome = real.outcome(step);
                if outcome == Some(Outcome::Acquired(false)) {
                    real.now += real.max_wait;
                }
                return outcome;
            }
            (LimiterFault::RaiseActsAtOnce, Step::ChangeLimit { limit_for_period }) => {
                let more = limit_for_period.saturating_sub(*limit);
                real.outcome(step);
                real.cycles.give_back(real.now, more);
                *limit = limit_for_period;
                return None;
            }
            (LimiterFault::PeriodsBeforeAChangeAtTheOldLimit, Step::ChangeLimit { .. }) => {
                real.cycles.reserve(real.now, 0, Duration::ZERO);
            }
            (LimiterFault::NoMoreThanTheLimitAtOnce, Step::Reserve { permits }) if permits > *limit => {
                return Some(Outcome::Wait(-1));
            }
            (LimiterFault::WaitsNotPaidFor, Step::Reserve { permits }) => {
                let wait = real.cycles.wait(real.now, permits);
                if !wait.is_zero() && wait <= real.max_wait {
                    return Some(Outcome::Wait(limiter::nanos(wait)));
                }
            }
            _ => {}
        }
        let outcome = real.outcome(step);
        if !matches!(step, Step::Advance { .. } | Step::ChangeLimit { .. } | Step::ChangeTimeout { .. }) {
            self.stored = self.real.cycles.available(self.real.now);
        }
        outcome
    }
}

impl Machine<Limiter> for BrokenLimiter {
    fn row(&mut self) -> limiter::Row {
        self.real.row()
    }

    fn step(&mut self, step: &Step) -> limiter::Row {
        let outcome = self.outcome(step);
        let mut row = self.real.row_with(outcome);
        row.elapsed += limiter::nanos(self.unused.unwrap_or(Duration::ZERO));
        row
    }
}

/// What is wrong with a bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BulkheadFault {
    OnePlaceMore,
    LastComeFirstServed,
    NobodyMayWait,
    DroppedCallsKeepTheirPlace,
    ExitsWithoutCallFreePlaces,
    ChangesAreLost,
    LowerLimitsWait,
    ZeroIsOne,
    NobodyIsWoken,
}

impl BulkheadFault {
    pub(crate) const ALL: [Self; 9] = [
        Self::OnePlaceMore,
        Self::LastComeFirstServed,
        Self::NobodyMayWait,
        Self::DroppedCallsKeepTheirPlace,
        Self::ExitsWithoutCallFreePlaces,
        Self::ChangesAreLost,
        Self::LowerLimitsWait,
        Self::ZeroIsOne,
        Self::NobodyIsWoken,
    ];

    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::OnePlaceMore => "there is one place more",
            Self::LastComeFirstServed => "who came last is served first",
            Self::NobodyMayWait => "nobody may wait",
            Self::DroppedCallsKeepTheirPlace => "a call that is dropped keeps its place",
            Self::ExitsWithoutCallFreePlaces => "an exit without a call frees a place",
            Self::ChangesAreLost => "the limit is never changed",
            Self::LowerLimitsWait => "a lower limit is not taken while more are inside",
            Self::ZeroIsOne => "a limit of 0 is taken for 1",
            Self::NobodyIsWoken => "who has been given a place is not woken",
        }
    }
}

/// The bulkhead of this crate with one fault.
#[derive(Debug)]
pub(crate) struct BrokenBulkhead {
    fault: BulkheadFault,
    real: bulkhead::Real,
    /// Places that came from nowhere.
    surplus: i64,
}

impl BrokenBulkhead {
    pub(crate) fn new(fault: BulkheadFault, config: &bulkhead::Config) -> Self {
        let limit = match fault {
            BulkheadFault::ZeroIsOne => config.max_concurrent_calls.max(1),
            _ => config.max_concurrent_calls,
        };
        let real = bulkhead::Real::with(
            limit,
            match fault {
                BulkheadFault::OnePlaceMore => |settings| settings.max_concurrent += 1,
                BulkheadFault::LastComeFirstServed => |settings| settings.order = Order::Lifo,
                BulkheadFault::NobodyMayWait => |settings| settings.max_waiting = 0,
                _ => |_| {},
            },
        );
        Self { fault, real, surplus: 0 }
    }

    /// The step as the faulty bulkhead takes it; `None`: it answers this without doing anything.
    fn taken(&mut self, step: bulkhead::Step) -> Result<bulkhead::Step, Option<Said>> {
        use bulkhead::Step;
        let running = self.real.layer.as_ref().map_or(0, |layer| layer.handle().snapshot().running);
        let done = Err(Some(Said::Said(bulkhead::Word::Done)));
        match (self.fault, step) {
            (BulkheadFault::DroppedCallsKeepTheirPlace, Step::Release) => Err(None),
            (BulkheadFault::ExitsWithoutCallFreePlaces, Step::Exit) if running == 0 => {
                self.surplus += 1;
                Err(None)
            }
            (BulkheadFault::ChangesAreLost, Step::ChangeConfig { .. }) => done,
            (BulkheadFault::LowerLimitsWait, Step::ChangeConfig { max_concurrent_calls })
                if max_concurrent_calls < running =>
            {
                done
            }
            (BulkheadFault::ZeroIsOne, Step::ChangeConfig { max_concurrent_calls: 0 }) => {
                Ok(Step::ChangeConfig { max_concurrent_calls: 1 })
            }
            _ => Ok(step),
        }
    }
}

impl Machine<Bulkhead> for BrokenBulkhead {
    fn row(&mut self) -> bulkhead::Row {
        self.real.row()
    }

    fn step(&mut self, step: &bulkhead::Step) -> bulkhead::Row {
        let mut row = match self.taken(*step) {
            Ok(step) if self.fault == BulkheadFault::NobodyIsWoken => self.real.without_waking(&step),
            Ok(step) => self.real.step(&step),
            Err(result) => self.real.row_with(result, Vec::new()),
        };
        row.available = row.available.map(|available| available + self.surplus);
        row
    }
}
