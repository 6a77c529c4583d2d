//! The only place of this suite that sleeps or reads a clock. Every test runs under paused time, so what sleeps here
//! takes no wall time; a wait that nothing ends is seen at once.
#![allow(clippy::disallowed_methods)]

use std::{future::Future, time::Duration};

use tokio::time::Instant;

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// For the inner services: virtual time that a call takes.
pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Fails instead of hanging. A day is longer than anything here waits.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let day = Duration::from_secs(86_400);
    tokio::time::timeout(day, future).await.unwrap_or_else(|_| panic!("{what}: would wait for ever"))
}

/// Runs `future`, which takes `expected` of virtual time to the millisecond, and next to no wall time.
pub(crate) async fn takes<F: Future>(expected: Duration, future: F) -> F::Output {
    let (started, wall) = (now(), std::time::Instant::now());
    let output = within("a call that ends", future).await;
    assert_eq!(now() - started, expected, "virtual time");
    assert!(wall.elapsed() < Duration::from_secs(30), "wall time {:?}", wall.elapsed());
    output
}
