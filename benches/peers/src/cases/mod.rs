//! The cases: a service that is ready at once, or pending once, under each layer and under the stack, and over several
//! endpoints.

// The ban on sleeping is for the crate.
#![allow(clippy::disallowed_methods)]

mod over;
mod subjects;

use std::{future::Future, pin::Pin, sync::Arc, task::Poll, time::Duration};

use steadfast::{
    adaptive_limit::AdaptiveLimit,
    bulkhead::Bulkhead,
    cache::Cache,
    chaos::Chaos,
    circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder},
    coalesce::Coalesce,
    degradation::Degradation,
    fallback::Fallback,
    hedge::Hedge,
    rate_limit::{Decision, Mode, RateLimit},
    retry::{Budget, Retry},
    shed::Shed,
    timeout::Timeout,
};
use tower::{Service, ServiceBuilder, ServiceExt};

use self::subjects::{Always, Governed, Inner};

/// All of them, in the order of the report.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().chain(over::NAMES).copied()
}

const NAMES: &[&str] = &[
    "timeout, ready at once",
    "timeout, pending once",
    "tower timeout, ready at once",
    "tower timeout, pending once",
    "breaker, count window, timed",
    "breaker, count window, untimed",
    "breaker, time window, timed",
    "breaker, time window, untimed (default)",
    "breaker, open, refused",
    "retry, no budget",
    "retry, budget",
    "hedge, idle, ready at once",
    "hedge, idle, pending once",
    "fallback, idle",
    "boundary",
    "chaos, switched off",
    "chaos, that lets the call pass",
    "coalesce, alone",
    "cache, fresh",
    "cache, asked for each time (time to live of zero)",
    "bulkhead, uncontended",
    "bulkhead, refused",
    "shed, uncontended",
    "shed, refused (no line)",
    "tower concurrency limit, uncontended",
    "adaptive limit, ready at once",
    "adaptive limit, pending once",
    "rate limit, admitted",
    "rate limit, refused",
    "rate limit of cycles, admitted",
    "rate limit, shared, admitted (a store that answers at once)",
    "rate limit, shared, refused (the same)",
    "tower rate limit, admitted",
    "governor, admitted",
    "governor, refused",
    "degradation, asked before the call",
    "stack: fallback timeout retry breaker",
    "stack, pending once",
    "stack with bulkhead and rate limit",
    "stack with both, pending once",
];

/// Runs `calls` calls of a case; returns the allocations of the calls and their number.
pub(crate) fn run(case: &str, calls: u64, allocations: impl Fn() -> u64) -> (u64, u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        // A timer of a server's: without one, each new timer is the earliest and costs a system call.
        let earlier = tokio::time::sleep(Duration::from_secs(1));
        tokio::pin!(earlier);
        let _ = futures_poll_once(earlier.as_mut()).await;
        dispatch(case, calls, &allocations).await
    })
}

async fn futures_poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

async fn dispatch(case: &str, calls: u64, allocations: &impl Fn() -> u64) -> (u64, u64) {
    let ready = Inner { pending: false };
    let pending = Inner { pending: true };
    let second = Duration::from_secs(1);
    let timeout = || Timeout::builder(second).name("call").build().expect("settings");
    let breaker = |builder: CircuitBreakerBuilder| builder.name("inventory").build().expect("settings");
    let count = || CircuitBreaker::builder().count_window(100);
    let timed = |builder: CircuitBreakerBuilder| builder.slow_calls(1.0, second);
    let retry = |budget: Option<Budget>| Retry::builder().budget(budget.map(Arc::new)).build().expect("settings");
    let hedged = || Retry::builder().hedge(Hedge::after(second)).build().expect("settings");
    let stack = |inner| {
        ServiceBuilder::new()
            .layer(Fallback::value(0_u64).build())
            .layer(timeout())
            .layer(retry(Some(Budget::refund())))
            .layer(breaker(CircuitBreaker::builder()))
            .service(inner)
    };
    let chaos = |on| Chaos::builder().name("inventory").hangs(1e-9).enabled(on).seed(1).build().expect("settings");
    let adaptive = || AdaptiveLimit::builder(second).name("inventory").build().expect("settings");
    let cache = |ttl| {
        let builder = Cache::builder(ttl, |id: &u64| Some(*id)).name("inventory").stale_if_error(second);
        builder.build().expect("settings")
    };
    let shed = |waiting| Shed::builder(25).name("inventory").max_waiting(waiting).build().expect("settings");
    let bulkhead = || Bulkhead::builder(25).name("inventory").build().expect("settings");
    // More than are ever asked for, or one in a day.
    let (plenty, day) = (1_000_000_000, Duration::from_secs(86_400));
    let rate = |limit, burst, period, mode| {
        RateLimit::builder(limit, period).name("inventory").burst(burst).mode(mode).build().expect("settings")
    };
    let shared = |decision| {
        let builder = RateLimit::builder(plenty, second).name("inventory");
        builder.store(Always(decision), 1).build().expect("settings")
    };
    let full_stack = |inner| {
        ServiceBuilder::new()
            .layer(Fallback::value(0_u64).build())
            .layer(timeout())
            .layer(retry(Some(Budget::refund())))
            .layer(breaker(CircuitBreaker::builder()))
            .layer(bulkhead())
            .layer(rate(plenty, plenty, second, Mode::Smooth))
            .service(inner)
    };
    macro_rules! measure {
        ($service:expr) => {
            loop_over($service, calls, allocations).await
        };
    }
    let layered = ServiceBuilder::new();
    match case {
        "bare" => measure!(ready),
        "timeout, ready at once" => measure!(layered.layer(timeout()).service(ready)),
        "timeout, pending once" => measure!(layered.layer(timeout()).service(pending)),
        "tower timeout, ready at once" => measure!(layered.timeout(second).service(ready)),
        "tower timeout, pending once" => measure!(layered.timeout(second).service(pending)),
        "breaker, count window, timed" => measure!(layered.layer(breaker(timed(count()))).service(ready)),
        "breaker, count window, untimed" => measure!(layered.layer(breaker(count())).service(ready)),
        "breaker, time window, timed" => {
            measure!(layered.layer(breaker(timed(CircuitBreaker::builder()))).service(ready))
        }
        "breaker, time window, untimed (default)" => {
            measure!(layered.layer(breaker(CircuitBreaker::builder())).service(ready))
        }
        "breaker, open, refused" => {
            let layer = breaker(CircuitBreaker::builder());
            layer.handle().open_for(Duration::from_secs(3600));
            measure!(layered.layer(layer).service(ready))
        }
        "retry, no budget" => measure!(layered.layer(retry(None)).service(ready)),
        "retry, budget" => measure!(layered.layer(retry(Some(Budget::ratio()))).service(ready)),
        "hedge, idle, ready at once" => measure!(layered.layer(hedged()).service(ready)),
        "hedge, idle, pending once" => measure!(layered.layer(hedged()).service(pending)),
        "fallback, idle" => measure!(layered.layer(Fallback::value(0_u64).build()).service(ready)),
        "boundary" => measure!(layered.layer(steadfast::boundary::BoundaryLayer).service(ready)),
        "chaos, switched off" => measure!(layered.layer(chaos(false)).service(ready)),
        "chaos, that lets the call pass" => measure!(layered.layer(chaos(true)).service(ready)),
        "coalesce, alone" => {
            measure!(layered.layer(Coalesce::builder(|id: &u64| Some(*id)).name("inventory").build()).service(ready))
        }
        "cache, fresh" => measure!(layered.layer(cache(day)).service(ready)),
        "cache, asked for each time (time to live of zero)" => {
            measure!(layered.layer(cache(Duration::ZERO)).service(ready))
        }
        "bulkhead, uncontended" => measure!(layered.layer(bulkhead()).service(ready)),
        "bulkhead, refused" => {
            let layer = bulkhead();
            let _permits: Vec<_> = (0..25).map(|_| layer.handle().try_acquire().expect("a place")).collect();
            measure!(layered.layer(layer).service(ready))
        }
        "adaptive limit, ready at once" => measure!(layered.layer(adaptive()).service(ready)),
        "adaptive limit, pending once" => measure!(layered.layer(adaptive()).service(pending)),
        "shed, uncontended" => measure!(layered.layer(shed(1000)).service(ready)),
        "shed, refused (no line)" => {
            let layer = shed(0);
            let _permits: Vec<_> = (0..25).map(|_| layer.handle().try_acquire().expect("a place")).collect();
            measure!(layered.layer(layer).service(ready))
        }
        "tower concurrency limit, uncontended" => measure!(layered.concurrency_limit(25).service(ready)),
        "rate limit, admitted" => measure!(layered.layer(rate(plenty, plenty, second, Mode::Smooth)).service(ready)),
        "rate limit, refused" => measure!(layered.layer(rate(1, 1, day, Mode::Smooth)).service(ready)),
        "rate limit of cycles, admitted" => {
            measure!(layered.layer(rate(plenty, plenty, day, Mode::Cycles)).service(ready))
        }
        "rate limit, shared, admitted (a store that answers at once)" => {
            measure!(layered.layer(shared(Decision::admitted())).service(ready))
        }
        "rate limit, shared, refused (the same)" => {
            measure!(layered.layer(shared(Decision::refused(second))).service(ready))
        }
        "tower rate limit, admitted" => measure!(layered.rate_limit(plenty.into(), day).service(ready)),
        "governor, admitted" => measure!(Governed::new(ready, plenty)),
        "governor, refused" => measure!(Governed::new(ready, 1)),
        "degradation, asked before the call" => {
            let degradation = Degradation::builder().feature("reviews", 1).source("idle", || 0.0).build();
            let degradation = degradation.expect("settings");
            let ask = move |request: u64| request + u64::from(degradation.allows("reviews"));
            measure!(layered.map_request(ask).service(ready))
        }
        "stack with bulkhead and rate limit" => measure!(full_stack(ready)),
        "stack with both, pending once" => measure!(full_stack(pending)),
        "stack: fallback timeout retry breaker" => measure!(stack(ready)),
        "stack, pending once" => measure!(stack(pending)),
        other => over::dispatch(other, calls, allocations).await,
    }
}

async fn loop_over<S: Service<u64>>(mut service: S, calls: u64, allocations: &impl Fn() -> u64) -> (u64, u64) {
    // What is made once: thread-locals, the timer's slot.
    for _ in 0..10 {
        call(&mut service).await;
    }
    let before = allocations();
    for _ in 0..calls {
        call(&mut service).await;
    }
    (allocations() - before, calls)
}

async fn call<S: Service<u64>>(service: &mut S) {
    let outcome = match service.ready().await {
        Ok(ready) => ready.call(1).await,
        Err(error) => Err(error),
    };
    std::hint::black_box(outcome.is_ok());
}
