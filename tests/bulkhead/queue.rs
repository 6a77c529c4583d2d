//! Who waits, in which order, and who is refused at once.

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
    assert_eq!((took, layer.handle().snapshot().refused_full), (std::time::Duration::ZERO, 1));
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

/// Learns that each call takes `takes`.
async fn learn(layer: &BulkheadLayer, work: &Work, takes: std::time::Duration) {
    for _ in 0..4 {
        let mut tasks = Vec::new();
        for _ in 0..5 {
            tasks.push(start(layer, work, (0, takes)).await);
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_would_not_be_served_before_its_deadline_is_refused_at_once() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    learn(&layer, &work, SECOND).await;
    for number in 0..3 {
        start(&layer, &work, (number, SECOND)).await;
    }
    // Two wait; a third would be served in three seconds.
    let (outcome, took) = timed(with_deadline(2 * SECOND, layer.layer(work.clone()).oneshot((9, MS)))).await;
    is_full(outcome);
    assert_eq!((took, layer.handle().snapshot().refused_hopeless), (std::time::Duration::ZERO, 1));
    assert_eq!(counts(&layer.handle()), (1, 2), "it has left the queue");
    let served = with_deadline(4 * SECOND, layer.layer(work.clone()).oneshot((9, MS))).await;
    assert_eq!(served, Ok(9));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hopeless_where_the_last_is_the_first() {
    let (layer, work) = (queue(Order::Lifo), Work::default());
    learn(&layer, &work, SECOND).await;
    for number in 0..3 {
        start(&layer, &work, (number, SECOND)).await;
    }
    let (served, took) = timed(with_deadline(2 * SECOND, layer.layer(work.clone()).oneshot((9, MS)))).await;
    assert_eq!((served, took), (Ok(9), SECOND + MS));
}

#[tokio::test(start_paused = true)]
async fn what_was_slow_once_does_not_refuse_for_ever() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    learn(&layer, &work, 100 * SECOND).await;
    // It is fast again, but three at a time come with a deadline that is too short for what it was.
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 100, "refused for ever");
        let calls = (0..3).map(|number| with_deadline(SECOND, layer.layer(work.clone()).oneshot((number, MS))));
        let outcomes = futures::future::join_all(calls).await;
        if outcomes.iter().all(Result::is_ok) {
            break;
        }
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 2, "one runs and one waits");
    }
    assert!(rounds < 60, "{rounds} rounds until it was forgotten");
    has_places(&layer, 1);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_over_is_refused_even_as_the_first_in_line() {
    let (layer, work) = (queue(Order::Fifo), Work::default());
    let _permit = layer.handle().try_acquire().unwrap();
    let (outcome, took) =
        timed(with_deadline(std::time::Duration::ZERO, layer.layer(work.clone()).oneshot((1, MS)))).await;
    is_full(outcome);
    assert_eq!((took, counts(&layer.handle())), (std::time::Duration::ZERO, (1, 0)));
}
