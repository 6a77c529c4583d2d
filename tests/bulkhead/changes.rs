//! Live changes, keys, and many threads.

use std::{ops::Range, sync::Arc, thread};

use steadfast::bulkhead::Bulkhead;
use tower::{Layer, ServiceExt};

use crate::support::{MS, SECOND, Work, has_places, is_full, start, timed};

#[tokio::test(start_paused = true)]
async fn a_changed_wait_is_that_of_who_asks_next() {
    let layer = Bulkhead::builder(1).max_waiting(5).max_wait(SECOND).build().unwrap();
    let _permit = layer.handle().try_acquire().unwrap();
    let work = Work::default();
    let before = start(&layer, &work, (1, MS)).await;
    layer.handle().change(|settings| settings.max_wait = 2 * SECOND).unwrap();
    let (outcome, took) = timed(layer.layer(work.clone()).oneshot((2, MS))).await;
    is_full(outcome);
    assert_eq!(took, 2 * SECOND);
    is_full(before.await.unwrap());
}

#[test]
fn a_change_that_makes_no_sense_changes_nothing() {
    let layer = Bulkhead::builder(3).build().unwrap();
    let error = layer.handle().change(|settings| (settings.max_waiting, settings.max_concurrent) = (7, 0)).unwrap_err();
    assert_eq!(error.field(), "max_concurrent");
    assert_eq!((layer.handle().settings().max_waiting, layer.handle().settings().max_concurrent), (0, 3));
    has_places(&layer, 3);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_all_keys_lets_in_who_waits_and_is_that_of_keys_to_come() {
    let bulkheads = Bulkhead::builder(1).max_waiting(5).build_keyed::<u32>(4).unwrap();
    let (layer, work) = (bulkheads.for_key(&1), Work::default());
    let _permit = layer.handle().try_acquire().unwrap();
    start(&layer, &work, (7, MS)).await;
    assert_eq!(work.began(), []);
    bulkheads.change(|settings| settings.max_concurrent = 2).unwrap();
    let (outcome, _) = timed(layer.layer(work.clone()).oneshot((8, MS))).await;
    assert_eq!((work.began(), outcome), (vec![7, 8], Ok(8)));
    has_places(&bulkheads.for_key(&2), 2);
    assert_eq!(bulkheads.change(|settings| settings.max_concurrent = 0).unwrap_err().field(), "max_concurrent");
    assert_eq!(bulkheads.settings().max_concurrent, 2);
}

#[test]
fn changes_at_the_same_time_leave_the_limit_that_the_settings_say() {
    for _ in 0..200 {
        let layer = Bulkhead::builder(1).build().unwrap();
        thread::scope(|scope| {
            for limit in 1..=4 {
                let handle = layer.handle();
                scope.spawn(move || handle.change(|settings| settings.max_concurrent = limit).unwrap());
            }
        });
        has_places(&layer, layer.handle().settings().max_concurrent);
    }
}

#[test]
fn each_key_has_its_own_places_and_memory_is_bounded() {
    let bulkheads = Bulkhead::builder(1).name("tenant").build_keyed::<u32>(100).unwrap();
    let others = |keys: Range<u32>| {
        for key in keys {
            let _ = bulkheads.for_key(&key).handle().try_acquire().unwrap();
        }
    };
    // The first to come would be kept longest.
    others(1000..2000);
    let in_use = bulkheads.for_key(&7);
    let permit = in_use.handle().try_acquire().unwrap();
    drop(in_use);
    others(2000..12_000);
    assert!(bulkheads.len() <= 101, "{}", bulkheads.len());
    // The permit keeps its bulkhead, so nobody gets a second place.
    is_full(bulkheads.for_key(&7).handle().try_acquire());
    drop(permit);
    assert_eq!(bulkheads.for_key(&7).handle().name().to_string(), "tenant/7");
    has_places(&bulkheads.for_key(&7), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_never_exceed_the_limit_and_lose_no_place() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let layer = Bulkhead::builder(3).max_waiting(1000).max_wait(100 * SECOND).build().unwrap();
    let running = Arc::new(AtomicU32::new(0));
    let service = layer.layer(tower::service_fn(move |yields: u32| {
        let running = Arc::clone(&running);
        async move {
            let now = running.fetch_add(1, Ordering::SeqCst) + 1;
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
            running.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(now)
        }
    }));
    let calls: Vec<_> = (0..500).map(|number| tokio::spawn(service.clone().oneshot(number % 5))).collect();
    for call in calls {
        assert!(call.await.unwrap().unwrap() <= 3);
    }
    has_places(&layer, 3);
}
