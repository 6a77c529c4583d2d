//! Where pressure comes from.

use crate::{
    adaptive_limit::AdaptiveLimitHandle,
    bulkhead::BulkheadHandle,
    circuit_breaker::{CircuitBreakerHandle, State},
    shed::ShedHandle,
};

/// How hard pressed something is, from 0 (idle) to 1 (can bear no more).
///
/// Implemented by handles, and by functions; anything else can implement it. Read outside of every lock, at most ten
/// times a second by default; it must not block.
pub trait Pressure {
    /// The pressure now. What is under 0, over 1 or no number is taken for 0, 1 and 0.
    fn pressure(&self) -> f64;
}

impl<F: Fn() -> f64> Pressure for F {
    fn pressure(&self) -> f64 {
        self()
    }
}

/// 1 while it is being lowered. Otherwise up to 0.5 for the share of it that is in use, and up to 0.5 more for calls that
/// wait: 1 where as many wait as may be in progress.
impl Pressure for AdaptiveLimitHandle {
    fn pressure(&self) -> f64 {
        let snapshot = self.snapshot();
        if snapshot.cutting {
            return 1.0;
        }
        let limit = f64::from(snapshot.limit);
        let of_limit = |calls: f64| (calls / limit).min(1.0) / 2.0;
        of_limit(snapshot.running.into()) + of_limit(snapshot.waiting as f64)
    }
}

/// See [`ShedHandle::pressure`].
impl Pressure for ShedHandle {
    fn pressure(&self) -> f64 {
        Self::pressure(self)
    }
}

/// How much of its places and of its queue is taken; 1: it refuses.
impl Pressure for BulkheadHandle {
    fn pressure(&self) -> f64 {
        let (snapshot, settings) = (self.snapshot(), self.settings());
        let taken = f64::from(snapshot.running) + snapshot.waiting as f64;
        taken / (f64::from(settings.max_concurrent) + f64::from(settings.max_waiting))
    }
}

/// 1 while it is open, in whichever way, and half while it is half-open, which by default lets a level stay as it is. So
/// some calls must go through it at every level: with none, it never closes and the level never falls.
impl Pressure for CircuitBreakerHandle {
    fn pressure(&self) -> f64 {
        match self.state() {
            State::Open | State::ForcedOpen => 1.0,
            State::HalfOpen => 0.5,
            State::Closed | State::Disabled | State::MetricsOnly => 0.0,
        }
    }
}
