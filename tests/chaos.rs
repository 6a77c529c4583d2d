//! Chaos: what is hit, how often, and what the layers above see of it.
#![allow(clippy::disallowed_methods)] // The clock is paused.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{Ready, ready},
};
use steadfast::{
    Error,
    chaos::{Chaos, ChaosBuilder, ChaosEvent, ChaosSettings, Injected},
    circuit_breaker::{CircuitBreaker, State},
    retry::Retry,
    telemetry::Received,
    timeout::Timeout,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

const MS: Duration = Duration::from_millis(1);

/// Answers with the request, and counts.
#[derive(Clone, Default)]
struct Counts(Arc<AtomicU64>);

impl Counts {
    fn calls(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Service<u32> for Counts {
    type Response = u32;
    type Error = &'static str;
    type Future = Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        ready(Ok(number))
    }
}

fn broken(_: &u32) -> Result<u32, &'static str> {
    Err("broken")
}

#[tokio::test(start_paused = true)]
async fn each_has_the_share_that_was_asked_for() {
    let builder = Chaos::builder().failures(0.3, broken).hangs(0.1).panics(0.05).delays(0.2, MS..=10 * MS).seed(7);
    let (layer, counts) = (builder.build().unwrap(), Counts::default());
    let service = layer.layer(counts.clone());
    let (mut answered, mut failed, mut panicked, mut hung) = (0, 0, 0, 0);
    for number in 0..10_000 {
        let call = AssertUnwindSafe(service.clone().oneshot(number)).catch_unwind();
        match tokio::time::timeout(Duration::from_secs(1), call).await {
            Ok(Ok(Ok(answer))) => answered += u64::from(answer == number),
            Ok(Ok(Err(error))) => failed += u64::from(error == "broken"),
            Ok(Err(_)) => panicked += 1,
            Err(_) => hung += 1,
        }
    }
    let near = |number: u64, share: f64| (number as f64 / 10_000.0 - share).abs() < 0.02;
    assert!(near(answered, 0.55) && near(failed, 0.3) && near(panicked, 0.05) && near(hung, 0.1));
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.failures, snapshot.hangs, snapshot.panics), (failed, hung, panicked));
    assert!(near(snapshot.delays, 0.2), "{snapshot:?}");
    assert_eq!(counts.calls(), answered, "what is hit does not reach the service");
}

type Fails = fn(&u32) -> Result<u32, &'static str>;

async fn outcomes<M>(builder: ChaosBuilder<Fails, M>) -> Vec<bool>
where
    M: steadfast::chaos::Marked<u32> + Clone,
{
    let service = builder.build().unwrap().layer(Counts::default());
    let mut outcomes = Vec::new();
    for number in 0..200 {
        outcomes.push(service.clone().oneshot(number).await.is_ok());
    }
    outcomes
}

fn half() -> ChaosBuilder<Fails> {
    Chaos::builder().failures(0.5, broken as Fails)
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_hits_the_same_calls() {
    let (one, same, other) =
        (outcomes(half().seed(1)).await, outcomes(half().seed(1)).await, outcomes(half().seed(2)).await);
    assert_eq!(one, same);
    assert_ne!(one, other);
    // Delays are drawn apart: with them the same calls fail.
    assert_eq!(outcomes(half().seed(1).delays(0.5, MS..=MS)).await, one);
}

#[tokio::test(start_paused = true)]
async fn only_marked_requests_are_hit_and_only_so_much_of_the_traffic() {
    let all = || Chaos::builder().failures(1.0, broken as Fails);
    let marked = outcomes(all().only(|number: &u32| *number < 50)).await;
    assert_eq!(marked, (0..200).map(|number| number >= 50).collect::<Vec<_>>());
    let hit = outcomes(all().traffic(0.25).seed(3)).await.iter().filter(|passes| !**passes).count();
    assert!((35..65).contains(&hit), "{hit}");
}

#[tokio::test(start_paused = true)]
async fn it_is_switched_while_it_runs() {
    let (layer, counts) = (half().failures(1.0, broken).build().unwrap(), Counts::default());
    let (handle, service) = (layer.handle(), layer.layer(counts.clone()));
    let mut events = handle.subscribe();
    let call = || service.clone().oneshot(7);
    assert_eq!(call().await, Err("broken"));
    handle.disable();
    assert_eq!(call().await, Ok(7));
    assert!(!handle.settings().enabled);
    handle.enable();
    assert_eq!(call().await, Err("broken"));
    handle.change(|settings| settings.failures = 0.0).unwrap();
    assert_eq!(call().await, Ok(7));
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    let (hit, changed) =
        (Received::Event(ChaosEvent::Injected(Injected::Failure)), Received::Event(ChaosEvent::SettingsChanged));
    assert_eq!(told, [hit.clone(), changed.clone(), changed.clone(), hit, changed]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_anything_else() {
    let (wait, counts) = (20 * MS..=30 * MS, Counts::default());
    let service = Chaos::builder().delays(1.0, wait.clone()).build().unwrap().layer(counts.clone());
    for number in 0..50 {
        let begun = Instant::now();
        let mut call = Box::pin(service.clone().oneshot(number));
        assert!(futures::poll!(&mut call).is_pending());
        assert_eq!(counts.calls(), u64::from(number), "it has not been made");
        assert_eq!(call.await, Ok(number));
        // The timer rounds up to a millisecond.
        let took = begun.elapsed();
        assert!((20 * MS..=31 * MS).contains(&took), "{took:?}");
    }
    let fails = half().failures(1.0, broken).delays(1.0, wait).build().unwrap().layer(counts);
    let begun = Instant::now();
    assert_eq!(fails.oneshot(1).await, Err("broken"));
    assert!(begun.elapsed() >= 20 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_ends_with_its_caller() {
    let layer = Chaos::builder().hangs(1.0).build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(Timeout::builder(50 * MS).build().unwrap())
        .map_err(Error::Inner)
        .layer(layer.clone())
        .service(Counts::default());
    let error = stack.oneshot(1).await.unwrap_err();
    assert!(error.rejected().is_some_and(|rejected| rejected.reached_service()), "{error}");
    assert_eq!(layer.handle().snapshot().hangs, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_names_it_and_leaves_the_service_working() {
    let layer = Chaos::builder().name("rehearsal").panics(1.0).build().unwrap();
    let service = layer.layer(Counts::default());
    let panic = AssertUnwindSafe(service.clone().oneshot(1)).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref::<String>().unwrap(), "a panic of chaos `rehearsal`");
    layer.handle().disable();
    assert_eq!(service.oneshot(1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn the_layers_above_take_it_for_the_service() {
    let breaker = CircuitBreaker::builder().consecutive_failures(3).build().unwrap();
    let retry = Retry::builder().max_attempts(3).build().unwrap();
    let (handle, retries) = (breaker.handle(), retry.handle());
    let stack = ServiceBuilder::new()
        .layer(retry)
        .layer(breaker)
        .map_err(Error::Inner)
        .layer(half().failures(1.0, broken).build().unwrap())
        .service(Counts::default());
    assert_eq!(stack.oneshot(1).await.unwrap_err().to_string(), "broken");
    assert_eq!((handle.state(), retries.retries()), (State::Open, 2));
}

#[tokio::test(start_paused = true)]
async fn a_response_can_be_a_failure_too() {
    let service = Chaos::builder().failures(1.0, |_: &u32| Ok::<u32, &'static str>(503)).build().unwrap();
    assert_eq!(service.layer(Counts::default()).oneshot(1).await, Ok(503));
}

#[tokio::test(start_paused = true)]
async fn works_over_what_panics_when_it_is_not_ready() {
    let layers = ServiceBuilder::new()
        .layer(Chaos::builder().delays(0.5, MS..=MS).seed(1).build().unwrap())
        .layer(ConcurrencyLimitLayer::new(1));
    let service = layers.service(Counts::default());
    let calls = (0..100).map(|number| service.clone().oneshot(number));
    assert!(futures::future::join_all(calls).await.iter().all(Result::is_ok));
}

#[test]
fn over_what_cannot_fail_there_is_nothing_to_handle() {
    let service = Chaos::builder().hangs(1e-9).seed(1).build().unwrap();
    let service = service.layer(tower::service_fn(|number: u32| ready(Ok::<_, Infallible>(number))));
    let outcome: Option<Result<u32, Infallible>> = service.oneshot(7).now_or_never();
    assert_eq!(outcome, Some(Ok(7)));
}

#[test]
fn nonsense_is_refused_with_the_field() {
    let field = |settings: ChaosSettings| half().settings(settings).build().map_err(|error| error.to_string());
    let with = |edit: fn(&mut ChaosSettings)| {
        let mut settings = ChaosSettings::default();
        edit(&mut settings);
        field(settings).unwrap_err()
    };
    assert_eq!(with(|settings| settings.failures = 1.1), "`chaos`: failures is 1.1; allowed: 0 to 1");
    assert_eq!(with(|settings| settings.hangs = -0.1), "`chaos`: hangs is -0.1; allowed: 0 to 1");
    assert_eq!(with(|settings| settings.panics = f64::NAN), "`chaos`: panics is NaN; allowed: 0 to 1");
    assert_eq!(with(|settings| settings.traffic = 2.0), "`chaos`: traffic is 2.0; allowed: 0 to 1");
    assert_eq!(with(|settings| settings.delays = 2.0), "`chaos`: delays is 2.0; allowed: 0 to 1");
    let sum = with(|settings| (settings.failures, settings.hangs) = (0.75, 0.5));
    assert_eq!(sum, "`chaos`: failures is 1.25; allowed: at most 1, with hangs and panics");
    let order = with(|settings| settings.shortest_delay = MS);
    assert_eq!(order, "`chaos`: shortest_delay is 1ms; allowed: at most the longest delay");
    let long = with(|settings| settings.longest_delay = Duration::MAX);
    assert!(long.ends_with("allowed: up to 1 hour"), "{long}");
    assert!(field(ChaosSettings::default()).is_ok());
}

#[test]
fn there_are_no_failures_without_what_makes_them() {
    let expected = "`chaos`: failures is 0.5; allowed: 0 without a function that makes them (`failures`)";
    let mut settings = ChaosSettings::default();
    settings.failures = 0.5;
    assert_eq!(Chaos::builder().settings(settings).build().unwrap_err().to_string(), expected);
    let layer = Chaos::builder().build().unwrap();
    let error = layer.handle().change(|settings| settings.failures = 0.5).unwrap_err();
    assert_eq!((error.to_string().as_str(), layer.handle().settings()), (expected, ChaosSettings::default()));
}
