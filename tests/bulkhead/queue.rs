//! Who waits, in which order, and who is refused at once.

use std::time::Duration;

use steadfast::bulkhead::{Bulkhead, BulkheadLayer, Order};
use tower::{Layer, ServiceExt};

use crate::support::{EVER, MS, SECOND, Work, counts, has_places, is_full, settle, sleep, start, timed, with_deadline};

fn queue(order: Order) -> BulkheadLayer {
    Bulkhead::builder(1).max_waiting(4).max_wait(EVER).order(order).build().unwrap()
}

async fn served(order: Order) -> Vec<u32> {
    let (layer, work) = (queue(order), Work::default());
    let mut tasks = Vec::new();
    for number in 0..5 {
        tasks.push(start(&layer, &work, (number, SECOND)).await);
    }
    for (number, task) in (0..).zip(tasks) {
        assert_eq!(task.await.unwrap(), Ok(number));
    }
    has_places(&layer, 1);
    work.began()
}

#[tokio::test(start_paused = true)]
async fn who_came_first_is_first_or_who_came_last() {
    assert_eq!(served(Order::Fifo).await, [0, 1, 2, 3, 4]);
    assert_eq!(served(Order::Lifo).await, [0, 4, 3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_order_and_the_length_can_change_while_some_wait() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    for number in 0..5 {
        start(&layer, &work, (number, SECOND)).await;
    }
    layer.handle().change(|settings| (settings.order, settings.max_waiting) = (Order::Lifo, 1)).unwrap();
    assert_eq!(counts(&layer.handle()), (1, 4), "nobody is put out");
    is_full(layer.layer(work.clone()).oneshot((9, MS)).await);
    sleep(10 * SECOND).await;
    assert_eq!(work.began(), [0, 4, 3, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_max_waiting_wait() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    for number in 0..5 {
        start(&layer, &work, (number, SECOND)).await;
    }
    let (outcome, took) = timed(layer.layer(work.clone()).oneshot((5, MS))).await;
    is_full(outcome);
    assert_eq!((took, layer.handle().snapshot().refused_full), (Duration::ZERO, 1));
    sleep(SECOND + MS).await;
    // One has moved up, so there is room for one more.
    start(&layer, &work, (6, SECOND)).await;
    assert_eq!(counts(&layer.handle()), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_who_waits() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    let permit = layer.handle().try_acquire().unwrap();
    start(&layer, &work, (1, SECOND)).await;
    drop(permit);
    is_full(layer.handle().try_acquire());
    settle().await;
    assert_eq!(work.began(), [1]);
}

/// Five calls of a second each, of which one has ended: one runs, three wait, and the pace is known.
async fn busy(layer: &BulkheadLayer, work: &Work) {
    for number in 0..5 {
        start(layer, work, (number, SECOND)).await;
    }
    sleep(SECOND + MS).await;
    assert_eq!(counts(&layer.handle()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn what_would_not_be_served_before_its_deadline_is_refused_at_once() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    busy(&layer, &work).await;
    // It would be served in four seconds.
    let (outcome, took) = timed(with_deadline(3 * SECOND, layer.layer(work.clone()).oneshot((9, MS)))).await;
    is_full(outcome);
    assert_eq!((took, layer.handle().snapshot().refused_hopeless), (Duration::ZERO, 1));
    assert_eq!(counts(&layer.handle()), (1, 3), "it has left the queue");
    let served = with_deadline(5 * SECOND, layer.layer(work.clone()).oneshot((9, MS))).await;
    assert_eq!(served, Ok(9));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hopeless_while_no_place_has_been_given_on() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    for number in 0..4 {
        start(&layer, &work, (number, 100 * SECOND)).await;
    }
    sleep(50 * SECOND).await;
    let (outcome, took) = timed(with_deadline(SECOND, layer.layer(work.clone()).oneshot((9, MS)))).await;
    is_full(outcome);
    assert_eq!((took, layer.handle().snapshot().refused_hopeless), (SECOND, 0));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hopeless_where_the_last_is_the_first() {
    let (layer, work) = (queue(Order::Lifo), Work::default());
    busy(&layer, &work).await;
    let (served, took) = timed(with_deadline(2 * SECOND, layer.layer(work.clone()).oneshot((9, MS)))).await;
    assert_eq!((served, took), (Ok(9), SECOND));
}

#[tokio::test(start_paused = true)]
async fn what_was_slow_once_is_forgotten_when_nobody_waits() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    for number in 0..5 {
        start(&layer, &work, (number, 100 * SECOND)).await;
    }
    sleep(1000 * SECOND).await;
    has_places(&layer, 1);
    // Three at a time, with deadlines that are too short for what it was: one runs, two wait.
    let calls = (0..3).map(|number| with_deadline(SECOND, layer.layer(work.clone()).oneshot((number, MS))));
    let outcomes = futures::future::join_all(calls).await;
    assert_eq!(outcomes, [Ok(0), Ok(1), Ok(2)]);
}

#[tokio::test(start_paused = true)]
async fn so_it_is_when_all_that_waited_have_left() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    let mut tasks = Vec::new();
    for number in 0..4 {
        tasks.push(start(&layer, &work, (number, 100 * SECOND)).await);
    }
    sleep(101 * SECOND).await;
    for waits in tasks.drain(2..) {
        waits.abort();
    }
    settle().await;
    assert_eq!(counts(&layer.handle()), (1, 0));
    // It would be as slow for these, but nobody knows that.
    let calls = (0..3).map(|number| with_deadline(SECOND, layer.layer(work.clone()).oneshot((number, MS))));
    for outcome in futures::future::join_all(calls).await {
        is_full(outcome);
    }
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.refused_waited, snapshot.refused_hopeless), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_slow_once_is_forgotten_while_others_wait_too() {
    let layer = Bulkhead::builder(1).max_waiting(100).max_wait(EVER).build().unwrap();
    let work = Work::default();
    start(&layer, &work, (0, 100 * SECOND)).await;
    for number in 1..60 {
        start(&layer, &work, (number, MS)).await;
    }
    sleep(100 * SECOND + 50 * MS).await;
    let waiting = counts(&layer.handle()).1;
    assert!((5..15).contains(&waiting), "{waiting} wait");
    let served = with_deadline(10 * SECOND, layer.layer(work.clone()).oneshot((99, MS))).await;
    assert_eq!(served, Ok(99));
}

#[tokio::test(start_paused = true)]
async fn the_pace_of_other_settings_says_nothing() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    busy(&layer, &work).await;
    layer.handle().change(|settings| settings.max_wait = EVER - SECOND).unwrap();
    let (outcome, took) = timed(with_deadline(SECOND / 2, layer.layer(work.clone()).oneshot((9, MS)))).await;
    is_full(outcome);
    assert_eq!((took, layer.handle().snapshot().refused_hopeless), (SECOND / 2, 0));
    // The next gap is from the change on.
    sleep(SECOND).await;
    let (outcome, took) = timed(with_deadline(SECOND, layer.layer(work.clone()).oneshot((9, MS)))).await;
    is_full(outcome);
    assert_eq!((took, layer.handle().snapshot().refused_hopeless), (Duration::ZERO, 1));
    let served = with_deadline(4 * SECOND, layer.layer(work).oneshot((9, MS))).await;
    assert_eq!(served, Ok(9));
}

#[tokio::test(start_paused = true)]
async fn how_late_one_looks_at_its_place_is_not_the_pace() {
    let layer = Bulkhead::builder(2).max_waiting(20).max_wait(EVER).build().unwrap();
    let work = Work::default();
    let permits = [(); 2].map(|()| layer.handle().try_acquire().unwrap());
    let mut slow = Box::pin(layer.layer(work.clone()).oneshot((0, EVER)));
    assert!(futures::poll!(slow.as_mut()).is_pending());
    for number in 1..15 {
        start(&layer, &work, (number, SECOND)).await;
    }
    drop(permits);
    sleep(10 * SECOND + MS).await;
    assert_eq!(counts(&layer.handle()), (2, 3), "it has a place and does not look; by the other, one goes each second");
    assert!(futures::poll!(slow.as_mut()).is_pending());
    let served = with_deadline(5 * SECOND, layer.layer(work).oneshot((99, MS))).await;
    assert_eq!(served, Ok(99));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_over_is_refused_even_as_the_first_in_line() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    let _permit = layer.handle().try_acquire().unwrap();
    let (outcome, took) = timed(with_deadline(Duration::ZERO, layer.layer(work.clone()).oneshot((1, MS)))).await;
    is_full(outcome);
    assert_eq!((took, counts(&layer.handle())), (Duration::ZERO, (1, 0)));
}
