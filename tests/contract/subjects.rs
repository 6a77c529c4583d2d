//! The layers under test, each as users configure it, and a stack of all of them. Generic over the innermost error,
//! which the suite names for each of them and not all need.
#![expect(clippy::extra_unused_type_parameters)]

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    DefaultClassify, IntoLayerError,
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitLayer},
    backoff::Backoff,
    boundary::BoundaryLayer,
    bulkhead::{Bulkhead, BulkheadLayer},
    chaos::{Chaos, ChaosLayer},
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer},
    coalesce::{Coalesce, CoalesceLayer, Share},
    failover::{Endpoint, Failover},
    fallback::{Fallback, FallbackLayer, FromOutcome, FromService},
    hedge::Hedge,
    rate_limit::{
        Decision, Question, RateLimit, RateLimitLayer, SharedRateLimitLayer, Store, StoreError, StoreFailure,
    },
    ready::ReadyLayer,
    retry::{Backup, CloneRequest, Retry, RetryLayer},
    shed::{Shed, ShedLayer},
    timeout::{Timeout, TimeoutLayer},
};
use tower::{Layer, Service};

use crate::mock::{Answer, Mock, Numbered, Request, Unique};

/// A layer over `S` whose services answer with `E`, and are `Clone + Send + Sync` with `Send` futures.
pub(crate) trait Over<S, E, Req = Request>:
    Layer<S, Service: Serves<E, Req> + Clone + Send + Sync + 'static> + Clone
{
}

impl<L, S, E, Req> Over<S, E, Req> for L where
    L: Layer<S, Service: Serves<E, Req> + Clone + Send + Sync + 'static> + Clone
{
}

/// A service that can be used from anywhere.
pub(crate) trait Serves<E, Req>: Service<Req, Response = Answer, Error = E, Future: Send + 'static> {}

impl<S, E, Req> Serves<E, Req> for S where S: Service<Req, Response = Answer, Error = E, Future: Send + 'static> {}

/// The limit of the timeout: longer than anything but what is to time out.
pub(crate) const LIMIT: Duration = Duration::from_secs(7200);
/// The wait before each retry.
pub(crate) const WAIT: Duration = Duration::from_millis(25);

pub(crate) fn timeout<E>() -> TimeoutLayer {
    Timeout::builder(LIMIT).name("limit").build().unwrap()
}

pub(crate) fn circuit_breaker<E>() -> CircuitBreakerLayer {
    CircuitBreakerLayer::default()
}

pub(crate) fn circuit_breaker_of_a_key<E>() -> CircuitBreakerLayer {
    CircuitBreaker::builder().build_keyed(1).unwrap().for_key(&"a tenant")
}

pub(crate) fn retry<E>() -> RetryLayer {
    Retry::builder().backoff(Backoff::fixed(WAIT)).build().unwrap()
}

/// Its hedges are due at once.
pub(crate) fn retry_with_hedge<E>() -> RetryLayer<DefaultClassify, CloneRequest, Backup> {
    let hedge = Hedge::after(Duration::ZERO).budget(1.0, 100).overload_hold(Duration::ZERO);
    Retry::builder().backoff(Backoff::fixed(WAIT)).hedge(hedge).build().unwrap()
}

fn no_copy(_: &Unique) -> Option<Unique> {
    None
}

type NoCopy = fn(&Unique) -> Option<Unique>;

pub(crate) fn retry_of_what_is_not_clone<E>() -> RetryLayer<DefaultClassify, NoCopy> {
    Retry::builder().backoff(Backoff::fixed(WAIT)).replay(no_copy as NoCopy).build().unwrap()
}

pub(crate) fn retry_with_hedge_of_what_is_not_clone<E>() -> RetryLayer<DefaultClassify, NoCopy, Backup> {
    Retry::builder().replay(no_copy as NoCopy).hedge(Hedge::after(Duration::ZERO)).build().unwrap()
}

type Outcome<E> = Result<Answer, <E as IntoLayerError>::Error>;
pub(crate) type ByFunction<E> = FallbackLayer<FromOutcome<fn(Outcome<E>) -> Outcome<E>>>;

fn spare<E>(_: Result<Answer, E>) -> Result<Answer, E> {
    Ok(Answer { number: 0, spare: true })
}

pub(crate) fn fallback_function<E: IntoLayerError>() -> ByFunction<E> {
    Fallback::from_outcome(spare::<E::Error> as fn(_) -> _).build()
}

pub(crate) type ToService<E, P = CloneRequest> = FallbackLayer<FromService<Mock<E>, P>>;

pub(crate) fn fallback_service<E>() -> ToService<E> {
    Fallback::service(Mock::spare()).build()
}

pub(crate) fn fallback_service_of_what_is_not_clone<E>() -> ToService<E, NoCopy> {
    Fallback::service(Mock::spare()).copy_with(no_copy as NoCopy).build()
}

pub(crate) fn bulkhead<E>() -> BulkheadLayer {
    Bulkhead::builder(25).build().unwrap()
}

/// One at a time, so that whoever comes second waits.
pub(crate) fn bulkhead_with_queue<E>() -> BulkheadLayer {
    Bulkhead::builder(1).max_waiting(10).max_wait(LIMIT).build().unwrap()
}

pub(crate) fn adaptive_limit<E>() -> AdaptiveLimitLayer {
    AdaptiveLimit::builder(LIMIT).build().unwrap()
}

/// One at a time, so that whoever comes second waits.
pub(crate) fn adaptive_limit_that_waits<E>() -> AdaptiveLimitLayer {
    AdaptiveLimit::builder(LIMIT).max(1).max_wait(1.0).build().unwrap()
}

pub(crate) fn shed<E>() -> ShedLayer {
    Shed::builder(25).build().unwrap()
}

/// One at a time, so that whoever comes second waits.
pub(crate) fn shed_with_queue<E>() -> ShedLayer {
    Shed::builder(1).target(LIMIT).interval(LIMIT).build().unwrap()
}

pub(crate) fn rate_limit<E>() -> RateLimitLayer {
    RateLimit::builder(1000, Duration::from_secs(1)).burst(1000).max_wait(LIMIT).build().unwrap()
}

/// A store that answers always the same, at the first poll or at the second.
#[derive(Debug)]
pub(crate) struct Always {
    pending: bool,
    answer: fn() -> Result<Decision, StoreError>,
}

impl Store for Always {
    type Take = Self;

    fn take(&self, _: Question) -> Self {
        Self { ..*self }
    }
}

impl Future for Always {
    type Output = Result<Decision, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready((self.answer)())
    }
}

fn over(pending: bool, answer: fn() -> Result<Decision, StoreError>) -> SharedRateLimitLayer<Always> {
    let builder = RateLimit::builder(1000, Duration::from_secs(1)).name("shared").burst(1000).max_wait(LIMIT);
    builder.store(Always { pending, answer }, 1).build().unwrap()
}

pub(crate) fn shared_rate_limit<E>() -> SharedRateLimitLayer<Always> {
    over(false, || Ok(Decision::admitted()))
}

/// Each call waits for the store, and for its turn.
pub(crate) fn shared_rate_limit_that_waits<E>() -> SharedRateLimitLayer<Always> {
    over(true, || Ok(Decision::admitted_after(WAIT)))
}

/// The local share decides.
pub(crate) fn shared_rate_limit_alone<E>() -> SharedRateLimitLayer<Always> {
    over(false, || Err(StoreError::new(StoreFailure::Unreachable, "always")))
}

/// What a call takes of itself, over a service that is ready at once.
pub(crate) fn own_wait(subject: &str) -> Duration {
    if ["shared_rate_limit_that_waits", "chaos_that_delays"].contains(&subject) { WAIT } else { Duration::ZERO }
}

/// Whether it never drives the inner service to ready but for a call.
pub(crate) fn is_always_ready(subject: &str) -> bool {
    subject.starts_with("failover") || ["cache", "coalesce"].contains(&subject)
}

/// Puts a client over the service, as one endpoint or as two in different tiers. The state is the client's.
#[derive(Clone, Debug)]
pub(crate) struct Over1Or2<P> {
    endpoints: u32,
    replay: P,
}

impl<S: Clone + Send + Sync + 'static, P: Clone> Layer<S> for Over1Or2<P> {
    type Service = Failover<S, DefaultClassify, P>;

    fn layer(&self, inner: S) -> Self::Service {
        let endpoint = |tier| Endpoint::new(format!("endpoint {tier}"), inner.clone()).tier(tier);
        let builder = Failover::builder().endpoints((0..self.endpoints).map(endpoint)).replay(self.replay.clone());
        builder.build().unwrap().0
    }
}

pub(crate) fn failover<E>() -> Over1Or2<CloneRequest> {
    Over1Or2 { endpoints: 1, replay: CloneRequest }
}

pub(crate) fn failover_of_what_is_not_clone<E>() -> Over1Or2<NoCopy> {
    Over1Or2 { endpoints: 1, replay: no_copy }
}

pub(crate) fn failover_that_moves_on<E>() -> Over1Or2<CloneRequest> {
    Over1Or2 { endpoints: 2, replay: CloneRequest }
}

pub(crate) fn failover_that_moves_on_of_what_is_not_clone<E>() -> Over1Or2<NoCopy> {
    Over1Or2 { endpoints: 2, replay: no_copy }
}

/// Below what stands above it.
type WithFailover<P> = (TimeoutLayer, RetryLayer<DefaultClassify, P>, Over1Or2<P>);

pub(crate) fn stack_with_failover<E>() -> WithFailover<CloneRequest> {
    (timeout::<E>(), retry::<E>(), failover_that_moves_on::<E>())
}

pub(crate) fn stack_with_failover_of_what_is_not_clone<E>() -> WithFailover<NoCopy> {
    (timeout::<E>(), retry_of_what_is_not_clone::<E>(), failover_that_moves_on_of_what_is_not_clone::<E>())
}

pub(crate) fn boundary<E>() -> BoundaryLayer {
    BoundaryLayer
}

pub(crate) fn chaos<E>() -> ChaosLayer {
    Chaos::builder().build().unwrap()
}

pub(crate) fn chaos_that_delays<E>() -> ChaosLayer {
    Chaos::builder().delays(1.0, WAIT..=WAIT).build().unwrap()
}

fn key<Req: Numbered>(request: &Req) -> Option<u32> {
    Some(request.number())
}

type Key<Req> = fn(&Req) -> Option<u32>;

/// Copies of what is not `Clone`. Errors are their caller's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Copies;

impl<E> Share<Answer, E> for Copies {
    fn share(&self, outcome: &Result<Answer, E>) -> Option<Result<Answer, E>> {
        outcome.as_ref().ok().map(|answer| Ok(Answer { ..*answer }))
    }
}

pub(crate) fn coalesce<E, W: Future>() -> CoalesceLayer<Key<Request>, u32, W, Copies> {
    Coalesce::builder(key as Key<Request>).share(Copies).build()
}

pub(crate) fn coalesce_of_what_is_not_clone<E, W: Future>() -> CoalesceLayer<Key<Unique>, u32, W, Copies> {
    Coalesce::builder(key as Key<Unique>).share(Copies).build()
}

#[cfg(feature = "cache")]
pub(crate) type CacheOf<Req> =
    steadfast::cache::CacheLayer<Key<Req>, u32, Answer, DefaultClassify, fn(&Answer) -> Option<Answer>>;

#[cfg(feature = "cache")]
fn cache_of<Req: Numbered>() -> CacheOf<Req> {
    let copy = |answer: &Answer| Some(Answer { ..*answer });
    let builder = steadfast::cache::Cache::builder(LIMIT, key as Key<Req>);
    builder.copy_with(copy as fn(&_) -> _).build().unwrap()
}

#[cfg(feature = "cache")]
pub(crate) fn cache<E>() -> CacheOf<Request> {
    cache_of()
}

#[cfg(feature = "cache")]
pub(crate) fn cache_of_what_is_not_clone<E>() -> CacheOf<Unique> {
    cache_of()
}

pub(crate) fn ready<E>() -> ReadyLayer {
    ReadyLayer
}

/// All of them, the outermost first.
pub(crate) type Stack<E> = (ToService<E>, TimeoutLayer, RetryLayer, CircuitBreakerLayer, Protection);
/// Those that take requests of any kind.
type Protection = (AdaptiveLimitLayer, BulkheadLayer, RateLimitLayer, ReadyLayer, BoundaryLayer, ChaosLayer);

fn protection<E>() -> Protection {
    (adaptive_limit::<E>(), bulkhead::<E>(), rate_limit::<E>(), ready::<E>(), boundary::<E>(), chaos::<E>())
}

pub(crate) fn stack<E>() -> Stack<E> {
    (fallback_service::<E>(), timeout::<E>(), retry::<E>(), circuit_breaker::<E>(), protection::<E>())
}

type StackWithoutClone<E> =
    (ToService<E, NoCopy>, TimeoutLayer, RetryLayer<DefaultClassify, NoCopy>, CircuitBreakerLayer, Protection);

pub(crate) fn stack_of_what_is_not_clone<E>() -> StackWithoutClone<E> {
    (
        fallback_service_of_what_is_not_clone::<E>(),
        timeout::<E>(),
        retry_of_what_is_not_clone::<E>(),
        circuit_breaker::<E>(),
        protection::<E>(),
    )
}
