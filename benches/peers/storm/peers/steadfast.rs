//! This crate.

use std::time::Duration;

use ::steadfast::{
    Error,
    adaptive_limit::AdaptiveLimit,
    backoff::Backoff,
    circuit_breaker::CircuitBreaker,
    hedge::Hedge,
    retry::{Budget, Retry},
    storm::{Stack, StormClassify, Upstream},
    timeout::Timeout,
};
use tower::ServiceBuilder;

use super::{DEADLINE, Peer};

pub(super) fn peer() -> Peer {
    let stack = Stack::new("steadfast", |upstream: Upstream| {
        let retry = Retry::builder().classify(StormClassify).budget(std::sync::Arc::new(Budget::refund()));
        let retry = retry.hedge(Hedge::default());
        let wait = Backoff::exponential(Duration::from_millis(100)).factor(1.5).max(Duration::from_millis(400));
        let breaker = CircuitBreaker::builder().classify(StormClassify).wait_open(wait);
        let limit = AdaptiveLimit::builder(DEADLINE).classify(StormClassify);
        ServiceBuilder::new()
            .layer(Timeout::builder(DEADLINE).build().expect("valid"))
            .layer(retry.build().expect("valid"))
            .layer(breaker.build().expect("valid"))
            .layer(limit.build().expect("valid"))
            .map_err(Error::Inner)
            .service(upstream)
    });
    Peer::new(
        stack,
        "1 s in all, retry with Budget::refund and a hedge, breaker open for 100 ms x 1.5 to 400 ms, adaptive limit",
    )
}
