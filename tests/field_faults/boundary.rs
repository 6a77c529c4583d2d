//! Fault 29 within these patterns: a write done twice because the refusal of a nested client looked like our own.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use steadfast::{
    BoxError, Error, LayerError, Rejected, RejectedKind,
    backoff::Backoff,
    boundary::BoundaryLayer,
    circuit_breaker::CircuitBreaker,
    retry::{CloneRequest, Retry, RetryLayer, only_unsent_unless},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Mode, SEC, Upstream};

/// Writes, then asks a nested client whose breaker is open, and passes its refusal up with `?`.
fn handler(writes: Arc<AtomicU32>) -> impl Service<(), Response = u32, Error = Rejected, Future: Send> + Clone {
    let breaker = CircuitBreaker::builder().name("mailer").build().unwrap();
    breaker.handle().open_for(SEC);
    let mailer = breaker.layer(Upstream::new(Mode::Succeed));
    service_fn(move |()| {
        writes.fetch_add(1, SeqCst);
        let mailer = mailer.clone();
        async move {
            mailer.oneshot(()).await.map_err(|error| match error {
                Error::Rejected(rejected) => rejected,
                Error::Inner(_) => unreachable!("it is open"),
            })
        }
    })
}

/// Writes may be sent again only if they certainly were not sent.
fn retry() -> RetryLayer<steadfast::DefaultClassify, impl steadfast::retry::Replay<()> + Clone> {
    let unsent_only = only_unsent_unless(CloneRequest, |_: &()| false);
    Retry::builder().backoff(Backoff::none()).replay(unsent_only).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_nested_refusal_after_a_write_is_not_sent_again_so_there_is_one_write() {
    let writes = Arc::new(AtomicU32::new(0));
    let service = retry().layer(BoundaryLayer.layer(handler(writes.clone())));
    let rejected = service.oneshot(()).await.unwrap_err();
    assert_eq!(writes.load(SeqCst), 1);
    assert_eq!(
        (rejected.kind(), rejected.name().as_str()),
        (RejectedKind::CircuitOpen, "mailer"),
        "passed up as it was"
    );
    assert!(rejected.reached_service());
}

#[tokio::test(start_paused = true)]
async fn without_the_boundary_the_nested_refusal_would_be_sent_again_which_is_what_it_is_for() {
    let writes = Arc::new(AtomicU32::new(0));
    let service = retry().layer(handler(writes.clone()));
    service.oneshot(()).await.expect("the mailer is back by then, and the handler has been run again");
    assert_eq!(writes.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_own_stack_is_sent_again_above_a_boundary() {
    let breaker = CircuitBreaker::builder().half_open_calls(1).build().unwrap();
    breaker.handle().open_for(SEC);
    let upstream = Upstream::new(Mode::Succeed);
    let service = retry().layer(breaker.layer(BoundaryLayer.layer(upstream.clone())));
    service.oneshot(()).await.expect("waited for the breaker, then sent");
    assert_eq!(upstream.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_nested_refusal_counts_against_the_handler_and_not_as_a_refusal_of_the_stack() {
    let breaker = CircuitBreaker::builder().consecutive_failures(2).build().unwrap();
    let service = breaker.layer(BoundaryLayer.layer(handler(Arc::default())));
    for _ in 0..2 {
        service.clone().oneshot(()).await.unwrap_err();
    }
    assert_eq!(breaker.handle().snapshot().failed, 2, "{:?}", breaker.handle().snapshot());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_among_the_sources_of_an_error_is_not_taken_for_one_of_the_stack() {
    #[derive(Debug, thiserror::Error)]
    #[error("could not mail")]
    struct CouldNotMail(#[source] Rejected);

    let writes = Arc::new(AtomicU32::new(0));
    let inner = handler(writes.clone()).map_err(|rejected| BoxError::from(CouldNotMail(rejected)));
    let error = retry().layer(inner).oneshot(()).await.unwrap_err();
    assert!(error.as_rejected().is_none());
    assert_eq!(writes.load(SeqCst), 1);
}
