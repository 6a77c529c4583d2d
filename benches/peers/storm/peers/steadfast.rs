//! This crate.

use std::time::Duration;

use ::steadfast::{
    Error,
    backoff::Backoff,
    bulkhead::Bulkhead,
    circuit_breaker::CircuitBreaker,
    retry::{Budget, Retry},
    storm::{Stack, StormClassify, Upstream},
    timeout::Timeout,
};
use tower::ServiceBuilder;

use super::{DEADLINE, Peer};

pub(super) fn peer() -> Peer {
    let stack = Stack::new("steadfast", |upstream: Upstream| {
        let retry = Retry::builder().classify(StormClassify).budget(std::sync::Arc::new(Budget::refund()));
        let wait = Backoff::exponential(Duration::from_millis(100)).factor(1.5).max(Duration::from_millis(400));
        let breaker = CircuitBreaker::builder().classify(StormClassify).wait_open(wait);
        let bulkhead = Bulkhead::builder(8).max_waiting(50).max_wait(Duration::from_millis(300));
        ServiceBuilder::new()
            .layer(Timeout::builder(DEADLINE).build().expect("valid"))
            .layer(retry.build().expect("valid"))
            .layer(breaker.build().expect("valid"))
            .layer(bulkhead.build().expect("valid"))
            .map_err(Error::Inner)
            .service(upstream)
    });
    Peer::new(
        stack,
        "1 s in all, retry with Budget::refund, breaker open for 100 ms x 1.5 to 400 ms, bulkhead of 8 and 50",
    )
}
