//! Faults 1, 2, 4, 5, 6 and 33 of circuit breakers.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use steadfast::{
    Error, RejectedKind,
    backoff::Backoff,
    circuit_breaker::{Cause, CircuitBreaker, CircuitBreakerBuilder, State},
    timeout::Timeout,
};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};

use crate::support::{Down, MS, Mode, SEC, Upstream, call_times, changes, poll_once};

/// Opens by its rate alone.
fn by_rate(window: u32, rate: f64) -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .count_window(window)
        .minimum_calls(window)
        .failure_rate(rate)
        .consecutive_failures(None)
        .wait_open(Backoff::fixed(SEC))
}

// 1
#[tokio::test(start_paused = true)]
async fn a_count_window_slides_so_that_ten_thousand_successes_do_not_put_off_its_opening() {
    for (rate, needed) in [(1.0, 10), (0.5, 5)] {
        let breaker = by_rate(10, rate).build().unwrap();
        let upstream = Upstream::new(Mode::Succeed);
        let service = breaker.layer(upstream.clone());
        assert_eq!(call_times(&service, 10_000).await, 10_000);
        upstream.set(Mode::Fail);
        call_times(&service, needed - 1).await;
        assert_eq!(breaker.handle().state(), State::Closed, "rate {rate}: one failure short");
        call_times(&service, 1).await;
        assert_eq!(breaker.handle().state(), State::Open, "rate {rate}: {needed} failures of the last 10");
    }
}

// 2
#[tokio::test(start_paused = true)]
async fn minimum_calls_below_the_window_takes_effect() {
    let breaker = by_rate(100, 0.5).minimum_calls(5).build().unwrap();
    let service = breaker.layer(Upstream::new(Mode::Fail));
    call_times(&service, 4).await;
    assert_eq!(breaker.handle().state(), State::Closed, "no rate below the minimum");
    call_times(&service, 1).await;
    assert_eq!(breaker.handle().state(), State::Open, "the fifth of a window of 100");
}

// 4
#[tokio::test(start_paused = true)]
async fn a_late_failure_does_not_reopen_and_a_late_success_does_not_close() {
    for late in [Mode::Hang, Mode::HangThenFail] {
        let breaker = by_rate(2, 1.0).half_open_calls(1).build().unwrap();
        let handle = breaker.handle();
        let upstream = Upstream::new(late);
        let service = breaker.layer(upstream.clone());
        let mut calls: Vec<_> = (0..3).map(|_| Box::pin(service.clone().oneshot(()))).collect();
        calls.iter_mut().for_each(|call| assert!(poll_once(call).is_none()));
        upstream.set(Mode::Fail);
        call_times(&service, 2).await;
        assert_eq!(handle.state(), State::Open);

        let mut next = calls.into_iter();
        upstream.answer();
        let _ = next.next().unwrap().await;
        assert_eq!(handle.state(), State::Open, "{late:?}: a late outcome moves an open breaker");

        tokio::time::advance(SEC).await;
        handle.half_open();
        let _ = next.next().unwrap().await;
        assert_eq!(handle.state(), State::HalfOpen, "{late:?}: a late outcome decides half-open");
        assert_eq!(handle.snapshot().recorded, 0, "{late:?}: a late outcome is counted in half-open");

        upstream.set(Mode::Succeed);
        call_times(&service, 1).await;
        assert_eq!(handle.state(), State::Closed);
        let _ = next.next().unwrap().await;
        let snapshot = handle.snapshot();
        assert_eq!(
            (snapshot.recorded, snapshot.failed),
            (0, 0),
            "{late:?}: a late outcome is counted when closed again"
        );
        assert_eq!(snapshot.late, 3);
    }
}

// 5
#[tokio::test(start_paused = true)]
async fn twenty_calls_killed_by_an_outer_timeout_of_tower_open_the_breaker() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(tower::timeout::TimeoutLayer::new(100 * MS))
        .map_err(BoxError::from)
        .layer(breaker.clone())
        .service(Upstream::new(Mode::Hang).map_err(BoxError::from));
    assert_eq!(call_times(&service, 20).await, 0);
    assert_eq!(breaker.handle().state(), State::Open, "{:?}", breaker.handle().snapshot());
}

// 5
#[tokio::test(start_paused = true)]
async fn calls_killed_by_our_own_timeout_are_failures_each_of_them() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    let timeout = Timeout::builder(100 * MS).build().unwrap();
    let service = ServiceBuilder::new().layer(timeout).layer(breaker.clone()).service(Upstream::new(Mode::Hang));
    call_times(&service, 9).await;
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.failed, snapshot.abandoned), (9, 0), "{snapshot:?}");
    call_times(&service, 1).await;
    assert_eq!(breaker.handle().state(), State::Open, "ten in a row");
}

// 6
#[tokio::test(start_paused = true)]
async fn panics_are_failures_in_call_and_in_the_future() {
    for mode in [Mode::PanicInCall, Mode::PanicInPoll] {
        let breaker = CircuitBreaker::builder().build().unwrap();
        let service = breaker.layer(Upstream::new(mode));
        let mut panics = 0;
        for _ in 0..50 {
            panics += u32::from(AssertUnwindSafe(service.clone().oneshot(())).catch_unwind().await.is_err());
        }
        assert_eq!(breaker.handle().state(), State::Open, "{mode:?}: {:?}", breaker.handle().snapshot());
        assert_eq!(panics, 10, "{mode:?}: the breaker opens at the tenth in a row");
    }
}

// 6
#[tokio::test(start_paused = true)]
async fn a_panic_while_a_permit_is_held_by_hand_is_a_failure() {
    let breaker = CircuitBreaker::builder().consecutive_failures(1).build().unwrap();
    let handle = breaker.handle();
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _permit = handle.acquire().unwrap();
        panic!("in the middle of it");
    }));
    assert!(result.is_err());
    assert_eq!(handle.state(), State::Open);
}

// 33
#[tokio::test(start_paused = true)]
async fn rejections_are_labelled_by_the_state_that_refuses() {
    let breaker = by_rate(2, 1.0).half_open_calls(1).name("inventory").build().unwrap();
    let handle = breaker.handle();
    let upstream = Upstream::new(Mode::Hang);
    let service = breaker.layer(upstream);
    let refused = async || match service.clone().oneshot(()).await {
        Err(Error::<Down>::Rejected(rejected)) => rejected,
        other => panic!("{other:?}"),
    };

    handle.open_for(SEC);
    let open = refused().await;
    assert_eq!((open.kind(), open.retry_after()), (RejectedKind::CircuitOpen, Some(SEC)));
    assert_eq!(open.to_string(), "circuit breaker `inventory` is open; try again in 1s");

    handle.half_open();
    let mut trial = Box::pin(service.clone().oneshot(()));
    assert!(poll_once(&mut trial).is_none());
    let half_open = refused().await;
    assert_eq!(half_open.kind(), RejectedKind::CircuitHalfOpen);
    assert!(half_open.to_string().starts_with("circuit breaker `inventory` is half-open"), "{half_open}");

    handle.force_open();
    let forced = refused().await;
    assert_eq!((forced.kind(), forced.retry_after()), (RejectedKind::CircuitForcedOpen, None));
    assert_eq!(forced.to_string(), "circuit breaker `inventory` was forced open by hand");
}

// 33
#[tokio::test(start_paused = true)]
async fn opening_again_from_half_open_is_told() {
    let breaker = by_rate(2, 1.0).half_open_calls(1).build().unwrap();
    let mut events = breaker.handle().subscribe();
    let service = breaker.layer(Upstream::new(Mode::Fail));
    call_times(&service, 2).await;
    for _ in 0..2 {
        tokio::time::advance(SEC).await;
        call_times(&service, 3).await;
    }
    let told: Vec<_> = changes(&mut events).iter().map(|change| (change.from, change.to, change.cause)).collect();
    use State::{Closed, HalfOpen, Open};
    assert_eq!(
        told,
        [
            (Closed, Open, Cause::FailureRate),
            (Open, HalfOpen, Cause::WaitOver),
            (HalfOpen, Open, Cause::FailureRate),
            (Open, HalfOpen, Cause::WaitOver),
            (HalfOpen, Open, Cause::FailureRate),
        ]
    );
    assert_eq!(breaker.handle().snapshot().refused_in_all, 4, "two refusals in each open state");
}
