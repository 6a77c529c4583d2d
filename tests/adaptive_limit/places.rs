//! Places and those that wait for them, as far as this layer decides it; the rest is the bulkhead's (`tests/bulkhead/`).

use std::time::Duration;

use steadfast::{
    adaptive_limit::AdaptiveLimit,
    bulkhead::{Hold, Order, Permit},
};
use tower::{Layer, ServiceExt};

use crate::support::{End, MS, Work, builder, is_idle, limit, pass, settle, start, within};

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_in_progress_than_the_limit_says_and_who_came_last_is_next() {
    let layer = builder().initial(2).max(2).build().unwrap();
    let work = Work::default();
    let (first, second) = (start(&layer, &work, (10 * MS, End::Answer)), start(&layer, &work, (10 * MS, End::Answer)));
    settle().await;
    let third = start(&layer, &work, (10 * MS, End::Answer));
    settle().await;
    let fourth = start(&layer, &work, (10 * MS, End::Failure));
    settle().await;
    let fifth = start(&layer, &work, (10 * MS, End::Answer));
    settle().await;
    let snapshot = layer.handle().snapshot();
    assert_eq!((work.began(), snapshot.limit, snapshot.running, snapshot.waiting), (2, 2, 2, 3));
    pass(10 * MS).await;
    assert!(first.is_finished() && second.is_finished());
    pass(10 * MS).await;
    assert!(fifth.is_finished() && fourth.is_finished() && !third.is_finished());
    third.await.unwrap().unwrap();
    assert!(is_idle(&layer.handle()));
}

#[tokio::test(start_paused = true)]
async fn who_came_first_is_next_if_that_is_asked_for() {
    let layer = builder().initial(1).max(1).order(Order::Fifo).build().unwrap();
    let work = Work::default();
    let calls: Vec<_> = {
        let mut calls = Vec::new();
        for _ in 0..3 {
            calls.push(start(&layer, &work, (10 * MS, End::Answer)));
            settle().await;
        }
        calls
    };
    for done in 1..=3 {
        pass(10 * MS).await;
        assert_eq!(calls.iter().map(|call| call.is_finished()).filter(|done| *done).count(), done);
        assert!(calls[done - 1].is_finished());
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_its_share_of_the_deadline_and_not_past_its_own() {
    let layer = builder().initial(1).max(1).max_wait(0.3).build().unwrap();
    let work = Work::default();
    let hangs = start(&layer, &work, (Duration::from_secs(9), End::Answer));
    settle().await;
    let waits = start(&layer, &work, (MS, End::Answer));
    let in_a_hurry = tokio::spawn(within(100 * MS, layer.layer(work.clone()).oneshot((MS, End::Answer))));
    settle().await;
    pass(99 * MS).await;
    assert!(!in_a_hurry.is_finished());
    pass(2 * MS).await;
    assert!(in_a_hurry.is_finished() && !waits.is_finished());
    pass(198 * MS).await;
    assert!(!waits.is_finished());
    pass(2 * MS).await;
    assert!(waits.is_finished());
    assert!(waits.await.unwrap().unwrap_err().rejected().is_some());
    assert_eq!((layer.handle().snapshot().refused_waited, work.began()), (2, 1));
    hangs.abort();
    settle().await;
    assert!(is_idle(&layer.handle()));
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_lets_in_at_once_who_waits_and_a_lower_one_puts_nobody_out() {
    let layer = builder().initial(1).build().unwrap();
    let work = Work::default();
    let calls: Vec<_> = (0..5).map(|_| start(&layer, &work, (10 * MS, End::Answer))).collect();
    settle().await;
    assert_eq!(work.began(), 1);
    layer.handle().change(|settings| settings.min = 4).unwrap();
    settle().await;
    assert_eq!((work.began(), layer.handle().limit()), (4, 4));
    layer.handle().change(|settings| (settings.min, settings.max) = (1, 1)).unwrap();
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.limit, snapshot.running, snapshot.waiting), (1, 4, 1));
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_is_held_as_long_as_the_response_carries_it() {
    #[derive(Clone)]
    struct Carried;
    impl Hold<()> for Carried {
        type Response = Permit;
        fn hold(&self, (): (), permit: Permit) -> Permit {
            permit
        }
    }
    let layer = AdaptiveLimit::builder(Duration::from_secs(1)).hold(Carried).build().unwrap();
    let carried = layer.layer(Work::default()).oneshot((MS, End::Answer)).await.unwrap();
    assert_eq!(layer.handle().snapshot().running, 1);
    drop(carried);
    assert_eq!(layer.handle().snapshot().running, 0);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_limit_and_all_change_together() {
    let limits = builder().max_waiting(0).build_keyed::<&str>(10).unwrap();
    let (one, other) = (limits.for_key(&"one"), limits.for_key(&"other"));
    one.handle().change(|settings| settings.max = 3).unwrap();
    assert_eq!((one.handle().limit(), other.handle().limit()), (3, 50));
    assert_eq!(one.handle().name().as_str(), "inventory/one");
    assert_eq!((limits.for_key(&"one").handle().limit(), limits.len()), (3, 2));
    limits.change(|settings| settings.min = 60).unwrap_err(); // over the `max` of one of them
    assert_eq!((one.handle().limit(), other.handle().limit(), limits.settings().min), (3, 60, 60));
    assert_eq!(limits.for_key(&"third").handle().limit(), 60);
    assert!(!limits.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_whose_service_is_in_use_is_not_forgotten() {
    let limits = builder().build_keyed::<u32>(2).unwrap();
    limits.for_key(&1).handle().change(|settings| settings.max = 7).unwrap();
    let service = limits.for_key(&1).layer(Work::default());
    let other = limits.for_key(&2).layer(Work::default());
    let call = tokio::spawn(other.oneshot((MS, End::Answer)));
    settle().await;
    for key in (3..100).flat_map(|key| [key, key]) {
        let _ = limits.for_key(&key);
    }
    assert_eq!((limits.for_key(&1).handle().limit(), limits.for_key(&2).handle().snapshot().running), (7, 1));
    call.await.unwrap().unwrap();
    drop(service);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_behind_by_calls_that_are_dropped_anywhere() {
    let layer = limit();
    layer.handle().change(|settings| settings.max = 3).unwrap();
    let work = Work::default();
    for round in 0..200_u32 {
        let calls: Vec<_> = (0..10).map(|_| start(&layer, &work, (MS * (round % 7), End::Answer))).collect();
        for _ in 0..round % 5 {
            tokio::task::yield_now().await;
        }
        pass(MS * (round % 3)).await;
        for (number, call) in calls.iter().enumerate() {
            if !(number as u32 + round).is_multiple_of(3) {
                call.abort();
            }
        }
        for _ in 0..10 {
            pass(7 * MS).await;
        }
        assert!(is_idle(&layer.handle()), "round {round}: {:?}", layer.handle().snapshot());
    }
}
