//! What can be set on a circuit breaker, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    backoff::{Backoff, Jitter},
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a circuit breaker. Given through the [builder](super::CircuitBreakerBuilder), changed in place
/// through [`CircuitBreakerHandle::change`](super::CircuitBreakerHandle::change).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitBreakerSettings {
    /// Which calls the rates are about. Default: the last 10 seconds.
    pub window: Window,
    /// No rate is computed below so many calls; capped by the size of a count window. Default 20, at least 1.
    pub minimum_calls: u32,
    /// Opens when so many of the calls in the window have failed. Default 0.5; over 0, at most 1.
    pub failure_rate: f64,
    /// Opens when so many calls took longer than so long. Default: off.
    pub slow_calls: Option<SlowCalls>,
    /// Opens after so many failures in a row, next to the rates; `None`: never for that. Default 10, at least 1.
    pub consecutive_failures: Option<u32>,
    /// How long the breaker stays open, for the n-th time in a row. Default: 250 ms × 2 up to 5 s, ± 20 %.
    pub wait_open: Backoff,
    /// How many trial calls half-open lets through in all. Default 5, at least 1.
    pub half_open_calls: u32,
    /// The longest that half-open lasts; `None`: until it is decided. Default 10 s, over 0.
    pub half_open_max_wait: Option<Duration>,
    /// What follows when `half_open_max_wait` is over. Default: [`HalfOpenEnd::Judge`].
    pub half_open_end: HalfOpenEnd,
    /// Whether open becomes half-open by itself, without waiting for a call. Default: no.
    pub automatic_half_open: bool,
    /// What a call means that is dropped before it has a result. Default: [`Abandoned::Judged`].
    pub abandoned: Abandoned,
    /// Whether [`Verdict::Overloaded`](crate::Verdict::Overloaded) counts as a failure. Default: yes.
    pub overloaded_is_failure: bool,
    /// After closing from half-open, admit a share of the calls that grows to all of them in this time. Default: off.
    pub ramp: Option<Duration>,
}

/// Which calls the rates are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many calls, 1 to 1,000,000. One byte each.
    Count(u32),
    /// The calls of the last so many whole seconds, 1 s to 1 h. 20 bytes a second, whatever the rate of calls.
    Time(Duration),
}

/// When slow calls open a breaker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCalls {
    /// Opens when so many of the calls in the window were slow; over 0, at most 1.
    pub rate: f64,
    /// A call is slow if it took longer than this; over 0.
    pub longer_than: Duration,
}

/// What follows when half-open has lasted for `half_open_max_wait` without a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HalfOpenEnd {
    /// Decides by the outcomes there are, trial calls that are still out counting as failures; opens if there are
    /// none. So a service with few calls, all of which succeed, gets its breaker closed.
    Judge,
    /// Opens.
    Open,
    /// Closes.
    Close,
}

/// What a call means that is dropped before it has a result: cancelled, or cut by a timeout above.
///
/// It is never a success, and never closes a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Abandoned {
    /// Past its deadline: a failure. Longer than a slow call: slow. Else kept apart, until such calls are half of
    /// all in the window: then they are failures.
    Judged,
    /// Nothing.
    Ignored,
    /// A failure.
    Failure,
}

impl Default for CircuitBreakerSettings {
    fn default() -> Self {
        Self {
            window: Window::Time(Duration::from_secs(10)),
            minimum_calls: 20,
            failure_rate: 0.5,
            slow_calls: None,
            consecutive_failures: Some(10),
            wait_open: Backoff::exponential(Duration::from_millis(250))
                .max(Duration::from_secs(5))
                .jitter(Jitter::Around(0.2)),
            half_open_calls: 5,
            half_open_max_wait: Some(Duration::from_secs(10)),
            half_open_end: HalfOpenEnd::Judge,
            automatic_half_open: false,
            abandoned: Abandoned::Judged,
            overloaded_is_failure: true,
            ramp: None,
        }
    }
}

impl CircuitBreakerSettings {
    /// The defaults of Resilience4j 2.4, for who moves from it.
    pub fn resilience4j() -> Self {
        Self {
            window: Window::Count(100),
            minimum_calls: 100,
            slow_calls: Some(SlowCalls { rate: 1.0, longer_than: Duration::from_secs(60) }),
            consecutive_failures: None,
            wait_open: Backoff::fixed(Duration::from_secs(60)).whole_millis(),
            half_open_calls: 10,
            half_open_max_wait: None,
            half_open_end: HalfOpenEnd::Open,
            abandoned: Abandoned::Ignored,
            ..Self::default()
        }
    }

    /// Checks the settings of the breaker called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        match self.window {
            Window::Count(calls) => {
                check.that((1..=1_000_000).contains(&calls), "window", self.window, "1 to 1,000,000 calls")?;
            }
            Window::Time(length) => check.that(
                length.subsec_nanos() == 0 && (1..=3600).contains(&length.as_secs()),
                "window",
                self.window,
                "1 s to 1 h, in whole seconds",
            )?,
        }
        check.that(self.minimum_calls > 0, "minimum_calls", self.minimum_calls, "at least 1")?;
        check.rate("failure_rate", self.failure_rate)?;
        if let Some(slow) = self.slow_calls {
            check.rate("slow_call_rate", slow.rate)?;
            check.positive("slow_call_duration", slow.longer_than)?;
        }
        if let Some(failures) = self.consecutive_failures {
            check.that(failures > 0, "consecutive_failures", failures, "at least 1")?;
        }
        self.wait_open.check(&check, "wait_open", true)?;
        check.that(
            (1..=1_000_000).contains(&self.half_open_calls),
            "half_open_calls",
            self.half_open_calls,
            "1 to 1,000,000",
        )?;
        if let Some(wait) = self.half_open_max_wait {
            check.positive("half_open_max_wait", wait)?;
        }
        if let Some(ramp) = self.ramp {
            check.positive("ramp", ramp)?;
        }
        Ok(())
    }

    /// How many calls a rate in the closed state needs.
    pub(super) fn minimum(&self) -> u32 {
        match self.window {
            Window::Count(calls) => self.minimum_calls.min(calls),
            Window::Time(_) => self.minimum_calls,
        }
    }

    /// How many outcomes decide half-open.
    pub(super) fn trial_minimum(&self) -> u32 {
        self.minimum_calls.min(self.half_open_calls)
    }

    /// Whether half-open has a place for a further call, with so many taken, by outcomes and by calls that are `out`.
    /// Where the number was lowered below the outcomes there are, one call at a time has one, so that it is decided.
    pub(super) fn has_place(&self, places: u32, out: u32) -> bool {
        places < self.half_open_calls || out == 0
    }

    /// Whether a call is slow.
    pub(super) fn is_slow(&self, took: Duration) -> bool {
        self.slow_calls.is_some_and(|slow| took > slow.longer_than)
    }
}
