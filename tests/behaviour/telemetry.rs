//! Events: bounded for a slow subscriber, free without one, ended with the component.

use steadfast::{
    backoff::Backoff,
    circuit_breaker::{Cause, CircuitBreaker, CircuitBreakerEvent, State},
    retry::{Finish, Retry, RetryEvent},
    telemetry::Received,
    timeout::{Timeout, TimeoutEvent},
};
use tower::{Layer, ServiceExt};

use crate::support::{Mode, SEC, Upstream, call_times, changes, finished};

#[tokio::test(start_paused = true)]
async fn a_subscriber_that_lags_loses_the_oldest_events_and_is_told_how_many() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    let mut events = breaker.handle().subscribe();
    for _ in 0..300 {
        breaker.handle().open();
    }
    assert_eq!(events.recv().await, Some(Received::Lost(44)));
    let Some(Received::Event(CircuitBreakerEvent::StateChanged(oldest))) = events.recv().await else { panic!() };
    assert_eq!(oldest.generation, 45);
    assert_eq!(changes(&mut events).len(), 255);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_when_the_component_is_gone() {
    let breaker = CircuitBreaker::builder().automatic_half_open(true).build().unwrap();
    let mut events = breaker.handle().subscribe();
    let service = breaker.layer(Upstream::new(Mode::Succeed));
    breaker.handle().force_open();
    drop(breaker);
    let waiting = tokio::spawn(async move {
        let forced = events.recv().await;
        (forced.is_some(), events.recv().await)
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "the service still holds it");
    drop(service);
    assert_eq!(finished(vec![waiting]).await, [(true, None)]);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_made_only_for_those_who_listen_from_then_on() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    breaker.handle().open();
    let mut late = breaker.handle().subscribe();
    assert!(late.try_recv().is_none(), "what was before is not told");
    breaker.handle().close();
    assert_eq!(changes(&mut late).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_state_tells_what_an_operator_asks() {
    let breaker = CircuitBreaker::builder().count_window(10).wait_open(Backoff::fixed(SEC)).build().unwrap();
    let mut events = breaker.handle().subscribe();
    let service = breaker.layer(Upstream::new(Mode::Fail));
    tokio::time::advance(5 * SEC).await;
    call_times(&service, 12).await;
    breaker.handle().close();
    let told = changes(&mut events);
    let (opened, closed) = (&told[0], &told[1]);
    assert_eq!((opened.from, opened.to, opened.cause), (State::Closed, State::Open, Cause::ConsecutiveFailures));
    assert_eq!((opened.failure_rate, opened.calls, opened.lasted), (Some(1.0), 10, 5 * SEC));
    assert_eq!((opened.refused, opened.open_for, opened.generation), (0, Some(SEC), 1));
    assert_eq!((closed.cause, closed.refused, closed.open_for, closed.generation), (Cause::ByHand, 2, None, 2));
}

#[tokio::test(start_paused = true)]
async fn every_live_change_is_told() {
    let breaker = CircuitBreaker::builder().build().unwrap().handle();
    let retry = Retry::builder().build().unwrap().handle();
    let timeout = Timeout::builder(SEC).build().unwrap().handle();
    let (mut of_breaker, mut of_retry, mut of_timeout) = (breaker.subscribe(), retry.subscribe(), timeout.subscribe());
    breaker.change(|settings| settings.minimum_calls = 5).unwrap();
    retry.change(|settings| settings.max_attempts = 5).unwrap();
    timeout.change(2 * SEC).unwrap();
    assert_eq!(of_breaker.try_recv(), Some(Received::Event(CircuitBreakerEvent::SettingsChanged)));
    assert_eq!(of_retry.try_recv(), Some(Received::Event(RetryEvent::SettingsChanged)));
    assert_eq!(of_timeout.try_recv(), Some(Received::Event(TimeoutEvent::LimitChanged(2 * SEC))));
}

#[tokio::test(start_paused = true)]
async fn a_retry_tells_of_waits_recoveries_and_giving_up() {
    let retry = Retry::builder().backoff(Backoff::none()).build().unwrap();
    let mut events = retry.handle().subscribe();
    let _ = retry.layer(Upstream::new(Mode::FailFirst(1))).oneshot(()).await;
    let _ = retry.layer(Upstream::new(Mode::Fail)).oneshot(()).await;
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    let retrying = |attempt| Received::Event(RetryEvent::Retrying { attempt, wait: std::time::Duration::ZERO });
    let recovered = Received::Event(RetryEvent::Recovered { attempts: 2 });
    let gave_up = Received::Event(RetryEvent::GaveUp { attempts: 3, why: Finish::OutOfAttempts });
    assert_eq!(told, [retrying(2), recovered, retrying(2), retrying(3), gave_up]);
    assert_eq!((retry.handle().retries(), retry.handle().gave_up()), (3, 1));
}
