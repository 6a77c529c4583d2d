//! Fault 8: calls on a clone that was never made ready. `ConcurrencyLimit` and `Buffer` panic then.

use steadfast::{
    BoxError, backoff::Backoff, circuit_breaker::CircuitBreakerLayer, fallback::Fallback, ready::ReadyLayer,
    retry::Retry, timeout::Timeout,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit};

use crate::support::{Mode, SEC, Upstream};

fn retry() -> steadfast::retry::RetryLayer {
    Retry::builder().backoff(Backoff::fixed(SEC)).max_attempts(3).build().unwrap()
}

// 8
#[tokio::test(start_paused = true)]
async fn retry_drives_the_clone_that_it_calls_to_ready_over_a_concurrency_limit() {
    let upstream = Upstream::new(Mode::FailFirst(2));
    let mut service = retry().layer(ConcurrencyLimit::new(upstream.clone(), 1));
    assert_eq!(service.ready().await.unwrap().call(()).await, Ok(3));
    assert_eq!(service.ready().await.unwrap().call(()).await, Ok(4), "the place was given back");
}

// 8
#[tokio::test(start_paused = true)]
async fn retry_drives_the_clone_that_it_calls_to_ready_over_a_buffer() {
    let upstream = Upstream::new(Mode::FailFirst(2));
    let buffer = Buffer::<(), _>::new(upstream.clone(), 1);
    let answer = retry().layer(buffer).oneshot(()).await;
    // The buffer boxes the upstream's error, so this is the whole stack's.
    assert_eq!(answer.unwrap(), 3);
}

// 8
#[tokio::test(start_paused = true)]
async fn a_stack_of_all_layers_calls_only_what_it_has_driven_to_ready() {
    let upstream = Upstream::new(Mode::FailFirst(1));
    let other = ConcurrencyLimit::new(Upstream::new(Mode::Succeed), 1).map_err(BoxError::from);
    let service = ServiceBuilder::new()
        .layer(Fallback::service(other).build())
        .layer(Timeout::builder(10 * SEC).build().unwrap())
        .layer(retry())
        .layer(CircuitBreakerLayer::default())
        .layer(ReadyLayer)
        .service(Buffer::<(), _>::new(ConcurrencyLimit::new(upstream.clone(), 1), 1));
    assert_eq!(service.clone().oneshot(()).await.unwrap(), 2);
    upstream.set(Mode::Fail);
    assert_eq!(service.oneshot(()).await.unwrap(), 1, "the other service answered, and was ready");
}

// 8
#[tokio::test(start_paused = true)]
async fn a_breaker_that_closes_between_ready_and_call_does_not_call_what_is_not_ready() {
    let breaker = CircuitBreakerLayer::default();
    let upstream = Upstream::new(Mode::Succeed);
    let mut service = breaker.layer(ConcurrencyLimit::new(upstream.clone(), 1));
    breaker.handle().force_open();
    service.ready().await.unwrap();
    breaker.handle().close();
    let rejected = service.call(()).await.unwrap_err();
    assert_eq!(
        rejected.rejected().unwrap().retry_after(),
        Some(std::time::Duration::ZERO),
        "refused, and welcome at once"
    );
    assert_eq!(service.ready().await.unwrap().call(()).await, Ok(1));
}
