//! Counts allocations: a call that is let through and succeeds makes none in any layer, nor does a typed refusal.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    convert::Infallible,
    fmt::Debug,
    future::Future,
    hint::black_box,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    BoxError, Error, LayerError, Rejected, RejectedKind, Run,
    backoff::Backoff,
    boundary::BoundaryLayer,
    bulkhead::{Bulkhead, BulkheadLayer},
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer},
    context::{self, Scope},
    fallback::{Fallback, FallbackLayer, FromService, Value},
    rate_limit::{Mode, RateLimit, RateLimitLayer},
    ready::ReadyLayer,
    retry::{Budget, CloneRequest, Retry, RetryLayer},
    timeout::{Timeout, TimeoutLayer},
};
use tower::{Layer, Service, ServiceExt};

// ## The allocator

struct Counting;

thread_local! {
    /// Of this thread, which is the test's own. Neither made on the heap nor dropped.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

impl Counting {
    fn count() {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
    }
}

// SAFETY: all of it is the system's allocator, but for a counter that does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as for this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as for this function.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as for this function.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations that `future` makes until it is ready and dropped.
async fn counted<F: Future>(future: F) -> (F::Output, u64) {
    let before = ALLOCATIONS.get();
    let output = future.await;
    (output, ALLOCATIONS.get() - before)
}

// ## The inner service

/// Allocates nothing, unless that is what it is there for.
#[derive(Debug)]
struct Inner<E> {
    /// Whether each call is pending once.
    pending: bool,
    /// Whether each instance is not ready when it is first asked, before each call.
    unready: bool,
    asked: bool,
    /// Fails every second call.
    flaky: Option<fn() -> E>,
    allocates: bool,
    calls: u32,
    error: PhantomData<fn() -> E>,
}

impl<E> Inner<E> {
    fn new(pending: bool) -> Self {
        let (unready, asked, flaky, allocates, calls) = (false, false, None, false, 0);
        Self { pending, unready, asked, flaky, allocates, calls, error: PhantomData }
    }
}

impl<E> Clone for Inner<E> {
    fn clone(&self) -> Self {
        Self { asked: false, ..*self }
    }
}

impl<E> Service<u32> for Inner<E> {
    type Response = u32;
    type Error = E;
    type Future = Reply<E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if self.unready && !std::mem::replace(&mut self.asked, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Reply<E> {
        self.asked = false;
        self.calls += 1;
        if self.allocates {
            drop(black_box(Box::new(request)));
        }
        let fail = self.flaky.filter(|_| self.calls % 2 == 1);
        Reply { pending: self.pending, answer: request, fail }
    }
}

struct Reply<E> {
    pending: bool,
    answer: u32,
    fail: Option<fn() -> E>,
}

impl<E> Future for Reply<E> {
    type Output = Result<u32, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.fail.map_or(Ok(self.answer), |fail| Err(fail())))
    }
}

/// A service's own error.
#[derive(Debug)]
struct Foreign;

type Typed = Error<Foreign>;

// ## Measuring

const CALLS: u64 = 500;

/// Checks the outcomes and the allocations of calls by one service and by clones of it, once it is warm.
async fn assert_allocates<S, F>(per_call: u64, what: &str, service: &S, is_right: F)
where
    S: Service<u32> + Clone,
    F: Fn(&Result<S::Response, S::Error>) -> bool,
    Result<S::Response, S::Error>: Debug,
{
    let mut long_lived = service.clone();
    let mut spent = (0, 0);
    for call in 0..2 * CALLS {
        let (outcome, by_long_lived) = counted(async { long_lived.ready().await?.call(7).await }).await;
        assert!(is_right(&outcome), "{what}: {outcome:?}");
        drop(outcome);
        let (outcome, by_clone) = counted(service.clone().oneshot(7)).await;
        assert!(is_right(&outcome), "{what}: {outcome:?}");
        // The first half is to warm up: thread-locals, the timer wheel. Windows slide as time passes.
        if call >= CALLS {
            spent = (spent.0 + by_long_lived, spent.1 + by_clone);
        }
        if call % 50 == 0 {
            tokio::time::advance(Duration::from_millis(700)).await;
        }
    }
    let expected = (CALLS * per_call, CALLS * per_call);
    assert_eq!(spent, expected, "{what}: allocations of {CALLS} calls by one service, and by its clones");
}

/// Calls that succeed allocate nothing over any inner service.
async fn assert_free<L>(what: &str, layer: &L)
where
    L: Layer<Inner<Typed>, Service: Service<u32, Response = u32, Error = Typed> + Clone>,
{
    for (pending, unready) in [(false, false), (true, false), (true, true)] {
        let inner = Inner { unready, ..Inner::new(pending) };
        let what = format!("{what}, pending {pending}, unready {unready}");
        assert_allocates(0, &what, &layer.layer(inner), |outcome| matches!(outcome, Ok(7))).await;
    }
}

// ## The layers, with names made while running

fn name(of: &str) -> String {
    format!("{of} of the shop")
}

fn timeout() -> TimeoutLayer {
    Timeout::builder(Duration::from_secs(1)).name(name("timeout")).build().unwrap()
}

fn breaker() -> CircuitBreakerLayer {
    CircuitBreaker::builder().name(name("breaker")).slow_calls(0.9, Duration::from_millis(500)).build().unwrap()
}

fn bulkhead() -> BulkheadLayer {
    Bulkhead::builder(2).name(name("bulkhead")).max_waiting(5).build().unwrap()
}

/// Slow enough for its state to matter, fast enough for all calls between two steps of the clock.
fn rate_limit() -> RateLimitLayer {
    let wait = Duration::from_secs(1);
    RateLimit::builder(1000, wait).name(name("rate limit")).burst(500).max_wait(wait).build().unwrap()
}

fn cycles() -> RateLimitLayer {
    RateLimit::builder(500, Duration::from_millis(700)).mode(Mode::Cycles).build().unwrap()
}

fn retry() -> RetryLayer {
    let wait = Backoff::fixed(Duration::from_millis(5));
    Retry::builder().name(name("retry")).backoff(wait).budget(Arc::new(Budget::refund())).build().unwrap()
}

fn fallback() -> FallbackLayer<Value<u32>> {
    Fallback::value(0).name(name("fallback")).build()
}

fn fallback_service<E>() -> FallbackLayer<FromService<Inner<E>, CloneRequest>> {
    Fallback::service(Inner::new(false)).name(name("fallback")).build()
}

type Stack = (FallbackLayer<Value<u32>>, TimeoutLayer, Protection);
/// Without a fallback, so that refusals come out.
type Protection =
    (RetryLayer, CircuitBreakerLayer, TimeoutLayer, BulkheadLayer, RateLimitLayer, ReadyLayer, BoundaryLayer);

fn protection() -> Protection {
    (retry(), breaker(), timeout(), bulkhead(), rate_limit(), ReadyLayer, BoundaryLayer)
}

fn stack() -> Stack {
    (fallback(), timeout(), protection())
}

// ## Calls that are let through and succeed

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
    assert_free("fallback to a value", &fallback).await;
    assert_free("fallback to a service", &to_service).await;
    assert_free("bulkhead", &bulkhead()).await;
    assert_free("rate limit", &rate_limit()).await;
    assert_free("rate limit in cycles", &cycles()).await;
    assert_free("boundary", &BoundaryLayer).await;
    assert_free("ready", &ReadyLayer).await;
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

// ## Refusals

/// What an open breaker answers.
fn refused<Res, E: LayerError>(outcome: &Result<Res, E>) -> bool {
    let rejected = outcome.as_ref().err().and_then(LayerError::as_rejected);
    rejected.is_some_and(|rejected| rejected.kind().is_circuit_breaker() && rejected.name().len() > 7)
}

/// Refusals of breakers in each state that refuses, alone and in a stack, over a service with errors of type `E`.
async fn assert_refusals<E, Out: LayerError + Debug>(per_call: u64)
where
    CircuitBreakerLayer: Layer<Inner<E>, Service: Service<u32, Response = u32, Error = Out> + Clone>,
    Protection: Layer<Inner<E>, Service: Service<u32, Response = u32, Error = Out> + Clone>,
{
    let breaker = breaker();
    let service = breaker.layer(Inner::new(false));
    breaker.handle().open_for(Duration::from_secs(3600));
    assert_allocates(per_call, "open", &service, refused).await;
    breaker.handle().force_open();
    assert_allocates(per_call, "forced open", &service, refused).await;
    breaker.handle().change(|settings| settings.half_open_max_wait = None).unwrap();
    breaker.handle().half_open();
    let trials: Vec<_> = (0..5).map(|_| breaker.handle().acquire().unwrap()).collect();
    assert_allocates(per_call, "half-open", &service, refused).await;
    drop(trials);
    let stack = protection();
    stack.1.handle().open_for(Duration::from_secs(3600));
    assert_allocates(per_call, "stack", &stack.layer(Inner::new(false)), refused).await;
}

/// Refusals by a bulkhead and by a limiter of each mode, over a service with errors of type `E`.
async fn assert_limits_refuse<E, Out: LayerError + Debug>(per_call: u64)
where
    BulkheadLayer: Layer<Inner<E>, Service: Service<u32, Response = u32, Error = Out> + Clone>,
    RateLimitLayer: Layer<Inner<E>, Service: Service<u32, Response = u32, Error = Out> + Clone>,
{
    let is = |kind: RejectedKind| {
        move |outcome: &Result<u32, Out>| {
            let rejected = outcome.as_ref().err().and_then(LayerError::as_rejected);
            rejected.is_some_and(|rejected| rejected.kind() == kind && rejected.name().len() > 7)
        }
    };
    let bulkhead = bulkhead();
    bulkhead.handle().change(|settings| settings.max_waiting = 0).unwrap();
    let permits: Vec<_> = (0..2).map(|_| bulkhead.handle().try_acquire().unwrap()).collect();
    let full = is(RejectedKind::BulkheadFull);
    assert_allocates(per_call, "full", &bulkhead.layer(Inner::new(false)), &full).await;
    // With a queue and a deadline that is over: it joins and leaves.
    bulkhead.handle().change(|settings| settings.max_waiting = 1).unwrap();
    let over = Deadline(bulkhead.layer(Inner::new(false)));
    assert_allocates(per_call, "hopeless", &over, &full).await;
    assert_eq!(bulkhead.handle().snapshot().refused_hopeless, 4 * CALLS);
    drop(permits);
    for (mode, max_wait) in [(Mode::Smooth, 0), (Mode::Smooth, 1), (Mode::Cycles, 1)] {
        let builder = RateLimit::builder(1, Duration::from_secs(86_400)).name(name("rate limit")).mode(mode);
        let limit = builder.max_wait(Duration::from_secs(max_wait)).build().unwrap();
        limit.handle().try_acquire().unwrap();
        let limited = is(RejectedKind::RateLimited);
        assert_allocates(per_call, "limited", &limit.layer(Inner::new(false)), &limited).await;
        assert_eq!(limit.handle().snapshot().refused, 4 * CALLS);
    }
}

/// Calls with a deadline that is over.
#[derive(Clone)]
struct Deadline<S>(S);

impl<S: Service<u32>> Service<u32> for Deadline<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Scope<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    #[expect(clippy::disallowed_methods)]
    fn call(&mut self, request: u32) -> Self::Future {
        let now = tokio::time::Instant::now();
        context::scope(context::current().with_deadline(now), self.0.call(request))
    }
}

#[tokio::test(start_paused = true)]
async fn a_typed_refusal_of_a_bulkhead_or_a_rate_limit_allocates_nothing() {
    assert_limits_refuse::<Infallible, Rejected>(0).await;
    assert_limits_refuse::<Rejected, Rejected>(0).await;
    assert_limits_refuse::<Typed, Typed>(0).await;
    assert_limits_refuse::<BoxError, BoxError>(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_typed_refusal_allocates_nothing() {
    assert_refusals::<Infallible, Rejected>(0).await;
    assert_refusals::<Rejected, Rejected>(0).await;
    assert_refusals::<Typed, Typed>(0).await;
}

#[tokio::test(start_paused = true)]
async fn an_erased_refusal_allocates_its_box() {
    assert_refusals::<BoxError, BoxError>(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_a_fallback_answers_allocates_nothing() {
    let stack = stack();
    stack.2.1.handle().force_open();
    assert_allocates(0, "value", &stack.layer(Inner::<Typed>::new(false)), |outcome| matches!(outcome, Ok(0))).await;
    let (fallback, breaker) = (fallback_service::<Typed>(), breaker());
    breaker.handle().force_open();
    let service = fallback.layer(breaker.layer(Inner::<Typed>::new(false)));
    assert_allocates(0, "service", &service, |outcome| matches!(outcome, Ok(7))).await;
    assert_eq!(fallback.handle().taken(), 4 * CALLS);
}

// ## That it would be seen

#[tokio::test(start_paused = true)]
async fn a_service_that_allocates_is_seen() {
    let inner = Inner { allocates: true, ..Inner::<Typed>::new(true) };
    assert_allocates(1, "alone", &inner, Result::is_ok).await;
    assert_allocates(1, "in a stack", &stack().layer(inner), Result::is_ok).await;
    let kind = RejectedKind::CircuitOpen;
    let (_, made) = counted(async { black_box(Rejected::new(kind, black_box(name("breaker")))) }).await;
    assert!(made >= 2, "the name as a `String`, then as an `Arc<str>`: {made}");
}
