//! A limiter over a store that answers at once.

use std::{
    fmt::Debug,
    future::{Ready, ready},
    time::Duration,
};

use steadfast::{
    BoxError, LayerError, Rejected, RejectedKind,
    rate_limit::{Decision, Question, RateLimit, SharedRateLimitLayer, Store, StoreError, StoreFailure},
};
use tower::{Layer, Service};

use crate::{CALLS, Typed, assert_allocates, assert_free, inner::Inner, layers::name, refusals::Deadline};

#[derive(Clone, Debug)]
struct Always(Answer);

type Answer = fn() -> Result<Decision, StoreError>;

impl Store for Always {
    type Take = Ready<Result<Decision, StoreError>>;

    fn take(&self, _: Question) -> Self::Take {
        ready((self.0)())
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn admits() -> Result<Decision, StoreError> {
    Ok(Decision::admitted())
}

fn limit(limit: u32, period: Duration, answer: Answer) -> SharedRateLimitLayer<Always> {
    let builder = RateLimit::builder(limit, period).name(name("rate limit")).burst(limit).max_wait(SECOND);
    builder.store(Always(answer), 1).probe_interval(SECOND * 86_400).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_succeeds_allocates_nothing() {
    assert_free("there", &limit(1000, SECOND, admits)).await;
    let waits = || Ok(Decision::admitted_after(Duration::from_millis(1)));
    assert_free("after a wait", &limit(1000, SECOND, waits)).await;
    let away = || Err(StoreError::new(StoreFailure::Unreachable, "always"));
    let layer = limit(2000, SECOND, away);
    assert_free("away", &layer).await;
    assert!(layer.handle().snapshot().local_calls >= 12 * CALLS);
}

#[tokio::test(start_paused = true)]
async fn nor_for_a_key_that_is_known() {
    let builder = RateLimit::builder(1000, SECOND).name(name("rate limit"));
    let limits = builder.store(Always(admits), 1).build_keyed(100).unwrap();
    limits.for_key(&7);
    let (layer, made) = crate::counted(async { limits.for_key(&7) }).await;
    assert_eq!((made, layer.handle().name().as_str()), (0, "rate limit of the shop/7"));
}

async fn assert_refusals<E, Out: LayerError + Debug>(per_call: u64)
where
    SharedRateLimitLayer<Always>: Layer<Inner<E>, Service: Service<u32, Response = u32, Error = Out> + Clone>,
{
    let limited = |outcome: &Result<u32, Out>| {
        let rejected = outcome.as_ref().err().and_then(LayerError::as_rejected);
        rejected.is_some_and(|rejected| rejected.kind() == RejectedKind::RateLimited && rejected.name().len() > 7)
    };
    let layer = limit(1, SECOND, || Ok(Decision::refused(SECOND)));
    assert_allocates(per_call, "by the store", &layer.layer(Inner::new(false)), limited).await;
    assert_eq!((layer.handle().snapshot().refused, layer.handle().snapshot().local_calls), (4 * CALLS, 0));
    let layer = limit(1000, SECOND, admits);
    assert_allocates(per_call, "late", &Deadline(layer.layer(Inner::new(false))), limited).await;
    // The first takes the only turn of the share in two days.
    let layer = limit(1, SECOND * 86_400, || Err(StoreError::new(StoreFailure::Unreachable, "always")));
    layer.handle().change(|settings| settings.processes = 2).unwrap();
    layer.handle().acquire().await.unwrap();
    assert_allocates(per_call, "by the share", &layer.layer(Inner::new(false)), limited).await;
    assert_eq!(layer.handle().snapshot().refused, 4 * CALLS);
}

#[tokio::test(start_paused = true)]
async fn a_typed_refusal_allocates_nothing() {
    assert_refusals::<Rejected, Rejected>(0).await;
    assert_refusals::<Typed, Typed>(0).await;
    assert_refusals::<BoxError, BoxError>(1).await;
}
