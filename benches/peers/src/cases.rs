//! The cases: a service that is ready at once, or pending once, under each layer and under the stack.

// The ban on sleeping is for the crate.
#![allow(clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder},
    fallback::Fallback,
    retry::{Budget, Retry},
    timeout::Timeout,
};
use tower::{Service, ServiceBuilder, ServiceExt};

/// In the order of the report.
pub(crate) const NAMES: &[&str] = &[
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
    "fallback, idle",
    "boundary",
    "stack: fallback timeout retry breaker",
    "stack, pending once",
];

/// Answers at once, or at the second poll.
#[derive(Clone)]
struct Inner {
    pending: bool,
}

struct Answer {
    pending: bool,
}

impl Service<u64> for Inner {
    type Response = u64;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Answer {
        Answer { pending: self.pending }
    }
}

impl Future for Answer {
    type Output = Result<u64, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(std::hint::black_box(7)))
    }
}

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
    let stack = |inner| {
        ServiceBuilder::new()
            .layer(Fallback::value(0_u64).build())
            .layer(timeout())
            .layer(retry(Some(Budget::refund())))
            .layer(breaker(CircuitBreaker::builder()))
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
        "fallback, idle" => measure!(layered.layer(Fallback::value(0_u64).build()).service(ready)),
        "boundary" => measure!(layered.layer(steadfast::boundary::BoundaryLayer).service(ready)),
        "stack: fallback timeout retry breaker" => measure!(stack(ready)),
        "stack, pending once" => measure!(stack(pending)),
        other => panic!("no such case: {other}"),
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
