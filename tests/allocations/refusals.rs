//! Refusals.

use std::{
    convert::Infallible,
    fmt::Debug,
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    BoxError, LayerError, Rejected, RejectedKind,
    bulkhead::BulkheadLayer,
    circuit_breaker::CircuitBreakerLayer,
    context::{self, Scope},
    rate_limit::{Mode, RateLimit, RateLimitLayer},
    shed::ShedLayer,
};
use tower::{Layer, Service};

use crate::{
    CALLS, Typed, assert_allocates,
    inner::Inner,
    layers::{Protection, breaker, bulkhead, fallback_service, name, protection, shed, stack},
};

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

/// Refusals by load shedding, over a service with errors of type `E`.
async fn assert_shed<E, Out: LayerError + Debug>(per_call: u64)
where
    ShedLayer: Layer<Inner<E>, Service: Service<u32, Response = u32, Error = Out> + Clone>,
{
    let is_shed = |outcome: &Result<u32, Out>| {
        let rejected = outcome.as_ref().err().and_then(LayerError::as_rejected);
        rejected.is_some_and(|rejected| rejected.kind() == RejectedKind::Shed && rejected.name().len() > 7)
    };
    let shed = shed();
    let _permits: Vec<_> = (0..2).map(|_| shed.handle().try_acquire().unwrap()).collect();
    assert_allocates(per_call, "hopeless", &Deadline(shed.layer(Inner::new(false))), is_shed).await;
    shed.handle().change(|settings| settings.max_waiting = 0).unwrap();
    assert_allocates(per_call, "full", &shed.layer(Inner::new(false)), is_shed).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_shed_at_once_allocates_nothing() {
    assert_shed::<Infallible, Rejected>(0).await;
    assert_shed::<Typed, Typed>(0).await;
    assert_shed::<BoxError, BoxError>(1).await;
}

/// Calls with a deadline that is over.
#[derive(Clone)]
pub(crate) struct Deadline<S>(pub(crate) S);

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
