//! What is asked under pressure, and what is judged in a stall.

#![allow(clippy::disallowed_methods)] // A thread is held up for real.

use std::{
    future::{Future, pending},
    thread,
    time::Duration,
};

use steadfast::{
    RejectedKind, bulkhead::BulkheadLayer, circuit_breaker::CircuitBreaker, degradation::Degradation, stall,
    timeout::Timeout,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::{CALLS, Typed, counted, layers::name};

const MS: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn to_ask_whether_to_leave_work_out_allocates_nothing_even_if_it_reads_the_pressure() {
    let bulkhead = BulkheadLayer::default();
    let degradation = Degradation::builder()
        .name(name("shop"))
        .feature(String::from("reviews"), 1)
        .source("bulkhead", bulkhead.handle())
        .source("stalls", stall::pressure)
        .every(MS)
        .build()
        .unwrap();
    let reviews = degradation.feature("reviews").unwrap();
    for level in [0, 1] {
        degradation.force(level);
        for _ in 0..CALLS {
            tokio::time::advance(MS).await;
            let asked = counted(async { degradation.allows("reviews") && reviews.is_allowed() }).await;
            assert_eq!(asked, (level == 0, 0));
        }
    }
}

#[tokio::test]
async fn a_call_that_a_stall_made_late_allocates_nothing_and_is_excused() {
    let _watch = stall::watch();
    let breaker = CircuitBreaker::builder().name(name("breaker")).consecutive_failures(1).build().unwrap();
    let hangs = service_fn(|()| pending::<Result<(), Typed>>());
    let service = Timeout::builder(20 * MS).name(name("call")).build().unwrap().layer(breaker.layer(hangs));
    // What is made once has been made by the second.
    for _ in 0..2 {
        let mut call = Box::pin(service.clone().oneshot(()));
        let first = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_pending())).await;
        assert!(first);
        thread::sleep(250 * MS);
        // Lets the timers come due without looking at the call.
        tokio::task::yield_now().await;
        tokio::time::sleep(MS).await;
        let excused = stall::snapshot().excused;
        let (outcome, allocations) = counted(call.as_mut()).await;
        assert_eq!(outcome.unwrap_err().rejected().unwrap().kind(), RejectedKind::TimedOut);
        assert!(stall::snapshot().excused > excused);
        assert_eq!(allocations, 0);
    }
    assert_eq!(breaker.handle().snapshot().failed, 0);
}
