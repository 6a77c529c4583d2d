//! The layers, with names made while running.

use std::{future::Future, sync::Arc, time::Duration};

use steadfast::{
    DefaultClassify,
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitLayer},
    backoff::Backoff,
    boundary::BoundaryLayer,
    bulkhead::{Bulkhead, BulkheadLayer},
    chaos::{Chaos, ChaosLayer},
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer},
    coalesce::{Coalesce, CoalesceLayer, Share},
    fallback::{Fallback, FallbackLayer, FromService, Value},
    hedge::Hedge,
    rate_limit::{Mode, RateLimit, RateLimitLayer},
    ready::ReadyLayer,
    retry::{Backup, Budget, CloneRequest, Retry, RetryLayer},
    shed::{Shed, ShedLayer},
    timeout::{Timeout, TimeoutLayer},
};

use crate::inner::Inner;

pub(crate) fn name(of: &str) -> String {
    format!("{of} of the shop")
}

pub(crate) fn timeout() -> TimeoutLayer {
    Timeout::builder(Duration::from_secs(1)).name(name("timeout")).build().unwrap()
}

pub(crate) fn breaker() -> CircuitBreakerLayer {
    CircuitBreaker::builder().name(name("breaker")).slow_calls(0.9, Duration::from_millis(500)).build().unwrap()
}

pub(crate) fn bulkhead() -> BulkheadLayer {
    Bulkhead::builder(2).name(name("bulkhead")).max_waiting(5).build().unwrap()
}

pub(crate) fn adaptive_limit() -> AdaptiveLimitLayer {
    AdaptiveLimit::builder(Duration::from_secs(1)).name(name("limit")).max(2).max_waiting(5).build().unwrap()
}

pub(crate) fn shed() -> ShedLayer {
    Shed::builder(2).name(name("shed")).build().unwrap()
}

/// Delays half of all calls.
pub(crate) fn chaos() -> ChaosLayer {
    Chaos::builder().name(name("chaos")).delays(0.5, Duration::ZERO..=Duration::from_millis(1)).build().unwrap()
}

/// Slow enough for its state to matter, fast enough for all calls between two steps of the clock.
pub(crate) fn rate_limit() -> RateLimitLayer {
    let wait = Duration::from_secs(1);
    RateLimit::builder(1000, wait).name(name("rate limit")).burst(500).max_wait(wait).build().unwrap()
}

pub(crate) fn cycles() -> RateLimitLayer {
    RateLimit::builder(500, Duration::from_millis(700)).mode(Mode::Cycles).build().unwrap()
}

pub(crate) fn retry() -> RetryLayer {
    let wait = Backoff::fixed(Duration::from_millis(5));
    Retry::builder().name(name("retry")).backoff(wait).budget(Arc::new(Budget::refund())).build().unwrap()
}

type Key = fn(&u32) -> Option<u32>;

/// Nobody joins in these tests.
pub(crate) fn coalesce<W: Future>() -> CoalesceLayer<Key, u32, W, NoCopy> {
    Coalesce::builder((|request| Some(*request)) as Key).name(name("coalesce")).share(NoCopy).build()
}

#[derive(Clone, Copy)]
pub(crate) struct NoCopy;

impl<Res, Err> Share<Res, Err> for NoCopy {
    fn share(&self, _: &Result<Res, Err>) -> Option<Result<Res, Err>> {
        None
    }
}

#[cfg(feature = "cache")]
pub(crate) fn cache(ttl: Duration) -> steadfast::cache::CacheLayer<Key, u32, u32> {
    let builder = steadfast::cache::Cache::builder(ttl, (|request| Some(*request)) as Key);
    builder.name(name("cache")).stale_if_error(Duration::from_secs(86_400)).build().unwrap()
}

/// A hedge by percentile that never comes, or one that comes when a call is pending.
pub(crate) fn hedged(at_once: bool) -> RetryLayer<DefaultClassify, CloneRequest, Backup> {
    let hedge = if at_once { Hedge::after(Duration::ZERO).budget(1.0, 1000) } else { Hedge::percentile(0.95) };
    Retry::builder().name(name("retry")).hedge(hedge.soft_timeout(Duration::from_secs(1))).build().unwrap()
}

pub(crate) fn fallback() -> FallbackLayer<Value<u32>> {
    Fallback::value(0).name(name("fallback")).build()
}

pub(crate) fn fallback_service<E>() -> FallbackLayer<FromService<Inner<E>, CloneRequest>> {
    Fallback::service(Inner::new(false)).name(name("fallback")).build()
}

pub(crate) type Stack = (FallbackLayer<Value<u32>>, TimeoutLayer, Protection);
/// Without a fallback, so that refusals come out.
pub(crate) type Protection =
    (RetryLayer, CircuitBreakerLayer, TimeoutLayer, BulkheadLayer, RateLimitLayer, ReadyLayer, BoundaryLayer);

pub(crate) fn protection() -> Protection {
    (retry(), breaker(), timeout(), bulkhead(), rate_limit(), ReadyLayer, BoundaryLayer)
}

pub(crate) fn stack() -> Stack {
    (fallback(), timeout(), protection())
}
