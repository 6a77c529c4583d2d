//! Settings changed while running, timers that a subscriber drives, and permits by hand.

use std::time::Duration;

use steadfast::{
    backoff::Backoff,
    circuit_breaker::{CircuitBreaker, CircuitBreakerEvent, State, Window},
    telemetry::Received,
};
use tower::Layer;

use crate::support::{Mode, SEC, Upstream, call_times, finished, now};

#[tokio::test(start_paused = true)]
async fn a_live_change_keeps_state_and_window_and_holds_from_the_next_outcome_on() {
    let breaker = CircuitBreaker::builder().count_window(10).consecutive_failures(None).build().unwrap();
    let handle = breaker.handle();
    let upstream = Upstream::new(Mode::FailFirst(3));
    let service = breaker.layer(upstream);
    call_times(&service, 10).await;
    handle.change(|settings| settings.failure_rate = 0.3).unwrap();
    assert_eq!((handle.state(), handle.snapshot().failed), (State::Closed, 3));
    handle.change(|settings| settings.window = Window::Count(20)).unwrap();
    assert_eq!(handle.snapshot().recorded, 10, "a larger window keeps its calls");
    handle.change(|settings| settings.window = Window::Count(5)).unwrap();
    assert_eq!((handle.snapshot().recorded, handle.snapshot().failed), (5, 0), "a smaller one the newest");
    handle.change(|settings| settings.window = Window::Time(10 * SEC)).unwrap();
    assert_eq!(handle.snapshot().recorded, 0, "another kind starts empty");
}

#[tokio::test(start_paused = true)]
async fn a_running_open_state_ends_when_it_was_going_to() {
    let breaker = CircuitBreaker::builder().wait_open(Backoff::fixed(SEC)).build().unwrap();
    let handle = breaker.handle();
    handle.open();
    handle.change(|settings| settings.wait_open = Backoff::fixed(60 * SEC)).unwrap();
    tokio::time::advance(SEC).await;
    assert!(handle.snapshot().admits);
    handle.open();
    assert_eq!(handle.snapshot().open_for, Some(60 * SEC));
}

#[tokio::test(start_paused = true)]
async fn automatic_half_open_is_seen_by_a_subscriber_when_it_happens_with_no_call() {
    let breaker = CircuitBreaker::builder().automatic_half_open(true).wait_open(Backoff::fixed(SEC)).build().unwrap();
    let mut events = breaker.handle().subscribe();
    breaker.handle().open();
    let began = now();
    let subscriber = tokio::spawn(async move {
        let mut seen = Vec::new();
        // Open, half-open by itself, and open again as nobody came for ten seconds.
        for _ in 0..3 {
            let Some(Received::Event(CircuitBreakerEvent::StateChanged(change))) = events.recv().await else {
                panic!()
            };
            seen.push((change.to, (now() - began).as_secs()));
        }
        seen
    });
    tokio::task::yield_now().await;
    assert_eq!(finished(vec![subscriber]).await[0], [(State::Open, 0), (State::HalfOpen, 1), (State::Open, 11)]);
}

#[test]
fn permits_work_in_synchronous_code_without_a_runtime() {
    let breaker = CircuitBreaker::builder().count_window(4).consecutive_failures(None).build().unwrap();
    let handle = breaker.handle();
    handle.acquire().unwrap().success();
    handle.acquire().unwrap().ignore();
    handle.acquire().unwrap().release();
    drop(handle.acquire().unwrap());
    handle.acquire().unwrap().failure();
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.recorded, snapshot.failed, snapshot.abandoned), (2, 1, 1));
    handle.acquire().unwrap().record(steadfast::Verdict::Permanent);
    assert_eq!(handle.state(), State::Open, "failed + abandoned are three of four, two of three recorded failed");
    let refused = handle.acquire().unwrap_err();
    assert!(refused.retry_after().unwrap() > Duration::ZERO);
}
