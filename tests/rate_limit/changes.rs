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
async fn the_mode_stays_and_nobody_who_waits_is_let_through_for_nothing() {
    let (layer, log) = (per_second(1, 1), Log::new());
    for number in 0..5 {
        start(&layer, &log, number).await;
    }
    let before = layer.handle().settings();
    let error = layer.handle().change(|settings| (settings.mode, settings.limit) = (Mode::Cycles, 9)).unwrap_err();
    assert_eq!(error.to_string(), "`rate_limit`: mode is Cycles; allowed: the mode that it was made with");
    settle().await;
    assert_eq!((layer.handle().settings(), log.numbers()), (before, vec![0]));
    assert_eq!(layer.handle().snapshot().waiting, 4);
}

#[tokio::test(start_paused = true)]
async fn who_would_wait_too_long_at_a_lower_rate_is_refused_in_time() {
    let (layer, log) = (per_second(100, 1), Log::new());
    layer.handle().change(|settings| settings.max_wait = 50 * MS).unwrap();
    let mut tasks = Vec::new();
    for number in 0..5 {
        tasks.push(start(&layer, &log, number).await);
    }
    sleep(11 * MS).await;
    layer.handle().change(|settings| settings.limit = 10).unwrap();
    settle().await;
    assert_eq!(log.numbers(), [0, 1]);
    let mut waits = Vec::new();
    for task in tasks.drain(2..) {
        assert!(task.is_finished(), "it is told at once");
        waits.push(retry_after(task.await.unwrap()));
    }
    // The turn of the first would come after 90 ms. Each is told when there is one behind those that still wait.
    assert_eq!(waits, [290 * MS, 190 * MS, 90 * MS]);
    assert_eq!((layer.handle().snapshot().waiting, layer.handle().snapshot().refused), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_makes_no_sense_changes_nothing() {
    let layer = per_second(5, 5);
    let before = layer.handle().settings();
    let error = layer.handle().change(|settings| (settings.burst, settings.limit) = (9, 0)).unwrap_err();
    assert_eq!((error.field(), layer.handle().settings()), ("limit", before));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_all_keys_reaches_those_there_and_those_to_come() {
    let limits = RateLimit::builder(1, SECOND).name("tenant").build_keyed::<u32>(100).unwrap();
    let (present, special) = (limits.for_key(&1).handle(), limits.for_key(&2).handle());
    present.try_acquire().unwrap();
    special.change(|settings| settings.burst = 1_000_000_000).unwrap();
    limits.change(|settings| settings.limit = 10).unwrap();
    assert_eq!((limits.settings().limit, limits.settings().burst), (10, 1));
    assert_eq!(retry_after(present.try_acquire()), 100 * MS, "what it has used stays used");
    assert_eq!((special.settings().limit, special.settings().burst), (10, 1_000_000_000), "and its own is kept");
    assert_eq!(limits.for_key(&3).handle().settings().limit, 10);
    assert_eq!(limits.change(|settings| settings.limit = 0).unwrap_err().component().as_str(), "tenant");
    assert_eq!([1, 2, 3, 4].map(|key| limits.for_key(&key).handle().settings().limit), [10; 4]);
    // It makes sense for all but one.
    let error = limits.change(|settings| settings.burst *= 2).unwrap_err();
    assert_eq!((error.component().as_str(), error.field()), ("tenant/2", "burst"));
    assert_eq!([1, 3, 5].map(|key| limits.for_key(&key).handle().settings().burst), [2; 3]);
    assert_eq!(special.settings().burst, 1_000_000_000);
}

#[tokio::test(start_paused = true)]
async fn each_key_has_its_own_count_and_memory_is_bounded() {
    let limits = RateLimit::builder(1, EVER / 1000).name("tenant");
    assert!(limits.clone().build().is_ok());
    let limits = limits.build_keyed::<u32>(100).unwrap();
    // Not among the first, which the cache keeps longest.
    for key in 0..5_000 {
        limits.for_key(&key).handle().try_acquire().unwrap();
    }
    let in_use = limits.for_key(&5_000);
    in_use.handle().try_acquire().unwrap();
    for key in 5_001..10_000 {
        limits.for_key(&key).handle().try_acquire().unwrap();
    }
    assert!(limits.len() <= 101, "{}", limits.len());
    retry_after(limits.for_key(&5_000).handle().try_acquire());
    assert_eq!(in_use.handle().name().to_string(), "tenant/5000");
}
