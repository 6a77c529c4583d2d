//! The mode of fixed periods: reservations, and what becomes of those that are not used.

use steadfast::rate_limit::{Mode, RateLimit, RateLimitLayer};
use tower::{Layer, ServiceExt};

use crate::support::{Log, MS, SECOND, retry_after, settle, sleep, start};

fn cycles(limit: u32, max_wait: u64) -> RateLimitLayer {
    let builder = RateLimit::builder(limit, SECOND).mode(Mode::Cycles);
    builder.max_wait(std::time::Duration::from_secs(max_wait)).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn permissions_of_later_periods_are_reserved_as_far_as_the_wait_allows() {
    let (layer, log) = (cycles(2, 2), Log::new());
    let mut tasks = Vec::new();
    for number in 0..6 {
        tasks.push(start(&layer, &log, number).await);
    }
    let refused = layer.layer(log.clone()).oneshot(6).await;
    assert_eq!(retry_after(refused), 3 * SECOND);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(log.millis(), [0, 0, 1000, 1000, 2000, 2000]);
    assert_eq!(retry_after(layer.handle().try_acquire()), SECOND);
    sleep(SECOND).await;
    layer.handle().try_acquire().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_periods_are_those_since_the_creation() {
    let (layer, log) = (cycles(1, 5), Log::new());
    sleep(900 * MS).await;
    for number in 0..3 {
        start(&layer, &log, number).await;
    }
    sleep(5 * SECOND).await;
    assert_eq!(log.millis(), [900, 1000, 2000]);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_that_is_not_used_can_be_had_again() {
    let (layer, log) = (cycles(1, 5), Log::new());
    for _ in 0..5 {
        start(&layer, &log, 0).await.abort();
        settle().await;
    }
    let last = start(&layer, &log, 1).await;
    last.await.unwrap().unwrap();
    assert_eq!(log.numbers().last(), Some(&1));
    assert_eq!(log.millis(), [0, 1000]);
}

#[tokio::test(start_paused = true)]
async fn one_given_back_after_its_time_makes_no_permission() {
    let (layer, log) = (cycles(3, 5), Log::new());
    for _ in 0..3 {
        layer.handle().try_acquire().unwrap();
    }
    let mut held = Vec::new();
    for number in 0..3 {
        let mut call = Box::pin(layer.layer(log.clone()).oneshot(number));
        assert!(futures::poll!(call.as_mut()).is_pending());
        held.push(call);
    }
    sleep(3 * SECOND + 500 * MS).await;
    for _ in 0..3 {
        layer.handle().try_acquire().unwrap();
    }
    drop(held);
    assert_eq!(retry_after(layer.handle().try_acquire()), 500 * MS, "three in this period are enough");
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_of_before_the_count_began_anew() {
    let (layer, log) = (cycles(1, 5), Log::new());
    layer.handle().try_acquire().unwrap();
    let mut call = Box::pin(layer.layer(log.clone()).oneshot(1));
    assert!(futures::poll!(call.as_mut()).is_pending());
    layer.handle().change(|settings| settings.period = SECOND / 2).unwrap();
    layer.handle().try_acquire().unwrap();
    let second = start(&layer, &log, 2).await;
    // The new period that its old time is in.
    sleep(SECOND + 100 * MS).await;
    second.await.unwrap().unwrap();
    layer.handle().try_acquire().unwrap();
    drop(call);
    assert_eq!(retry_after(layer.handle().try_acquire()), 400 * MS);
}

#[tokio::test(start_paused = true)]
async fn one_given_back_before_others_makes_no_second_one_of_theirs() {
    let (layer, log) = (cycles(1, 9), Log::new());
    layer.handle().try_acquire().unwrap();
    let first = start(&layer, &log, 1).await;
    start(&layer, &log, 2).await;
    first.abort();
    settle().await;
    start(&layer, &log, 3).await;
    sleep(9 * SECOND).await;
    assert_eq!((log.numbers(), log.millis()), (vec![2, 3], vec![2000, 3000]), "one in a period");
}

#[tokio::test(start_paused = true)]
async fn a_new_limit_is_that_of_the_next_period() {
    for (limit, left) in [(9, 4), (2, 4)] {
        let layer = cycles(5, 0);
        layer.handle().try_acquire().unwrap();
        layer.handle().change(|settings| settings.limit = limit).unwrap();
        assert_eq!(layer.handle().snapshot().available, left, "the present one keeps its permissions");
        sleep(SECOND).await;
        assert_eq!(layer.handle().snapshot().available, u64::from(limit));
    }
}

#[tokio::test(start_paused = true)]
async fn one_given_back_makes_no_permission_beyond_a_lower_limit() {
    let (layer, log) = (cycles(5, 5), Log::new());
    (0..5).for_each(|_| layer.handle().try_acquire().unwrap());
    let mut call = Box::pin(layer.layer(log.clone()).oneshot(1));
    assert!(futures::poll!(call.as_mut()).is_pending());
    sleep(SECOND + MS).await;
    layer.handle().try_acquire().unwrap();
    layer.handle().change(|settings| settings.limit = 1).unwrap();
    drop(call);
    assert_eq!(layer.handle().snapshot().available, 3, "as many as there were");
}
