//! Faults 19 and 31: timers that outlive what they were for, and clocks that paused time does not govern.

use std::time::{Duration, Instant};

use steadfast::{
    backoff::Backoff,
    circuit_breaker::{CircuitBreaker, HalfOpenEnd, State},
    retry::Retry,
    timeout::Timeout,
};
use tower::{Layer, ServiceExt};

use crate::support::{Mode, SEC, Upstream, call_times, changes, now};

// 19
#[tokio::test(start_paused = true)]
async fn the_timers_of_a_breaker_end_with_its_reset() {
    let breaker = CircuitBreaker::builder()
        .automatic_half_open(true)
        .wait_open(Backoff::fixed(SEC))
        .half_open_max_wait(SEC, HalfOpenEnd::Open)
        .build()
        .unwrap();
    let handle = breaker.handle();
    let mut events = handle.subscribe();
    type Act = fn(&steadfast::circuit_breaker::CircuitBreakerHandle);
    let acts: [(Act, State); 5] = [
        (|handle| handle.reset(), State::Closed),
        (|handle| handle.close(), State::Closed),
        (|handle| handle.force_open(), State::ForcedOpen),
        (|handle| handle.disable(), State::Disabled),
        (|handle| handle.metrics_only(), State::MetricsOnly),
    ];
    for (act, state) in acts {
        for half_open in [false, true] {
            handle.open();
            if half_open {
                handle.half_open();
            }
            act(&handle);
            changes(&mut events);
            // A subscriber that waits runs the timers, if there are any.
            let waited = async {
                tokio::select! {
                    biased;
                    event = events.recv() => panic!("{state:?}, from half-open: {half_open}: {event:?}"),
                    () = tokio::time::advance(100 * SEC) => {}
                }
            };
            waited.await;
            assert_eq!(handle.state(), state, "from half-open: {half_open}");
            assert!(changes(&mut events).is_empty());
        }
    }
}

// 19
#[tokio::test(start_paused = true)]
async fn the_wait_of_an_open_state_that_was_left_does_not_end_the_next_one() {
    let breaker = CircuitBreaker::builder().automatic_half_open(true).build().unwrap();
    let handle = breaker.handle();
    handle.open_for(SEC);
    tokio::time::advance(SEC / 2).await;
    handle.reset();
    handle.open_for(10 * SEC);
    tokio::time::advance(9 * SEC).await;
    assert_eq!(handle.state(), State::Open);
    tokio::time::advance(SEC).await;
    assert_eq!(handle.state(), State::HalfOpen);
}

// 31
#[tokio::test(start_paused = true)]
#[allow(clippy::disallowed_methods, reason = "to show that no time passes on the wall")]
async fn a_minute_of_an_open_circuit_is_tested_in_no_time() {
    let wall = Instant::now();
    let breaker = CircuitBreaker::resilience4j().count_window(10).minimum_calls(10).half_open_calls(1).build().unwrap();
    let upstream = Upstream::new(Mode::Fail);
    let service = breaker.layer(upstream.clone());
    call_times(&service, 10).await;
    upstream.set(Mode::Succeed);
    for second in 0..60 {
        assert_eq!(call_times(&service, 1).await, 0, "second {second}");
        tokio::time::advance(SEC).await;
    }
    assert_eq!(call_times(&service, 1).await, 1);
    assert_eq!(breaker.handle().state(), State::Closed);
    assert!(wall.elapsed() < 30 * SEC, "it waited on the wall");
}

// 31
#[tokio::test(start_paused = true)]
async fn back_off_deadline_and_time_window_follow_paused_time_and_one_another() {
    let began = now();
    let retry = Retry::builder().backoff(Backoff::fixed(60 * SEC)).build().unwrap();
    assert_eq!(retry.layer(Upstream::new(Mode::FailFirst(2))).oneshot(()).await, Ok(3));
    assert_eq!(now() - began, 120 * SEC);

    let began = now();
    let timeout = Timeout::builder(3600 * SEC).build().unwrap();
    timeout.layer(Upstream::new(Mode::Hang)).oneshot(()).await.unwrap_err();
    assert!(now() - began - 3600 * SEC <= Duration::from_millis(1), "{:?}", now() - began);

    let breaker = CircuitBreaker::builder().time_window(10 * SEC).consecutive_failures(None).build().unwrap();
    let service = breaker.layer(Upstream::new(Mode::Fail));
    call_times(&service, 19).await;
    assert_eq!(breaker.handle().snapshot().failed, 19);
    tokio::time::advance(10 * SEC).await;
    assert_eq!(breaker.handle().snapshot().failed, 0);
}
