//! Refusals say exactly when there is a turn.

use steadfast::rate_limit::RateLimit;
use tower::{Layer, ServiceExt};

use crate::support::{Log, MS, NS, SECOND, advance, per_second, retry_after, sleep, start, with_deadline};

#[tokio::test(start_paused = true)]
async fn after_exactly_the_time_named_a_call_is_let_through_and_not_a_nanosecond_earlier() {
    for (limit, burst) in [(1, 1), (3, 1), (7, 5), (300, 30), (999, 1), (5000, 500), (1_000_000, 1), (3, 50)] {
        for max_wait in [std::time::Duration::ZERO, NS] {
            let layer = RateLimit::builder(limit, SECOND).burst(burst).max_wait(max_wait).build().unwrap();
            let log = Log::new();
            let mut refused = 0;
            for _ in 0..(burst + 20) {
                let call = || layer.layer(log.clone()).oneshot(0);
                let Err(rejected) = call().await else { continue };
                refused += 1;
                let wait = retry_after::<()>(Err(rejected));
                assert!(wait > std::time::Duration::ZERO && wait <= SECOND, "{wait:?} at {limit}/s");
                // Who may wait for a nanosecond may come a nanosecond earlier.
                let too_early = NS + max_wait;
                advance(wait - too_early).await;
                assert_eq!(retry_after(call().await), too_early, "{limit}/s, burst {burst}");
                advance(too_early).await;
                call().await.unwrap();
            }
            assert!(refused >= 10, "{refused} refused at {limit}/s");
            log.is_within((limit + burst) as usize, SECOND);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn also_behind_those_that_wait() {
    let layer = per_second(10, 1);
    let log = Log::new();
    for number in 0..4 {
        start(&layer, &log, number).await;
    }
    // One went, three wait: those go in 100, 200 and 300 ms.
    let wait = retry_after(layer.handle().try_acquire());
    assert_eq!(wait, 400 * MS);
    sleep(wait).await;
    assert_eq!(log.millis(), [0, 100, 200, 300]);
    layer.handle().try_acquire().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_would_wait_too_long_is_refused_at_once() {
    let layer = RateLimit::builder(10, SECOND).max_wait(250 * MS).max_waiting(2).build().unwrap();
    let log = Log::new();
    let call = || layer.layer(log.clone()).oneshot(9);
    call().await.unwrap();
    // Its deadline is before its turn.
    let wait = retry_after(with_deadline(50 * MS, call()).await);
    assert_eq!((wait, log.now()), (100 * MS, std::time::Duration::ZERO));
    start(&layer, &log, 1).await;
    start(&layer, &log, 2).await;
    // The third would be beyond `max_wait`, and there is no room for it either.
    assert_eq!(retry_after(call().await), 300 * MS);
    layer.handle().change(|settings| settings.max_wait = SECOND).unwrap();
    assert_eq!(retry_after(call().await), 300 * MS);
    layer.handle().change(|settings| settings.max_waiting = 3).unwrap();
    call().await.unwrap();
    assert_eq!(log.millis(), [0, 100, 200, 300]);
    assert_eq!(layer.handle().snapshot().refused, 3);
}

#[tokio::test(start_paused = true)]
async fn a_burst_comes_at_once_and_again_after_a_pause() {
    let layer = RateLimit::builder(100, SECOND).build().unwrap();
    let handle = layer.handle();
    for _ in 0..3 {
        assert_eq!(handle.snapshot().available, 10);
        for left in (0..10).rev() {
            handle.try_acquire().unwrap();
            assert_eq!(handle.snapshot().available, left);
        }
        assert_eq!(retry_after(handle.try_acquire()), 10 * MS);
        sleep(SECOND).await;
    }
}
