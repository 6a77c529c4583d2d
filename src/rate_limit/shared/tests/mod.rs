use std::{
    future::{Ready, pending, ready},
    pin::Pin,
    sync::{Arc, Mutex},
};

use super::{super::*, *};
use crate::{Rejected, RejectedKind, context, telemetry::Received, time};
use std::time::Duration;

mod around_changes;
mod keyed;
mod silence;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Answers as it is told.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    /// `None`: never answers.
    answer: Option<Result<Decision, StoreError>>,
    /// How long that takes.
    delay: Duration,
    asked: Vec<Question>,
}

impl Scripted {
    fn answers(&self, answer: impl Into<Option<Result<Decision, StoreError>>>) {
        let mut script = self.0.lock().unwrap();
        (script.answer, script.delay) = (answer.into(), Duration::ZERO);
    }

    fn answers_after(&self, delay: Duration, answer: Result<Decision, StoreError>) {
        self.answers(answer);
        self.0.lock().unwrap().delay = delay;
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().asked.len()
    }

    /// The waits that were asked for.
    fn waits(&self) -> Vec<Duration> {
        self.0.lock().unwrap().asked.iter().map(|question| question.max_wait).collect()
    }
}

impl Store for Scripted {
    type Take = Pin<Box<dyn Future<Output = Result<Decision, StoreError>> + Send>>;

    fn take(&self, question: Question) -> Self::Take {
        let mut script = self.0.lock().unwrap();
        script.asked.push(question);
        let delay = script.delay;
        match script.answer.clone() {
            Some(answer) if delay.is_zero() => Box::pin(ready(answer)),
            Some(answer) => Box::pin(async move {
                sleep(delay).await;
                answer
            }),
            None => Box::pin(pending()),
        }
    }
}

fn limit(max_wait: Duration) -> (Scripted, SharedRateLimitHandle<Scripted>) {
    let store = Scripted::default();
    store.answers(Ok(Decision::admitted()));
    let builder = RateLimit::builder(100, SECOND).name("partner").burst(4).max_wait(max_wait);
    let layer = builder.store(store.clone(), 4).build().unwrap();
    (store, layer.handle())
}

fn broken() -> Result<Decision, StoreError> {
    Err(StoreError::new(StoreFailure::Unreachable, "scripted"))
}

async fn sleep(wait: Duration) {
    time::Sleep::until(time::now() + wait).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_does_what_the_store_says() {
    let (store, handle) = limit(SECOND);
    let start = time::now();
    handle.acquire().await.unwrap();
    assert_eq!(time::now() - start, Duration::ZERO);
    store.answers(Ok(Decision::admitted_after(MS * 70)));
    handle.acquire().await.unwrap();
    assert_eq!(time::now() - start, MS * 70);
    store.answers(Ok(Decision::refused(MS * 30)));
    let rejected = handle.acquire().await.unwrap_err();
    assert_eq!((rejected.kind(), rejected.retry_after()), (RejectedKind::RateLimited, Some(MS * 30)));
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.refused, snapshot.local_calls, snapshot.waiting, store.asked()), (1, 0, 0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_means_the_local_share_and_no_error() {
    let (store, handle) = limit(SECOND);
    let mut events = handle.subscribe();
    store.answers(broken());
    let start = time::now();
    // Ten calls of a share of 25/s with a burst of 1: the last is due after 9 times 40 ms.
    let calls: Vec<_> = (0..10).map(|_| handle.acquire()).collect();
    for call in futures::future::join_all(calls).await {
        call.unwrap();
    }
    let took = time::now() - start;
    assert!((MS * 360..MS * 365).contains(&took), "{took:?}");
    assert_eq!(store.asked(), 1, "one call found out");
    assert_eq!(events.try_recv(), Some(Received::Event(RateLimitEvent::StoreAway { why: StoreFailure::Unreachable })));
    store.answers(Ok(Decision::admitted()));
    sleep(SECOND).await;
    handle.acquire().await.unwrap();
    let Some(Received::Event(RateLimitEvent::StoreBack { away_for })) = events.try_recv() else { panic!("no event") };
    assert!(away_for >= SECOND);
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.store_away, snapshot.went_away, snapshot.came_back, snapshot.local_calls), (false, 1, 1, 10));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_costs_its_timeout_once_an_interval() {
    let (store, handle) = limit(SECOND);
    store.answers(None);
    let start = time::now();
    handle.acquire().await.unwrap();
    assert_eq!(time::now() - start, MS * 50);
    for _ in 0..30 {
        handle.acquire().await.unwrap();
    }
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.went_away, snapshot.local_calls, store.asked()), (1, 31, 2));
}

#[tokio::test(start_paused = true)]
async fn no_more_than_max_waiting_ask_for_a_later_turn_and_those_who_leave_make_room() {
    let (store, handle) = limit(SECOND);
    handle.change(|settings| settings.rate.max_waiting = 1).unwrap();
    store.answers(Ok(Decision::admitted_after(SECOND)));
    let mut first = Box::pin(handle.acquire());
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(handle.acquire());
    assert!(futures::poll!(&mut second).is_pending());
    assert_eq!(store.waits(), [SECOND, Duration::ZERO]);
    drop((first, second));
    assert_eq!(handle.snapshot().waiting, 0);
    assert!(futures::poll!(Box::pin(handle.acquire())).is_pending());
    assert_eq!(store.waits()[2], SECOND);
}

/// A call whose deadline is so far away.
async fn within<St: Store>(left: Duration, handle: &SharedRateLimitHandle<St>) -> Result<(), Rejected> {
    let context = context::current().with_deadline(time::now() + left);
    context::scope(context, handle.acquire()).await
}

#[derive(Clone, Debug)]
struct Open;

impl Store for Open {
    type Take = Ready<Result<Decision, StoreError>>;

    fn take(&self, _: Question) -> Self::Take {
        ready(Ok(Decision::admitted()))
    }
}

#[test]
fn nonsense_is_refused() {
    let field = |builder: SharedRateLimitBuilder<Open>| builder.build().unwrap_err().field();
    let builder = || RateLimit::builder(100, SECOND).name("partner");
    assert_eq!(field(builder().store(Open, 0)), "processes");
    assert_eq!(field(builder().mode(Mode::Cycles).store(Open, 1)), "mode");
    assert_eq!(field(builder().store(Open, 1).store_timeout(Duration::ZERO)), "store_timeout");
    assert_eq!(field(builder().store(Open, 1).probe_interval(Duration::ZERO)), "probe_interval");
    assert_eq!(field(RateLimit::builder(0, SECOND).name("partner").store(Open, 1)), "limit");
    // Two that nobody has named would share one count.
    let unnamed = RateLimit::builder(100, SECOND).store(Open, 1).build().unwrap_err();
    assert_eq!(unnamed.field(), "name");
    assert!(unnamed.allowed().contains("name(..)"), "{unnamed}");
    assert_eq!(RateLimit::builder(100, SECOND).build().unwrap().handle().name().as_str(), "rate_limit");
}
