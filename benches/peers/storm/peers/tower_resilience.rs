//! tower-resilience.

use std::time::Duration;

use steadfast::storm::{Request, Response, Stack, Upstream};
use tower::ServiceBuilder;
use tower_resilience::{
    bulkhead::{BulkheadLayer, BulkheadServiceError},
    circuitbreaker::{CircuitBreakerError, CircuitBreakerLayer, SlidingWindowType},
    retry::{FnInterval, RetryBudgetBuilder, RetryLayer},
    timelimiter::{TimeLimiterError, TimeLimiterLayer},
};

use super::{DEADLINE, Peer, Trouble, leniently, strictly};
use crate::clock;

/// A preset each: of the time limiter the one that fits the deadline, of the others the default or balanced one. The order
/// is its guide's, but for the bulkhead: the guide has it below the breaker, which then takes a full one for a backend
/// that fails, and stays open for 30 s. Outermost it serves better (least 5.8 instead of 1.3, mean 56 instead of 42).
pub(super) fn presets() -> Peer {
    let stack = Stack::new("tower-resilience presets", |upstream: Upstream| {
        clock::follow_and_watch(&upstream);
        ServiceBuilder::new()
            .map_result(leniently)
            .map_err(full)
            .layer(BulkheadLayer::medium().build().expect("a preset"))
            .layer(RetryLayer::<Request, Response, Trouble>::exponential_backoff().build())
            .map_err(opened)
            .layer(CircuitBreakerLayer::standard().build().expect("a preset"))
            .map_err(timed_out)
            .layer(TimeLimiterLayer::fast().build())
            .map_result(strictly)
            .service(upstream)
    });
    let configuration =
        "bulkhead medium, retry exponential_backoff, breaker standard, time limiter fast; a 4xx is an error";
    Peer::new(stack, configuration).reads_system_clock()
}

/// What comes to the highest geometric mean of attempts of 250, 500 and 995 ms, 0.5, 1 and 5 s open, and 10, 25 and 50
/// calls at once, with the bulkhead below the breaker, as its guide has it, and outermost.
pub(super) fn tuned() -> Peer {
    let stack = Stack::new("tower-resilience tuned", |upstream: Upstream| {
        clock::follow_and_watch(&upstream);
        if upstream.client() == 0 {
            fastrand::seed(0);
        }
        // Its own jitter cannot be repeated.
        let jitter = |retry: usize| (Duration::from_millis(50) * 2_u32.pow(retry as u32)).mul_f64(fastrand::f64());
        let budget = RetryBudgetBuilder::new().token_bucket().tokens_per_second(6.0).max_tokens(50).build();
        let retry = RetryLayer::<Request, Response, Trouble>::builder()
            .max_attempts(3)
            .backoff(FnInterval::new(jitter))
            .retry_on(|trouble| *trouble != Trouble::NotSent)
            .budget(budget.expect("valid"));
        let breaker = CircuitBreakerLayer::builder()
            .failure_rate_threshold(0.5)
            .sliding_window_type(SlidingWindowType::TimeBased)
            .sliding_window_duration(Duration::from_secs(10))
            .minimum_number_of_calls(20)
            .wait_duration_in_open(Duration::from_millis(500))
            .permitted_calls_in_half_open(5);
        let bulkhead = BulkheadLayer::builder().max_concurrent_calls(25).reject_when_full();
        // The breaker sees only what ends before the total timeout drops it.
        let attempt = DEADLINE - Duration::from_millis(5);
        ServiceBuilder::new()
            .map_err(timed_out)
            .layer(TimeLimiterLayer::builder().timeout_duration(DEADLINE).build())
            .layer(retry.build())
            .map_err(opened)
            .layer(breaker.build().expect("valid"))
            .map_err(full)
            .layer(bulkhead.build().expect("valid"))
            .map_err(timed_out)
            .layer(TimeLimiterLayer::builder().timeout_duration(attempt).build())
            .map_err(Trouble::Backend)
            .service(upstream)
    });
    let configuration = "1 s in all, 3 attempts of 995 ms, full jitter under 50 ms x 2, budget of 50 + 6/s, breaker 50 % of \
                         10 s, open 0.5 s, 25 at once";
    Peer::new(stack, configuration).reads_system_clock()
}

fn opened(error: CircuitBreakerError<Trouble>) -> Trouble {
    error.into_inner().unwrap_or(Trouble::NotSent)
}

fn full(error: BulkheadServiceError<Trouble>) -> Trouble {
    match error {
        BulkheadServiceError::Inner(trouble) => trouble,
        BulkheadServiceError::Bulkhead(_) => Trouble::NotSent,
    }
}

fn timed_out(error: TimeLimiterError<Trouble>) -> Trouble {
    error.into_inner().unwrap_or(Trouble::TimedOut)
}
