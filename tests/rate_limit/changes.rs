//! Live changes, and keys.

use steadfast::rate_limit::{Mode, RateLimit};

use crate::support::{EVER, Log, MS, SECOND, per_second, retry_after, settle, sleep, start};

#[tokio::test(start_paused = true)]
async fn who_waits_goes_on_waiting_at_the_new_rate() {
    let (layer, log) = (per_second(10, 1), Log::new());
    for number in 0..6 {
        start(&layer, &log, number).await;
    }
    sleep(150 * MS).await;
    // Two have gone; half of the next wait is over, and half of the new one is left.
    layer.handle().change(|settings| settings.limit = 100).unwrap();
    sleep(100 * MS).await;
    assert_eq!(log.millis(), [0, 100, 155, 165, 175, 185]);
    assert_eq!(log.numbers(), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn also_at_a_lower_one() {
    let (layer, log) = (per_second(100, 1), Log::new());
    for number in 0..6 {
        start(&layer, &log, number).await;
    }
    sleep(15 * MS).await;
    layer.handle().change(|settings| settings.limit = 10).unwrap();
    sleep(SECOND).await;
    assert_eq!(log.millis(), [0, 10, 65, 165, 265, 365]);
}

#[tokio::test(start_paused = true)]
async fn a_higher_limit_is_not_held_up_by_a_burst_used_up_at_the_lower_one() {
    let layer = RateLimit::builder(1, 60 * SECOND).burst(60).build().unwrap();
    let handle = layer.handle();
    while handle.try_acquire().is_ok() {}
    handle.change(|settings| settings.period = SECOND).unwrap();
    assert_eq!(retry_after(handle.try_acquire()), SECOND, "and not an hour");
    sleep(10 * SECOND).await;
    assert_eq!(handle.snapshot().available, 10);
}

#[tokio::test(start_paused = true)]
async fn what_has_been_used_up_stays_used_up() {
    let layer = RateLimit::builder(10, SECOND).burst(10).build().unwrap();
    let handle = layer.handle();
    (0..4).for_each(|_| handle.try_acquire().unwrap());
    handle.change(|settings| settings.limit = 20).unwrap();
    assert_eq!(handle.snapshot().available, 6);
    handle.change(|settings| settings.burst = 3).unwrap();
    assert_eq!(handle.snapshot().available, 0);
    handle.change(|settings| settings.burst = 10).unwrap();
    assert_eq!(handle.snapshot().available, 7, "of a burst of three no more than three are used up");
}

#[tokio::test(start_paused = true)]
async fn with_another_mode_who_waits_goes_and_the_count_begins_anew() {
    let (layer, log) = (per_second(1, 1), Log::new());
    for number in 0..5 {
        start(&layer, &log, number).await;
    }
    layer.handle().change(|settings| settings.mode = Mode::Cycles).unwrap();
    settle().await;
    assert_eq!(log.numbers(), [0, 1, 2, 3, 4]);
    assert_eq!((layer.handle().snapshot().available, layer.handle().snapshot().waiting), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_makes_no_sense_changes_nothing() {
    let layer = per_second(5, 5);
    let before = layer.handle().settings();
    let error = layer.handle().change(|settings| (settings.burst, settings.limit) = (9, 0)).unwrap_err();
    assert_eq!((error.field(), layer.handle().settings()), ("limit", before));
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_count_and_memory_is_bounded() {
    let limits = RateLimit::builder(1, EVER / 1000).name("tenant");
    assert!(limits.clone().build().is_ok());
    let limits = limits.build_keyed::<u32>(100).unwrap();
    let in_use = limits.for_key(&7);
    in_use.handle().try_acquire().unwrap();
    for key in 0..10_000 {
        if key != 7 {
            limits.for_key(&key).handle().try_acquire().unwrap();
        }
    }
    assert!(limits.len() <= 101, "{}", limits.len());
    retry_after(limits.for_key(&7).handle().try_acquire());
    assert_eq!(in_use.handle().name().to_string(), "tenant/7");
}
