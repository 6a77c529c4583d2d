//! Calls that are dropped before they have a result: what each setting makes of them.

use std::time::Duration;

use steadfast::{
    circuit_breaker::{Abandoned, CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerLayer, State},
    timeout::Timeout,
};
use tower::{Layer, ServiceExt};

use crate::support::{MS, Mode, SEC, Upstream, call_times};

fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder().count_window(20).consecutive_failures(None)
}

/// Drops so many calls, each after `took`.
async fn abandon(breaker: &CircuitBreakerLayer, calls: u32, took: Duration) {
    for _ in 0..calls {
        let call = tokio::spawn(breaker.layer(Upstream::new(Mode::Hang)).oneshot(()));
        tokio::task::yield_now().await;
        tokio::time::advance(took).await;
        call.abort();
        let _ = call.await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_calls_are_kept_apart_until_they_are_half_of_all_and_then_are_failures() {
    let breaker = builder().build().unwrap();
    call_times(&breaker.layer(Upstream::new(Mode::Succeed)), 11).await;
    abandon(&breaker, 9, SEC).await;
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.state, snapshot.abandoned, snapshot.failure_rate), (State::Closed, 9, Some(0.0)));
    abandon(&breaker, 1, SEC).await;
    assert_eq!(breaker.handle().state(), State::Open, "half of twenty");
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_after_the_slow_call_duration_is_slow() {
    let breaker = builder().slow_calls(0.5, 100 * MS).build().unwrap();
    abandon(&breaker, 1, 101 * MS).await;
    abandon(&breaker, 1, 99 * MS).await;
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.slow, snapshot.abandoned, snapshot.failed), (1, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_past_its_deadline_is_a_failure_and_one_dropped_before_is_not() {
    let breaker = builder().build().unwrap();
    let timeout = Timeout::builder(SEC).build().unwrap();
    let service = timeout.layer(breaker.layer(Upstream::new(Mode::Hang)));
    service.clone().oneshot(()).await.unwrap_err();
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.failed, snapshot.abandoned, snapshot.recorded), (1, 0, 1));

    let cancelled = tokio::spawn(service.oneshot(()));
    tokio::task::yield_now().await;
    cancelled.abort();
    let _ = cancelled.await;
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.failed, snapshot.abandoned, snapshot.recorded), (1, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn dropped_calls_can_be_nothing_or_failures() {
    for (abandoned, failed) in [(Abandoned::Ignored, 0), (Abandoned::Failure, 5)] {
        let breaker = builder().abandoned(abandoned).build().unwrap();
        abandon(&breaker, 5, SEC).await;
        let snapshot = breaker.handle().snapshot();
        assert_eq!((snapshot.failed, snapshot.recorded, snapshot.abandoned), (failed, failed, 0), "{abandoned:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_never_closes_a_breaker() {
    for abandoned in [Abandoned::Judged, Abandoned::Ignored, Abandoned::Failure] {
        let breaker = builder().abandoned(abandoned).half_open_calls(3).build().unwrap();
        breaker.handle().open_for(Duration::ZERO);
        call_times(&breaker.layer(Upstream::new(Mode::Succeed)), 2).await;
        abandon(&breaker, 1, MS).await;
        assert_ne!(breaker.handle().state(), State::Closed, "{abandoned:?}");
    }
}
