//! The loser of a hedge does not hide a slow endpoint from the breaker that watches it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use steadfast::{
    Error,
    circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerHandle, State},
    hedge::Hedge,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Answer, End::*, MS, Scripted, retry};

/// Calls in turn to two endpoints, each behind a breaker, one of which is always slow; every slow call is hedged, the
/// hedge goes to the other one and wins. The breakers of the slow one and of the other.
async fn a_slow_endpoint(breaker: fn() -> CircuitBreakerBuilder) -> [CircuitBreakerHandle; 2] {
    let breakers = [breaker().build().unwrap(), breaker().build().unwrap()];
    let endpoints =
        [(&breakers[0], 900), (&breakers[1], 20)].map(|(breaker, takes)| breaker.layer(Scripted::new(&[(takes, Ok)])));
    let turn = Arc::new(AtomicU32::new(0));
    let balance = service_fn(move |()| {
        let endpoint = endpoints[turn.fetch_add(1, SeqCst) as usize % 2].clone();
        async move { Answer::from(endpoint.oneshot(()).await) }
    });
    let layer = retry().hedge(Hedge::after(50 * MS).budget(1.0, 100).overload_hold(Duration::ZERO)).build().unwrap();
    let service = layer.layer(balance);
    for _ in 0..60 {
        let outcome: Result<_, Error<_>> = service.clone().oneshot(()).await;
        assert_eq!(outcome.unwrap().0, Ok);
        if breakers[0].handle().state() == State::Open {
            break;
        }
    }
    breakers.map(|breaker| breaker.handle())
}

#[tokio::test(start_paused = true)]
async fn its_breaker_opens_although_each_of_its_calls_is_dropped_as_a_loser() {
    let slow_calls = || CircuitBreaker::builder().slow_calls(0.5, 40 * MS);
    let [slow, other] = a_slow_endpoint(slow_calls).await;
    assert_eq!((slow.state(), other.state()), (State::Open, State::Closed));
    // By default too: calls that are dropped again and again count as failures.
    let [slow, other] = a_slow_endpoint(CircuitBreaker::builder).await;
    assert_eq!((slow.state(), other.state()), (State::Open, State::Closed));
}

#[tokio::test(start_paused = true)]
async fn what_loses_is_dropped_before_the_answer_is_there_and_gives_its_place_back() {
    let bulkhead = steadfast::bulkhead::Bulkhead::builder(2).build().unwrap();
    let handle = bulkhead.handle();
    let service = Scripted::new(&[(900, Ok), (20, Ok)]);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    let mut hedged = layer.layer(bulkhead.layer(service));
    let mut call = Box::pin(ServiceExt::<()>::ready(&mut hedged).await.unwrap().call(()));
    call.as_mut().await.unwrap();
    assert_eq!(handle.snapshot().running, 0);
}
