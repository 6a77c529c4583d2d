//! Stale answers, given at once and renewed in the background.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use steadfast::{
    Error, Priority,
    cache::{Cache, CacheEvent, CacheLayer, InBackground},
    context,
    telemetry::Received,
};
use tower::{Layer, ServiceExt};

use crate::support::{Answer, Does, Down, MS, Upstream, after, answer, key};

type Layered = CacheLayer<
    fn(&u32) -> Option<u32>,
    u32,
    Answer,
    steadfast::DefaultClassify,
    steadfast::cache::CloneAnswer,
    steadfast::cache::Unmarked,
    InBackground,
>;

fn cache() -> Layered {
    let builder = Cache::builder(100 * MS, key as fn(&_) -> _).stale_while_revalidate(200 * MS);
    builder.revalidate_timeout(40 * MS).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_given_at_once_and_one_call_renews_it() {
    let (cache, upstream) = (cache(), Upstream::new(Does::Answer));
    let service = cache.layer(upstream.clone());
    let ask = || service.clone().oneshot(1);
    ask().await.unwrap();
    after(100 * MS).await;
    upstream.does(Does::AnswerAfter(20 * MS));
    let mut events = cache.handle().subscribe();
    let started = tokio::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(ask().await, Ok(answer(1)));
    }
    assert_eq!(started.elapsed(), Duration::ZERO);
    after(20 * MS).await;
    assert_eq!((ask().await, upstream.made()), (Ok(answer(2)), 2));
    let snapshot = cache.handle().snapshot();
    assert_eq!((snapshot.stale_while_revalidate, snapshot.revalidations, snapshot.revalidations_failed), (10, 1, 0));
    assert_eq!((snapshot.hits, snapshot.misses, snapshot.stored), (1, 1, 2));
    assert_eq!(events.try_recv(), Some(Received::Event(CacheEvent::GivenWhileRevalidating { age: 100 * MS })));
    // Past the time in which it may be given so.
    after(300 * MS).await;
    upstream.does(Does::Answer);
    assert_eq!(ask().await, Ok(answer(3)));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_hangs_or_panics_is_told_and_the_next_caller_begins_another() {
    for (failure, wait) in [(Does::Fail, 0), (Does::Panic, 0), (Does::NotReady, 0), (Does::Hang, 40)] {
        let (cache, upstream) = (cache(), Upstream::new(Does::Answer));
        let service = cache.layer(upstream.clone());
        let ask = || service.clone().oneshot(1);
        ask().await.unwrap();
        after(100 * MS).await;
        upstream.does(failure);
        let mut events = cache.handle().subscribe();
        for round in 1..4 {
            assert_eq!(ask().await, Ok(answer(1)), "{failure:?}");
            if wait > 0 {
                after((wait - 1) * MS).await;
                assert_eq!(ask().await, Ok(answer(1)));
                assert_eq!(cache.handle().snapshot().revalidations, round, "one at a time");
                after(MS).await;
            }
            after(Duration::ZERO).await;
            let snapshot = cache.handle().snapshot();
            assert_eq!((snapshot.revalidations, snapshot.revalidations_failed), (round, round), "{failure:?}");
        }
        let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
        let failed = |event: &&Received<_>| **event == Received::Event(CacheEvent::RevalidationFailed);
        assert_eq!(told.iter().filter(failed).count(), 3, "{told:?}");
        upstream.does(Does::Answer);
        let before = upstream.made();
        ask().await.unwrap();
        after(Duration::ZERO).await;
        assert_eq!(ask().await, Ok(answer(before + 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_is_the_first_to_be_shed_and_has_a_deadline_of_its_own() {
    let (cache, upstream) = (cache(), Upstream::new(Does::Answer));
    let service = cache.layer(upstream.clone());
    let now = tokio::time::Instant::now();
    let call = context::current().with_priority(Priority::Critical).with_deadline(now + 5 * MS);
    context::scope(call, service.clone().oneshot(1)).await.unwrap();
    assert_eq!(upstream.seen(), Some((Priority::Critical, Some(5 * MS))));
    after(100 * MS).await;
    let late = context::current().with_priority(Priority::Critical).with_deadline(tokio::time::Instant::now() + MS);
    context::scope(late, service.clone().oneshot(1)).await.unwrap();
    after(Duration::ZERO).await;
    assert_eq!(upstream.seen(), Some((Priority::Sheddable, Some(40 * MS))));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_goes_on_when_its_caller_and_all_services_are_gone() {
    let (cache, upstream) = (cache(), Upstream::new(Does::Answer));
    let service = cache.layer(upstream.clone());
    service.clone().oneshot(1).await.unwrap();
    after(100 * MS).await;
    upstream.does(Does::AnswerAfter(20 * MS));
    service.clone().oneshot(1).await.unwrap();
    drop(service);
    after(20 * MS).await;
    assert_eq!(cache.handle().snapshot().stored, 2);
}

#[test]
fn where_there_is_no_runtime_the_call_is_made() {
    let (cache, upstream) = (cache(), Upstream::new(Does::Answer));
    let service = cache.layer(upstream.clone());
    cache.handle().change(|settings| settings.ttl = Duration::ZERO).unwrap();
    cache.handle().change(|settings| settings.stale_while_revalidate = Duration::MAX).unwrap();
    for number in 1..3 {
        let mut call = pin!(service.clone().oneshot(1));
        let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll, std::task::Poll::Ready(Ok(answer(number))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_not_given_while_revalidating_where_that_was_not_asked_for() {
    let cache = Cache::builder(100 * MS, key).build().unwrap();
    let upstream = Upstream::new(Does::Answer);
    let service = cache.layer(upstream.clone());
    service.clone().oneshot(1).await.unwrap();
    after(100 * MS).await;
    upstream.does(Does::Fail);
    assert_eq!(service.clone().oneshot(1).await, Err(Error::Inner(Down)));
}
