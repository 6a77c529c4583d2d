//! Shared state: all services that a layer and its clones make, and all their clones, have one state.

use std::{future::Future, time::Duration};

use steadfast::{
    DefaultClassify, RejectedKind,
    adaptive_limit::AdaptiveLimitLayer,
    bulkhead::BulkheadLayer,
    chaos::ChaosLayer,
    circuit_breaker::{CircuitBreakerLayer, State},
    coalesce::{CoalesceHandle, CoalesceLayer},
    context,
    failover::{Failover, Snapshot},
    fallback::FallbackLayer,
    hedge::HedgeDelay,
    rate_limit::{RateLimitLayer, RateLimitSettings, SharedRateLimitLayer},
    retry::{Backup, CloneRequest, RetryLayer},
    shed::{Cause, ShedLayer},
    timeout::TimeoutLayer,
};
use tower::{Layer, ServiceExt};

#[cfg(feature = "cache")]
use crate::subjects::CacheOf;
use crate::{
    clock,
    mock::{Act, Answer, End, Fault, Mock, Request},
    subjects::{Always, LIMIT, Over, Stack, WAIT},
};

/// Calls through six services: two made by the layer, two made by a clone of it, a clone of each of the first two.
async fn by_all<L: Over<Mock<Fault>, Fault>>(layer: &L, inner: &Mock<Fault>) -> Vec<Result<Answer, Fault>> {
    let made = |layer: &L| layer.layer(inner.clone());
    let mut services = vec![made(layer), made(layer), made(&layer.clone()), made(&layer.clone())];
    services.push(services[0].clone());
    services.push(services[1].clone());
    let mut outcomes = Vec::new();
    for service in services {
        outcomes.push(clock::within("a call", service.oneshot(Request(1))).await);
    }
    outcomes
}

fn hanging() -> Mock<Fault> {
    Mock::new([], Act::new(End::Answer).taking(2 * LIMIT))
}

/// One limit and one count.
pub(crate) async fn timeout(new: fn() -> TimeoutLayer) {
    let layer = new();
    let handle = layer.handle();
    let made_before = layer.layer(hanging());
    by_all(&layer, &hanging()).await.into_iter().for_each(|outcome| assert!(outcome.is_err()));
    assert_eq!(handle.timed_out(), 6);
    handle.change(Duration::from_secs(1)).unwrap();
    clock::takes(Duration::from_secs(1), made_before.oneshot(Request(1))).await.unwrap_err();
    assert_eq!(layer.clone().handle().timed_out(), 7);
    assert_eq!(new().handle().timed_out(), 0, "another layer has a state of its own");
}

/// What is opened by some services refuses at all others.
pub(crate) async fn circuit_breaker(new: fn() -> CircuitBreakerLayer) {
    let layer = new();
    layer.handle().change(|settings| settings.consecutive_failures = Some(6)).unwrap();
    let untouched = layer.layer(Mock::<Fault>::answering());
    by_all(&layer, &Mock::failing()).await;
    assert_eq!(layer.handle().state(), State::Open);
    assert_eq!(layer.handle().snapshot().failed, 6);
    let outcome = untouched.oneshot(Request(1)).await;
    let Err(Fault::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(rejected.kind(), RejectedKind::CircuitOpen);
    let inner = Mock::answering();
    by_all(&layer, &inner).await.into_iter().for_each(|outcome| assert!(outcome.is_err()));
    assert_eq!((inner.calls(), layer.handle().snapshot().refused), (0, 7));
    assert_eq!(new().handle().state(), State::Closed, "another layer has a state of its own");
}

/// One count and one budget.
pub(crate) async fn retry(new: fn() -> RetryLayer) {
    let layer = new();
    by_all(&layer, &Mock::failing()).await;
    assert_eq!((layer.handle().retries(), layer.handle().gave_up()), (12, 6));
    let tokens = layer.handle().budget().unwrap().tokens();
    // Each first attempt deposits 0.2, the first of them into a full bucket; twelve retries took one each.
    assert!((tokens - (50.0 - 12.0 + 5.0 * 0.2)).abs() < 0.001, "{tokens}");
    let made_before = layer.layer(Mock::<Fault>::failing());
    layer.handle().change(|settings| settings.max_attempts = 2).unwrap();
    clock::takes(WAIT, made_before.oneshot(Request(1))).await.unwrap_err();
    assert_eq!(new().handle().retries(), 0, "another layer has a state of its own");
}

/// One count of backups, one bucket of their own, and one delay.
pub(crate) async fn retry_with_hedge(new: fn() -> RetryLayer<DefaultClassify, CloneRequest, Backup>) {
    let layer = new();
    let slow = || Mock::<Fault>::new([], Act::new(End::Answer).taking(WAIT));
    let made_before = layer.layer(slow());
    by_all(&layer, &slow()).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
    let handle = layer.clone().handle().hedge().unwrap();
    assert_eq!((handle.snapshot().hedges, handle.snapshot().tokens), (6, 99.0));
    handle.change(|settings| settings.delay = HedgeDelay::Never).unwrap();
    made_before.oneshot(Request(1)).await.unwrap();
    assert_eq!(layer.handle().hedge().unwrap().snapshot().hedges, 6);
    assert_eq!(new().handle().hedge().unwrap().snapshot().hedges, 0, "another layer has a state of its own");
}

/// One count.
pub(crate) async fn fallback<H>(new: fn() -> FallbackLayer<H>)
where
    FallbackLayer<H>: Over<Mock<Fault>, Fault>,
{
    let layer = new();
    by_all(&layer, &Mock::failing()).await.into_iter().for_each(|outcome| assert!(outcome.unwrap().spare));
    by_all(&layer, &Mock::answering()).await;
    assert_eq!(layer.handle().taken(), 6);
    assert_eq!(new().handle().taken(), 0, "another layer has a state of its own");
}

/// One set of places and one count.
pub(crate) async fn bulkhead(new: fn() -> BulkheadLayer) {
    let layer = new();
    let handle = layer.clone().handle();
    let made_before = layer.layer(Mock::<Fault>::answering());
    handle.change(|settings| (settings.max_concurrent, settings.max_waiting) = (1, 0)).unwrap();
    let permit = handle.try_acquire().unwrap();
    let inner = Mock::answering();
    for outcome in by_all(&layer, &inner).await {
        let Err(Fault::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(rejected.kind(), RejectedKind::BulkheadFull);
    }
    made_before.clone().oneshot(Request(1)).await.unwrap_err();
    assert_eq!((inner.calls(), layer.handle().snapshot().refused_full), (0, 7));
    assert_eq!((handle.snapshot().running, new().handle().snapshot().running), (1, 0), "another layer has its own");
    drop(permit);
    made_before.oneshot(Request(1)).await.unwrap();
}

/// One limit, found by all of them together.
pub(crate) async fn adaptive_limit(new: fn() -> AdaptiveLimitLayer) {
    let layer = new();
    let handle = layer.clone().handle();
    handle.change(|settings| (settings.min, settings.max) = (20, 20)).unwrap();
    handle.change(|settings| settings.min = 1).unwrap();
    // Nothing but failures, by each of them, and more after the window is over.
    let failing = || Mock::new([], Act::new(End::Fail).taking(WAIT));
    for pause in [Duration::ZERO, LIMIT] {
        clock::sleep(pause).await;
        for _ in 0..2 {
            by_all(&layer, &failing()).await;
        }
    }
    assert_eq!(layer.handle().limit(), 5, "{:?}", layer.handle().snapshot());
    assert!(new().handle().limit() != 5, "another layer has a limit of its own");
}

fn three_an_hour(rate: &mut RateLimitSettings) {
    (rate.period, rate.burst, rate.max_wait) = (Duration::from_secs(3600), 3, Duration::ZERO);
}

/// One is let through before, two of those by all, and then none.
async fn three_in_all<L: Over<Mock<Fault>, Fault>>(layer: &L, made_before: L::Service) {
    made_before.clone().oneshot(Request(1)).await.unwrap();
    let inner = Mock::answering();
    assert_eq!(by_all(layer, &inner).await.iter().filter(|outcome| outcome.is_ok()).count(), 2);
    let outcome = made_before.oneshot(Request(1)).await;
    let Err(Fault::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
    assert_eq!((rejected.kind(), inner.calls()), (RejectedKind::RateLimited, 2));
}

/// One set of places, one line and one count.
pub(crate) async fn shed(new: fn() -> ShedLayer) {
    let layer = new();
    let handle = layer.clone().handle();
    let made_before = layer.layer(Mock::<Fault>::answering());
    handle.change(|settings| (settings.max_concurrent, settings.max_waiting) = (1, 0)).unwrap();
    let permit = handle.try_acquire().unwrap();
    let inner = Mock::answering();
    for outcome in by_all(&layer, &inner).await {
        let Err(Fault::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(rejected.kind(), RejectedKind::Shed);
    }
    made_before.clone().oneshot(Request(1)).await.unwrap_err();
    assert_eq!((inner.calls(), layer.handle().snapshot().ended(Cause::Full)), (0, 7));
    assert_eq!((handle.snapshot().running, new().handle().snapshot().running), (1, 0), "another layer has its own");
    drop(permit);
    made_before.oneshot(Request(1)).await.unwrap();
}

/// One count of calls.
pub(crate) async fn rate_limit(new: fn() -> RateLimitLayer) {
    let layer = new();
    let handle = layer.clone().handle();
    let made_before = layer.layer(Mock::<Fault>::answering());
    handle.change(three_an_hour).unwrap();
    three_in_all(&layer, made_before).await;
    assert_eq!(layer.handle().snapshot().refused, 5);
    assert_eq!(new().handle().snapshot().refused, 0, "another layer has a state of its own");
}

/// One presence of the store, which admits everything, and one count of what is refused.
pub(crate) async fn shared_rate_limit(new: fn() -> SharedRateLimitLayer<Always>) {
    let layer = new();
    let made_before = layer.layer(Mock::<Fault>::answering());
    let inner = Mock::answering();
    assert!(by_all(&layer, &inner).await.iter().all(Result::is_ok));
    made_before.clone().oneshot(Request(1)).await.unwrap();
    let late = context::current().with_deadline(clock::now());
    context::scope(late, made_before.oneshot(Request(1))).await.unwrap_err();
    let snapshot = layer.clone().handle().snapshot();
    assert_eq!((inner.calls(), snapshot.refused, snapshot.store_away, snapshot.local_calls), (6, 1, false, 0));
    assert_eq!(new().handle().snapshot().refused, 0, "another layer has a state of its own");
}

/// One count of those that wait.
pub(crate) async fn shared_rate_limit_that_waits(new: fn() -> SharedRateLimitLayer<Always>) {
    let layer = new();
    let mut calls: Vec<_> =
        (0..3).map(|_| Box::pin(layer.layer(Mock::<Fault>::answering()).oneshot(Request(1)))).collect();
    calls.push(Box::pin(layer.clone().layer(Mock::answering()).clone().oneshot(Request(1))));
    for call in &mut calls {
        // The mock is ready at the second poll.
        assert!(futures::poll!(&mut *call).is_pending());
        assert!(futures::poll!(call).is_pending());
    }
    assert_eq!((layer.handle().snapshot().waiting, new().handle().snapshot().waiting), (4, 0));
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(layer.handle().snapshot().waiting, 0);
}

/// One local share, and one presence of the store.
pub(crate) async fn shared_rate_limit_alone(new: fn() -> SharedRateLimitLayer<Always>) {
    let layer = new();
    let handle = layer.clone().handle();
    let made_before = layer.layer(Mock::<Fault>::answering());
    handle.change(|settings| three_an_hour(&mut settings.rate)).unwrap();
    three_in_all(&layer, made_before).await;
    assert_eq!(layer.handle().snapshot().refused, 5);
    assert_eq!((handle.snapshot().went_away, handle.snapshot().local_calls), (1, 8), "one found out for all");
    assert_eq!(new().handle().snapshot().refused, 0, "another layer has a state of its own");
}

/// One set of settings and one count.
pub(crate) async fn chaos(new: fn() -> ChaosLayer) {
    let layer = new();
    let handle = layer.clone().handle();
    let made_before = layer.layer(Mock::<Fault>::answering());
    handle.change(|settings| (settings.delays, settings.longest_delay) = (1.0, WAIT)).unwrap();
    let inner = Mock::answering();
    by_all(&layer, &inner).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
    made_before.oneshot(Request(1)).await.unwrap();
    assert_eq!((inner.calls(), layer.handle().snapshot().delays), (6, 7));
    assert_eq!(new().handle().snapshot().delays, 0, "another layer has a state of its own");
}

/// One set of calls in flight, and one count.
pub(crate) async fn coalesce<L>(new: fn() -> L)
where
    L: Over<Mock<Fault>, Fault> + Coalesces,
{
    let layer = new();
    let inner = Mock::new([], Act::new(End::Answer).taking(WAIT));
    let services = [layer.layer(inner.clone()), layer.layer(inner.clone()), layer.clone().layer(inner.clone())];
    let a_clone = services[0].clone();
    let calls = services.iter().chain([&a_clone]).map(|service| service.clone().oneshot(Request(1)));
    let answers = clock::takes(WAIT, futures::future::join_all(calls)).await;
    assert!(answers.into_iter().all(|answer| answer.is_ok()));
    let snapshot = layer.handle().snapshot();
    assert_eq!((inner.calls(), snapshot.made, snapshot.joined), (1, 1, 3));
    assert_eq!(new().handle().snapshot().made, 0, "another layer has a state of its own");
}

/// A coalescer over whichever service.
pub(crate) trait Coalesces {
    fn handle(&self) -> CoalesceHandle;
}

impl<F, K, W: Future, C> Coalesces for CoalesceLayer<F, K, W, C> {
    fn handle(&self) -> CoalesceHandle {
        self.handle()
    }
}

/// One store of answers.
#[cfg(feature = "cache")]
pub(crate) async fn cache(new: fn() -> CacheOf<Request>) {
    let layer = new();
    let inner = Mock::answering();
    by_all(&layer, &inner).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
    let snapshot = layer.clone().handle().snapshot();
    assert_eq!((inner.calls(), snapshot.misses, snapshot.hits, snapshot.entries), (1, 1, 5, 1));
    layer.handle().invalidate(&1);
    by_all(&layer, &inner).await;
    assert_eq!((inner.calls(), new().handle().snapshot().misses), (2, 0), "another layer has a state of its own");
}

/// One client for each service that the layer makes, which all clones of it share.
pub(crate) async fn failover<L>(new: fn() -> L)
where
    L: Layer<Mock<Fault>, Service = Failover<Mock<Fault>>>,
{
    let calls = |snapshot: Snapshot| snapshot.endpoints.iter().map(|endpoint| endpoint.calls).sum::<u64>();
    let mock = Mock::answering();
    let client = new().layer(mock.clone());
    let made_before = client.clone();
    for _ in 0..6 {
        clock::within("a call", client.clone().oneshot(Request(1))).await.unwrap();
    }
    let handle = made_before.handle();
    assert_eq!((mock.calls(), calls(handle.snapshot())), (6, 6));
    // Without an endpoint there is none for any of them.
    for endpoint in handle.snapshot().endpoints {
        handle.drain(endpoint.meta.key()).await.unwrap();
    }
    for service in [client.clone(), made_before.clone(), client] {
        let outcome = clock::within("a refusal", service.oneshot(Request(1))).await;
        let Err(Fault::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(rejected.kind(), RejectedKind::NoEndpoint);
    }
    handle.undrain("endpoint 0").unwrap();
    clock::within("a call", made_before.oneshot(Request(1))).await.unwrap();
    assert_eq!((mock.calls(), calls(handle.snapshot())), (7, 7));
    assert_eq!(calls(new().layer(Mock::answering()).handle().snapshot()), 0, "another client has a state of its own");
}

/// That of its layers, tested with each.
pub(crate) async fn stateful<L: Over<Mock<Fault>, Fault>>(new: fn() -> L) {
    by_all(&new(), &Mock::answering()).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
}

/// There is none to share.
pub(crate) async fn stateless<L: Over<Mock<Fault>, Fault>>(new: fn() -> L) {
    assert_eq!(size_of_val(&new()), 0, "it holds something: test that its services share it");
    by_all(&new(), &Mock::answering()).await.into_iter().for_each(|outcome| assert!(outcome.is_ok()));
}

/// That of its layers.
pub(crate) async fn stack(new: fn() -> Stack<Fault>) {
    let layer = new();
    let (fallback, timeout, _, breaker, ..) = &layer;
    by_all(&layer, &hanging()).await.into_iter().for_each(|outcome| assert!(outcome.unwrap().spare));
    assert_eq!((timeout.handle().timed_out(), fallback.handle().taken()), (6, 6));
    breaker.handle().reset();
    by_all(&layer, &Mock::failing()).await.into_iter().for_each(|outcome| assert!(outcome.unwrap().spare));
    assert_eq!(fallback.handle().taken(), 12);
    // Ten failures in a row opened it, whichever service they came through.
    assert_ne!(breaker.handle().state(), State::Closed);
}
