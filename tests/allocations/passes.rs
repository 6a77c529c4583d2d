//! Calls that are let through and succeed.

use steadfast::{
    Error, Run, boundary::BoundaryLayer, circuit_breaker::CircuitBreaker, ready::ReadyLayer, retry::RetryLayer,
};
use tower::{Layer, ServiceExt};

use crate::{
    CALLS, Foreign, Typed, assert_free, counted,
    inner::Inner,
    layers::{
        adaptive_limit, breaker, bulkhead, chaos, coalesce, cycles, fallback, fallback_service, hedged, name,
        rate_limit, retry, shed, stack, timeout,
    },
};

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_allocates_nothing_in_any_layer() {
    let (timeout, breaker, retry, fallback) = (timeout(), breaker(), retry(), fallback());
    let to_service = fallback_service::<Typed>();
    let _handles = (timeout.handle(), breaker.handle(), retry.handle(), fallback.handle(), to_service.handle());
    assert_free("timeout", &timeout).await;
    assert_free("circuit breaker", &breaker).await;
    assert_free("circuit breaker of Resilience4j", &CircuitBreaker::resilience4j().build().unwrap()).await;
    assert_free("retry", &retry).await;
    assert_free("retry by default", &RetryLayer::default()).await;
    assert_free("retry with an idle hedge", &hedged(false)).await;
    let hedged = hedged(true);
    assert_free("retry with a hedge of each call", &hedged).await;
    assert!(hedged.handle().hedge().unwrap().snapshot().hedges > CALLS);
    assert_free("fallback to a value", &fallback).await;
    assert_free("fallback to a service", &to_service).await;
    assert_free("bulkhead", &bulkhead()).await;
    assert_free("adaptive limit", &adaptive_limit()).await;
    assert_free("rate limit", &rate_limit()).await;
    assert_free("rate limit in cycles", &cycles()).await;
    assert_free("boundary", &BoundaryLayer).await;
    assert_free("ready", &ReadyLayer).await;
    assert_free("chaos", &chaos()).await;
    assert_free("coalesce", &coalesce()).await;
    assert_free("shed", &shed()).await;
}

#[tokio::test(start_paused = true)]
async fn nor_in_a_stack_of_all_of_them() {
    let stack = stack();
    let (fallback, total, (retry, breaker, attempt, ..)) = &stack;
    let _handles = (fallback.handle(), total.handle(), retry.handle(), breaker.handle(), attempt.handle());
    assert_free("stack", &stack).await;
}

#[tokio::test(start_paused = true)]
async fn nor_with_somebody_listening_for_events() {
    let stack = stack();
    let (fallback, total, (retry, breaker, attempt, ..)) = &stack;
    let mut of_fallback = fallback.handle().subscribe();
    let mut of_timeouts = [total.handle().subscribe(), attempt.handle().subscribe()];
    let mut of_retry = retry.handle().subscribe();
    let mut of_breaker = breaker.handle().subscribe();
    assert_free("fallback", fallback).await;
    assert_free("timeout", total).await;
    assert_free("retry", retry).await;
    assert_free("breaker", breaker).await;
    assert_free("stack", &stack).await;
    // Nothing has happened that is worth an event.
    assert_eq!((of_fallback.try_recv(), of_retry.try_recv(), of_breaker.try_recv()), (None, None, None));
    of_timeouts.iter_mut().for_each(|events| assert_eq!(events.try_recv(), None));
}

#[tokio::test(start_paused = true)]
async fn nor_without_a_service() {
    let breaker = breaker();
    let protection = (timeout(), breaker.clone());
    let handle = breaker.handle();
    let mut spent = 0;
    for call in 0..2 * CALLS {
        let query = || async {
            tokio::task::yield_now().await;
            Ok::<(), Foreign>(())
        };
        let run = counted(protection.run(query)).await;
        let (permit, by_hand) = counted(async { handle.acquire().map(|permit| permit.success()) }).await;
        assert!(run.0.is_ok() && permit.is_ok());
        // A task that yields is put aside in a list of the runtime's, which grows when it is new.
        spent += if call < CALLS { 0 } else { run.1 + by_hand };
    }
    assert_eq!(spent, 0);
}

#[tokio::test(start_paused = true)]
async fn nor_for_a_key_that_is_known() {
    let breakers = CircuitBreaker::builder().name(name("breaker")).build_keyed(100).unwrap();
    let mut spent = 0;
    for call in 0..2 * CALLS {
        let key = [1_u64, 2, 3][call as usize % 3];
        let service = || breakers.for_key(&key).layer(Inner::<Typed>::new(true));
        let (answer, by_call) = counted(async { service().oneshot(7).await }).await;
        assert!(matches!(answer, Ok(7)), "{answer:?}");
        spent += if call < CALLS { 0 } else { by_call };
    }
    assert_eq!((spent, breakers.len()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn nor_does_a_call_that_succeeds_after_a_failure() {
    let retry = retry();
    let inner = Inner { flaky: Some(|| Error::Inner(Foreign)), ..Inner::<Typed>::new(true) };
    let service = retry.layer(inner);
    let mut spent = 0;
    for call in 0..2 * CALLS {
        let (answer, by_call) = counted(service.clone().oneshot(7)).await;
        assert!(matches!(answer, Ok(7)), "{answer:?}");
        spent += if call < CALLS { 0 } else { by_call };
    }
    assert_eq!((spent, retry.handle().retries()), (0, 2 * CALLS));
}

#[cfg(feature = "cache")]
#[tokio::test(start_paused = true)]
async fn nor_does_one_that_is_given_what_is_stored() {
    let cache = crate::layers::cache(std::time::Duration::from_secs(86_400));
    assert_free("cache", &cache).await;
    let snapshot = cache.handle().snapshot();
    // The same three services as above, and each is asked 4 times 500 times.
    assert_eq!((snapshot.misses, snapshot.hits), (1, 3 * 4 * CALLS - 1));
}
