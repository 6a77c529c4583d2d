//! Calls that retry holds until an open breaker lets calls through again.
#![allow(clippy::disallowed_methods)] // The clock is paused.

use std::{convert::Infallible, time::Duration};

use steadfast::{
    backoff::Backoff,
    circuit_breaker::{CircuitBreaker, State},
    retry::Retry,
    timeout::Timeout,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

/// The oldest of the held calls come first, with hardly any time left; what they do not get done in it says nothing
/// about a service that is well.
#[tokio::test(start_paused = true)]
async fn calls_held_for_an_open_breaker_do_not_fail_its_trial() {
    let breaker = CircuitBreaker::builder().wait_open(Backoff::fixed(1000 * MS)).build().unwrap();
    let handle = breaker.handle();
    let service = ServiceBuilder::new()
        .layer(Timeout::builder(420 * MS).build().unwrap())
        .layer(Retry::builder().build().unwrap())
        .layer(breaker)
        .service(service_fn(|()| async {
            tokio::time::sleep(20 * MS).await;
            Ok::<_, Infallible>(())
        }));
    handle.open();
    for _ in 0..250 {
        tokio::spawn(service.clone().oneshot(()));
        tokio::time::sleep(5 * MS).await;
    }
    assert_eq!(handle.state(), State::Closed);
}
