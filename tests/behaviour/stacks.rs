//! Layers upon layers: what one refuses, another must not take for an answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use steadfast::{
    BoxError, Error, Rejected, RejectedKind, Run,
    backoff::Backoff,
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, State},
    retry::{Budget, BudgetMode, Retry, RetryEvent, RetryLayer},
    telemetry::{Name, Received},
    timeout::Timeout,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{MS, SEC, now};

fn lost() -> std::io::Error {
    std::io::Error::other("the answer is lost")
}

fn opens_for(wait: Duration) -> CircuitBreakerLayer {
    CircuitBreaker::builder().consecutive_failures(1).wait_open(Backoff::fixed(wait)).build().unwrap()
}

async fn works((): ()) -> Result<u32, std::io::Error> {
    Ok(1)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_seen_through_layers_that_box_errors() {
    let breaker = CircuitBreakerLayer::default();
    breaker.handle().open_for(100 * MS);
    let retry = RetryLayer::default();
    let taken_apart = ServiceBuilder::new()
        .layer(retry.clone())
        .map_err(Error::<std::io::Error>::unbox)
        .buffer(4)
        .layer(breaker.clone())
        .map_err(Error::Inner)
        .service(service_fn(works));
    assert_eq!(taken_apart.oneshot(()).await.unwrap(), 1);
    breaker.handle().open_for(100 * MS);
    let boxed_at_the_bottom = ServiceBuilder::new()
        .layer(retry.clone())
        .buffer(4)
        .layer(breaker)
        .map_err(BoxError::from)
        .service(service_fn(works));
    assert_eq!(boxed_at_the_bottom.oneshot(()).await.unwrap(), 1);
    assert_eq!(retry.handle().budget().unwrap().tokens(), 50.0, "what was not sent costs no token");
}

#[tokio::test(start_paused = true)]
async fn a_refused_second_attempt_does_not_hide_that_the_first_was_sent() {
    let writes = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&writes);
    let service =
        ServiceBuilder::new().layer(RetryLayer::default()).layer(opens_for(30 * SEC)).map_err(Error::Inner).service(
            service_fn(move |()| {
                seen.fetch_add(1, Ordering::Relaxed);
                async { Err::<(), _>(lost()) }
            }),
        );
    let error = service.oneshot(()).await.unwrap_err();
    assert_eq!(writes.load(Ordering::Relaxed), 1);
    assert_eq!(error.rejected().unwrap().kind(), RejectedKind::CircuitOpen);
    assert!(error.rejected().unwrap().reached_service());
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_the_breaker_refuses_costs_no_token() {
    let budget = Arc::new(Budget::refund());
    let service = ServiceBuilder::new()
        .layer(Retry::builder().budget(Arc::clone(&budget)).build().unwrap())
        .layer(opens_for(30 * SEC))
        .map_err(Error::Inner)
        .service(service_fn(|()| async { Err::<(), _>(lost()) }));
    service.oneshot(()).await.unwrap_err();
    assert_eq!(budget.tokens(), 50.0);
}

#[tokio::test(start_paused = true)]
async fn a_permit_taken_by_hand_knows_its_deadline() {
    let breaker = CircuitBreakerLayer::default();
    let timeout = Timeout::builder(100 * MS).build().unwrap();
    for _ in 0..10 {
        let handle = breaker.handle();
        let hangs = || async {
            let _permit = handle.acquire()?;
            std::future::pending::<Result<(), Rejected>>().await
        };
        timeout.run(hangs).await.unwrap_err();
    }
    assert_eq!(breaker.handle().state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn layers_above_each_other_that_share_a_budget_deposit_once_a_call() {
    for (mode, share) in [(BudgetMode::Ratio(0.2), 0.2), (BudgetMode::Refund(0.1), 0.1)] {
        let budget = Arc::new(Budget::new(mode, 50).unwrap());
        for _ in 0..40 {
            assert!(budget.withdraw());
        }
        let layer = || Retry::builder().budget(Arc::clone(&budget)).build().unwrap();
        let works = service_fn(|()| async { Ok::<_, Rejected>(()) });
        let mut service = ServiceBuilder::new().layer(layer()).layer(layer()).service(works);
        for _ in 0..10 {
            service.ready().await.unwrap().call(()).await.unwrap();
        }
        assert!((budget.tokens() - (10.0 + 10.0 * share)).abs() < 0.01, "{mode:?}: {}", budget.tokens());
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_shared_by_nested_retries_bounds_them() {
    let budget = Arc::new(Budget::new(BudgetMode::Ratio(1.0), 10).unwrap());
    let sent = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&sent);
    let layer = |attempts| {
        let builder = Retry::builder().max_attempts(attempts).backoff(Backoff::none());
        builder.budget(Arc::clone(&budget)).build().unwrap()
    };
    let service =
        ServiceBuilder::new().layer(layer(1000)).layer(layer(1)).map_err(Error::Inner).service(service_fn(move |()| {
            seen.fetch_add(1, Ordering::Relaxed);
            async { Err::<(), _>(lost()) }
        }));
    service.oneshot(()).await.unwrap_err();
    // The first attempt, ten tokens, and no more than one deposit.
    assert!(sent.load(Ordering::Relaxed) <= 12, "{} attempts", sent.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn an_inner_retry_that_did_not_retry_does_not_say_recovered() {
    let inner = Retry::builder().max_attempts(1).build().unwrap();
    let mut events = inner.handle().subscribe();
    let calls = AtomicU32::new(0);
    let service = ServiceBuilder::new().layer(RetryLayer::default()).layer(inner.clone());
    let operation = || async { if calls.fetch_add(1, Ordering::Relaxed) == 0 { Err(lost()) } else { Ok(()) } };
    service.run(operation).await.unwrap();
    while let Some(event) = events.try_recv() {
        assert!(!matches!(event, Received::Event(RetryEvent::Recovered { .. })), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_a_ramp_refuses_do_not_hold_the_limit_below() {
    let breaker = CircuitBreaker::builder().ramp(4 * SEC).half_open_calls(1).build().unwrap();
    let handle = breaker.handle();
    handle.open_for(MS);
    tokio::time::advance(2 * MS).await;
    handle.acquire().unwrap().success();
    assert_eq!(handle.state(), State::Closed);
    assert!(handle.acquire().unwrap_err().retry_after().unwrap() <= 250 * MS);
    let service = ServiceBuilder::new()
        .layer(Timeout::builder(20 * SEC).build().unwrap())
        .layer(RetryLayer::default())
        .layer(breaker)
        .concurrency_limit(2)
        .map_err(Error::Inner)
        .service(service_fn(works));
    let start = now();
    let calls = (0..40).map(|_| service.clone().oneshot(()));
    let answered = futures::future::join_all(calls).await.into_iter().filter(Result::is_ok).count();
    assert!(now() - start < SEC, "{:?}", now() - start);
    assert!(answered >= 4, "{answered}");
}

#[test]
fn names_that_are_equal_are_equal_in_order_too() {
    let (fixed, made) = (Name::from("a"), Name::from(String::from("a")));
    assert_eq!(fixed, made);
    assert_eq!(fixed.cmp(&made), std::cmp::Ordering::Equal);
    let map: std::collections::BTreeMap<_, _> = [(Name::from("b"), 1), (made, 2)].into();
    assert_eq!(map.get("a"), Some(&2));
}

#[tokio::test(start_paused = true)]
async fn a_service_readied_while_open_says_nothing_of_a_wait_once_that_is_over() {
    let breaker = CircuitBreakerLayer::default();
    breaker.handle().open();
    let mut service = breaker.layer(service_fn(|()| async { Ok::<_, Rejected>(()) }));
    let service = service.ready().await.unwrap();
    breaker.handle().close();
    let refused = service.call(()).await.unwrap_err();
    assert_eq!(refused.to_string(), "circuit breaker `circuit_breaker` is open");
    service.ready().await.unwrap().call(()).await.unwrap();
}
