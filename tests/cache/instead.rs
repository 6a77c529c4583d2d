//! What is given while it is fresh, and what is given instead of a failure.

use std::time::Duration;

use steadfast::{
    Error, Rejected, RejectedKind, Verdict,
    cache::{Cache, CacheEvent, Given},
    circuit_breaker::CircuitBreaker,
    telemetry::Received,
    timeout::Timeout,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};

use crate::support::{Answer, Does, Down, MS, Upstream, after, answer, by_status, key};

#[tokio::test(start_paused = true)]
async fn an_answer_is_given_up_to_the_end_of_its_time_and_then_asked_for_again() {
    let (cache, upstream) = (Cache::builder(100 * MS, key).build().unwrap(), Upstream::new(Does::Answer));
    let service = cache.layer(upstream.clone());
    let ask = |request| service.clone().oneshot(request);
    assert_eq!((ask(1).await, ask(2).await), (Ok(answer(1)), Ok(answer(2))));
    after(99 * MS).await;
    assert_eq!((ask(1).await, ask(2).await), (Ok(answer(1)), Ok(answer(2))));
    after(MS).await;
    assert_eq!((ask(1).await, ask(1).await), (Ok(answer(3)), Ok(answer(3))));
    // It ages from when it came, and not from when it was asked for.
    upstream.does(Does::AnswerAfter(80 * MS));
    assert_eq!(ask(3).await, Ok(answer(4)));
    after(99 * MS).await;
    assert_eq!(ask(3).await, Ok(answer(4)));
    // Without a key.
    upstream.does(Does::Answer);
    assert_eq!((ask(1000).await, ask(1000).await), (Ok(answer(5)), Ok(answer(6))));
    let snapshot = cache.handle().snapshot();
    assert_eq!((snapshot.hits, snapshot.misses, snapshot.stored, snapshot.entries), (4, 4, 4, 3));
}

#[tokio::test(start_paused = true)]
async fn only_successes_are_stored_and_an_answer_that_is_none_takes_the_stored_one_with_it() {
    let cache = Cache::builder(100 * MS, key).classify(by_status).stale_if_error(Duration::MAX).build().unwrap();
    let upstream = Upstream::new(Does::Fail);
    let service = cache.layer(upstream.clone());
    let ask = || service.clone().oneshot(1);
    let status = |status, number| Ok(Answer { status, number });
    assert_eq!(ask().await, Err(Error::Inner(Down)));
    upstream.does(Does::Status(500));
    assert_eq!((ask().await, ask().await), (status(500, 2), status(500, 3)));
    upstream.does(Does::Answer);
    assert_eq!((ask().await, ask().await), (Ok(answer(4)), Ok(answer(4))));
    after(100 * MS).await;
    for failure in [Does::Status(500), Does::Status(503), Does::Fail] {
        upstream.does(failure);
        assert_eq!(ask().await, Ok(answer(4)), "{failure:?}");
    }
    upstream.does(Does::Status(404));
    assert_eq!(ask().await, status(404, 8));
    upstream.does(Does::Fail);
    assert_eq!(ask().await, Err(Error::Inner(Down)), "it is gone");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_copied_is_not_stored_and_takes_the_stored_one_with_it() {
    let small = |answer: &Answer| (answer.number < 3).then_some(*answer);
    let cache = Cache::builder(100 * MS, key).copy_with(small).build().unwrap();
    let service = cache.layer(Upstream::new(Does::Answer));
    let ask = || service.clone().oneshot(1);
    assert_eq!((ask().await, ask().await), (Ok(answer(1)), Ok(answer(1))));
    after(100 * MS).await;
    assert_eq!(ask().await, Ok(answer(2)));
    after(100 * MS).await;
    assert_eq!((ask().await, ask().await), (Ok(answer(3)), Ok(answer(4))));
    assert_eq!((cache.handle().snapshot().stored, cache.handle().snapshot().entries), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn the_last_good_answer_replaces_failures_timeouts_and_refusals_until_it_is_too_old() {
    let cache = Cache::builder(100 * MS, key).stale_if_error(400 * MS).build().unwrap();
    let breaker = CircuitBreaker::builder().build().unwrap();
    let mut events = cache.handle().subscribe();
    let upstream = Upstream::new(Does::Answer);
    let service = ServiceBuilder::new()
        .layer(cache.clone())
        .layer(Timeout::builder(50 * MS).build().unwrap())
        .layer(breaker.clone())
        .service(upstream.clone());
    let ask = || service.clone().oneshot(1);
    assert_eq!(ask().await, Ok(answer(1)));
    after(100 * MS).await;
    upstream.does(Does::Fail);
    assert_eq!(ask().await, Ok(answer(1)));
    upstream.does(Does::NotReady);
    assert_eq!(ask().await, Ok(answer(1)), "an error of `poll_ready`");
    upstream.does(Does::Hang);
    assert_eq!(ask().await, Ok(answer(1)));
    breaker.handle().force_open();
    assert_eq!(ask().await, Ok(answer(1)));
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    let verdict = CacheEvent::GivenForVerdict { verdict: Verdict::TRANSIENT, age: 100 * MS };
    let rejection = |kind| CacheEvent::GivenForRejection { kind, age: 150 * MS };
    let expected = [verdict, verdict, rejection(RejectedKind::TimedOut), rejection(RejectedKind::CircuitForcedOpen)];
    assert_eq!(told, expected.map(Received::Event));
    after(349 * MS).await;
    assert_eq!(ask().await, Ok(answer(1)));
    after(MS).await;
    let Err(Error::Rejected(rejected)) = ask().await else { panic!("it is too old") };
    assert_eq!(rejected.kind(), RejectedKind::CircuitForcedOpen);
    assert_eq!(cache.handle().snapshot().stale_if_error, 5);
}

#[tokio::test(start_paused = true)]
async fn its_age_counts_when_it_is_given_and_not_when_the_call_began() {
    let cache = Cache::builder(Duration::ZERO, key).stale_if_error(100 * MS).build().unwrap();
    let upstream = Upstream::new(Does::Answer);
    let service = cache.layer(upstream.clone());
    assert_eq!(service.clone().oneshot(1).await, Ok(answer(1)));
    upstream.does(Does::FailAfter(99 * MS));
    assert_eq!(service.clone().oneshot(1).await, Ok(answer(1)));
    upstream.does(Does::FailAfter(MS));
    assert_eq!(service.clone().oneshot(1).await, Err(Error::Inner(Down)));
}

#[tokio::test(start_paused = true)]
async fn with_a_time_of_zero_every_call_goes_to_the_service_and_only_failures_are_replaced() {
    let cache = Cache::builder(Duration::ZERO, key).stale_if_error(Duration::MAX).build().unwrap();
    let upstream = Upstream::new(Does::Answer);
    let mut service = cache.layer(upstream.clone());
    for number in 1..4 {
        assert_eq!(service.ready().await.unwrap().call(1).await, Ok(answer(number)));
    }
    upstream.does(Does::Fail);
    after(Duration::from_secs(86_400)).await;
    assert_eq!(service.ready().await.unwrap().call(1).await, Ok(answer(3)));
    assert_eq!(service.ready().await.unwrap().call(2).await, Err(Error::Inner(Down)));
    assert_eq!(upstream.made(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_given_whatever_the_service_is_like() {
    let cache = Cache::builder(100 * MS, key).build().unwrap();
    let upstream = Upstream::new(Does::Answer);
    // One place, which somebody holds.
    let limited = tower::limit::ConcurrencyLimit::new(upstream.clone(), 1);
    let mut holder = limited.clone();
    let service = cache.layer(limited);
    assert_eq!(service.clone().oneshot(1).await, Ok(answer(1)));
    holder.ready().await.unwrap();
    let in_time = |request| tokio::time::timeout(MS, service.clone().oneshot(request));
    assert_eq!(in_time(1).await, Ok(Ok(answer(1))));
    drop(holder);
    // Nor does who was given one hold a place.
    let _idle: Vec<_> = futures::future::join_all((0..3).map(|_| async {
        let mut idle = service.clone();
        let call = async { idle.ready().await?.call(1).await };
        assert_eq!(tokio::time::timeout(MS, call).await, Ok(Ok(answer(1))));
        idle
    }))
    .await;
    assert_eq!(in_time(2).await, Ok(Ok(answer(2))));
}

#[tokio::test(start_paused = true)]
async fn stored_answers_are_marked_with_why_they_are_given_and_their_age() {
    let mark = |answer: &mut Answer, given: Given, age: Duration| {
        let code = match given {
            Given::Fresh => 1,
            Given::WhileRevalidating => 2,
            Given::InsteadOfError => 3,
            _ => 9,
        };
        answer.status = code * 1000 + age.as_millis() as u32;
    };
    let builder =
        Cache::builder(100 * MS, key).mark(mark).stale_while_revalidate(50 * MS).stale_if_error(Duration::MAX);
    let upstream = Upstream::new(Does::Answer);
    let service = builder.build().unwrap().layer(upstream.clone());
    let mut statuses = Vec::new();
    for (does, wait) in [(Does::Answer, 0), (Does::Answer, 30), (Does::Hang, 90), (Does::Fail, 120)] {
        upstream.does(does);
        after(wait * MS).await;
        statuses.push(service.clone().oneshot(1).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 1030, 2120, 3240]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_without_anything_stored_is_passed_on() {
    let refusing = tower::service_fn(|_: u32| async { Err::<Answer, _>(Rejected::new(RejectedKind::Shed, "shop")) });
    let service = Cache::builder(100 * MS, key).stale_if_error(Duration::MAX).build().unwrap().layer(refusing);
    assert_eq!(service.oneshot(1).await.unwrap_err().kind(), RejectedKind::Shed);
}
