//! The states of a circuit breaker, each way into and out of them.

use std::time::Duration;

use steadfast::{
    Error, Verdict,
    backoff::Backoff,
    circuit_breaker::{Cause, CircuitBreaker, CircuitBreakerBuilder, HalfOpenEnd, State},
    classify,
};
use tower::{Layer, ServiceExt};

use crate::support::{Down, MS, Mode, SEC, Upstream, call_times, changes};

fn ten() -> CircuitBreakerBuilder {
    CircuitBreaker::builder().count_window(10).consecutive_failures(None).wait_open(Backoff::fixed(SEC))
}

#[tokio::test(start_paused = true)]
async fn it_opens_at_the_rate_and_a_success_may_be_the_outcome_that_shows_it() {
    let breaker = ten().build().unwrap();
    let upstream = Upstream::new(Mode::FailFirst(5));
    let service = breaker.layer(upstream);
    call_times(&service, 9).await;
    assert_eq!(breaker.handle().state(), State::Closed, "nine of ten");
    assert_eq!(call_times(&service, 1).await, 1);
    assert_eq!(breaker.handle().state(), State::Open, "half of ten, seen at a success");
}

#[tokio::test(start_paused = true)]
async fn ten_failures_in_a_row_open_it_long_before_the_rate_is_known() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    let mut events = breaker.handle().subscribe();
    let service = breaker.layer(Upstream::new(Mode::Fail));
    call_times(&service, 9).await;
    assert_eq!(breaker.handle().state(), State::Closed);
    call_times(&service, 1).await;
    assert_eq!(changes(&mut events)[0].cause, Cause::ConsecutiveFailures);
}

#[tokio::test(start_paused = true)]
async fn slow_is_strictly_longer_and_slow_calls_open_it() {
    for (took, state) in [(100 * MS, State::Closed), (101 * MS, State::Open)] {
        let breaker = ten().count_window(2).slow_calls(1.0, 100 * MS).build().unwrap();
        let upstream = Upstream::new(Mode::Hang);
        for _ in 0..2 {
            let call = tokio::spawn(breaker.layer(upstream.clone()).oneshot(()));
            tokio::task::yield_now().await;
            tokio::time::advance(took).await;
            upstream.answer();
            call.await.unwrap().unwrap();
        }
        assert_eq!(breaker.handle().state(), state, "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn half_open_decides_after_the_fewer_of_minimum_and_trial_calls() {
    for (minimum, trials, needed) in [(3, 5, 3), (20, 5, 5)] {
        let breaker = ten().minimum_calls(minimum).half_open_calls(trials).build().unwrap();
        let service = breaker.layer(Upstream::new(Mode::Succeed));
        breaker.handle().open_for(Duration::ZERO);
        call_times(&service, needed - 1).await;
        assert_eq!(breaker.handle().state(), State::HalfOpen);
        call_times(&service, 1).await;
        assert_eq!(breaker.handle().state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn at_exactly_the_end_of_its_wait_an_open_breaker_lets_through() {
    let breaker = ten().build().unwrap();
    let service = breaker.layer(Upstream::new(Mode::Succeed));
    breaker.handle().open();
    tokio::time::advance(SEC - Duration::from_nanos(1)).await;
    assert_eq!(call_times(&service, 1).await, 0);
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert_eq!(call_times(&service, 1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_open_wait_grows_with_each_opening_up_to_its_cap_and_starts_anew_after_closing() {
    let breaker = CircuitBreaker::builder().seed(1).build().unwrap();
    let handle = breaker.handle();
    let open_for = || {
        handle.open();
        handle.snapshot().open_for.unwrap().as_secs_f64()
    };
    for base in [0.25, 0.5, 1.0, 2.0, 4.0] {
        let wait = open_for();
        assert!((base * 0.8..=base * 1.2).contains(&wait), "{wait} is not {base} ± 20 %");
    }
    for _ in 0..20 {
        assert!((3.3..=5.0).contains(&open_for()));
    }
    handle.close();
    assert!(open_for() <= 0.3);
}

#[tokio::test(start_paused = true)]
async fn half_open_that_lasts_too_long_is_judged_opened_or_closed_as_told() {
    for (end, expected) in
        [(HalfOpenEnd::Judge, State::Closed), (HalfOpenEnd::Open, State::Open), (HalfOpenEnd::Close, State::Closed)]
    {
        let breaker = ten().half_open_max_wait(10 * SEC, end).build().unwrap();
        let service = breaker.layer(Upstream::new(Mode::Succeed));
        breaker.handle().open_for(Duration::ZERO);
        call_times(&service, 3).await;
        tokio::time::advance(10 * SEC).await;
        assert_eq!(breaker.handle().state(), expected, "{end:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn manual_states_hold_until_told_otherwise() {
    let breaker = ten().build().unwrap();
    let handle = breaker.handle();
    let upstream = Upstream::new(Mode::Fail);
    let service = breaker.layer(upstream.clone());

    handle.force_open();
    tokio::time::advance(1_000_000 * SEC).await;
    call_times(&service, 20).await;
    assert_eq!((handle.state(), upstream.calls()), (State::ForcedOpen, 0));

    handle.disable();
    call_times(&service, 20).await;
    assert_eq!((handle.state(), upstream.calls(), handle.snapshot().recorded), (State::Disabled, 20, 0));

    handle.metrics_only();
    call_times(&service, 20).await;
    assert_eq!((handle.state(), upstream.calls(), handle.snapshot().failed), (State::MetricsOnly, 40, 10));
    assert!(!handle.half_open(), "there is nothing to try");

    handle.open();
    assert_eq!(handle.state(), State::Open, "opened from any state");
    assert!(handle.half_open());
    handle.close();
    assert_eq!((handle.state(), handle.snapshot().recorded), (State::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn overloaded_is_a_failure_unless_told_otherwise() {
    for is_failure in [true, false] {
        let overloaded = classify::from_fn(|_: Result<&u32, &Error<Down>>| Verdict::OVERLOADED);
        let breaker = ten().overloaded_is_failure(is_failure).classify(overloaded).build().unwrap();
        call_times(&breaker.layer(Upstream::new(Mode::Succeed)), 10).await;
        let state = if is_failure { State::Open } else { State::Closed };
        assert_eq!(breaker.handle().state(), state);
    }
}

#[tokio::test(start_paused = true)]
async fn a_ramp_admits_a_share_that_grows_after_recovery() {
    let breaker = ten().half_open_calls(1).ramp(10 * SEC).build().unwrap();
    let service = breaker.layer(Upstream::new(Mode::Succeed));
    breaker.handle().open_for(Duration::ZERO);
    call_times(&service, 1).await;
    assert_eq!(breaker.handle().state(), State::Closed);
    let mut shares = Vec::new();
    for _ in 0..10 {
        shares.push(call_times(&service, 100).await);
        tokio::time::advance(SEC).await;
    }
    assert!(shares.is_sorted(), "{shares:?}");
    assert!((9..=11).contains(&shares[0]) && (49..=51).contains(&shares[5]), "{shares:?}");
    assert_eq!(call_times(&service, 100).await, 100, "the ramp is over");
}
