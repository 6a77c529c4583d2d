//! Settings, changes while running, and answers that are thrown out.

use std::time::Duration;

use steadfast::{
    ConfigError, Error,
    cache::{Cache, CacheEvent},
    coalesce::Coalesce,
    telemetry::Received,
};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{Does, Down, MS, Upstream, after, answer, key};

#[test]
fn what_makes_no_sense_is_refused() {
    let builder = |ttl| Cache::builder(ttl, key).name("prices");
    let error = |built: Result<_, ConfigError>| {
        built.map(|_: steadfast::cache::CacheLayer<_, _, u32>| ()).unwrap_err().to_string()
    };
    let allowed = "over 0, or 0 with a time in which what is stale is given";
    assert_eq!(error(builder(Duration::ZERO).build()), format!("`prices`: ttl is 0ns; allowed: {allowed}"));
    assert_eq!(error(builder(MS).max_entries(0).build()), "`prices`: max_entries is 0; allowed: at least 1");
    assert_eq!(
        error(builder(MS).revalidate_timeout(Duration::ZERO).build()),
        "`prices`: revalidate_timeout is 0ns; allowed: over 0"
    );
    let handle = builder(MS).build::<u32>().unwrap().handle();
    let refused = handle.change(|settings| settings.stale_while_revalidate = MS).unwrap_err();
    assert_eq!(refused.field(), "stale_while_revalidate");
    assert_eq!(handle.settings().stale_while_revalidate, Duration::ZERO, "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn changed_times_hold_for_what_is_stored_already() {
    let cache = Cache::builder(100 * MS, key).build().unwrap();
    let (handle, upstream) = (cache.handle(), Upstream::new(Does::Answer));
    let mut events = handle.subscribe();
    let service = cache.layer(upstream.clone());
    let ask = || service.clone().oneshot(1);
    assert_eq!(ask().await, Ok(answer(1)));
    after(150 * MS).await;
    handle.change(|settings| settings.ttl = 200 * MS).unwrap();
    assert_eq!(ask().await, Ok(answer(1)));
    handle.change(|settings| settings.ttl = 150 * MS).unwrap();
    upstream.does(Does::Fail);
    assert_eq!(ask().await, Err(Error::Inner(Down)));
    handle.change(|settings| settings.stale_if_error = MS).unwrap();
    assert_eq!(ask().await, Ok(answer(1)));
    assert_eq!(events.try_recv(), Some(Received::Event(CacheEvent::SettingsChanged)));
}

#[tokio::test(start_paused = true)]
async fn what_is_thrown_out_is_asked_for_again_and_what_was_on_its_way_is_not_stored() {
    let cache = Cache::builder(100 * MS, key).stale_if_error(Duration::MAX).build().unwrap();
    let (handle, upstream) = (cache.handle(), Upstream::new(Does::Answer));
    let mut events = handle.subscribe();
    let service = cache.layer(upstream.clone());
    for all in [false, true] {
        let throw_out = || if all { handle.clear() } else { handle.invalidate(&1) };
        service.clone().oneshot(1).await.unwrap();
        throw_out();
        let before = upstream.made();
        upstream.does(Does::AnswerAfter(10 * MS));
        let on_its_way = tokio::spawn(service.clone().oneshot(1));
        after(5 * MS).await;
        throw_out();
        assert_eq!(on_its_way.await.unwrap(), Ok(answer(before + 1)), "its caller gets it");
        upstream.does(Does::Fail);
        assert_eq!(service.clone().oneshot(1).await, Err(Error::Inner(Down)), "it is not stored");
        upstream.does(Does::Answer);
    }
    assert_eq!(events.try_recv(), Some(Received::Event(CacheEvent::Cleared)));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_was_on_its_way_when_its_key_was_thrown_out_is_not_stored() {
    let cache = Cache::builder(100 * MS, key).stale_while_revalidate(Duration::MAX).build().unwrap();
    let upstream = Upstream::new(Does::Answer);
    let service = cache.layer(upstream.clone());
    service.clone().oneshot(1).await.unwrap();
    after(100 * MS).await;
    upstream.does(Does::AnswerAfter(10 * MS));
    service.clone().oneshot(1).await.unwrap();
    after(5 * MS).await;
    cache.handle().invalidate(&1);
    after(5 * MS).await;
    assert_eq!((cache.handle().snapshot().entries, cache.handle().snapshot().stored), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn no_more_is_stored_than_there_is_room_for() {
    let cache = Cache::builder(Duration::MAX, |request: &u32| Some(*request)).max_entries(10).build().unwrap();
    let service = cache.layer(Upstream::new(Does::Answer));
    for request in 0..1000 {
        service.clone().oneshot(request).await.unwrap();
    }
    assert!((1..=10).contains(&cache.handle().snapshot().entries), "{:?}", cache.handle().snapshot());
}

#[tokio::test(start_paused = true)]
async fn with_a_coalescer_below_many_that_miss_make_one_call() {
    let (cache, upstream) = (Cache::builder(100 * MS, key).build().unwrap(), Upstream::new(Does::AnswerAfter(10 * MS)));
    let service = ServiceBuilder::new().layer(cache).layer(Coalesce::builder(key).build()).service(upstream.clone());
    let callers = futures::future::join_all((0..100).map(|_| service.clone().oneshot(1))).await;
    assert!(callers.into_iter().all(|outcome| outcome == Ok(answer(1))));
    assert_eq!((service.oneshot(1).await, upstream.made()), (Ok(answer(1)), 1));
}
