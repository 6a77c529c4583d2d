//! Faults 8, 9, 10 and 23, as hedges can have them.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Wake, Waker},
};

use futures::{StreamExt, stream::FuturesUnordered};
use steadfast::{BoxError, hedge::Hedge};
use tower::{Layer, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit};

use crate::support::{End::*, MS, Scripted, retry, timed, won};

// 23
#[tokio::test(start_paused = true)]
async fn a_first_attempt_that_fails_has_its_backup_at_once_and_not_after_the_delay() {
    let service = Scripted::new(&[(5, Fails), (20, Ok)]);
    let layer = retry().hedge(Hedge::after(80 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(2), 25));
    assert_eq!(service.came(), [0, 5]);
    let handle = layer.handle();
    assert_eq!((handle.retries(), handle.budget().unwrap().tokens()), (1, 49.0), "a retry, out of the retry's budget");
    assert_eq!(handle.hedge().unwrap().snapshot().tokens, 3.0);

    // Later failures wait as usual.
    let service = Scripted::new(&[(5, Fails), (5, Fails), (20, Ok)]);
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(3), 130));
}

// 23
#[tokio::test(start_paused = true)]
async fn a_hedge_that_is_due_is_not_put_off_by_a_failure_meanwhile() {
    // Due at 50 ms, the service is ready for it at 200 ms; the first attempt fails in between.
    let service = Scripted::new(&[(100, Fails), (20, Ok)]).unready(200 * MS);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(2), 220));
    assert_eq!(service.came(), [0, 200]);
}

// 23
#[tokio::test(start_paused = true)]
async fn the_first_failure_does_not_win() {
    // Whichever of the two fails, and whichever does first.
    for (script, winner, took) in [
        ([(60, Fails), (100, Ok)], 2, 150),
        ([(200, Ok), (10, Fails)], 1, 200),
        ([(200, Ok), (10, Overloaded)], 1, 200),
        ([(200, Ok), (10, Refused)], 1, 200),
    ] {
        let service = Scripted::new(&script);
        let layer = retry().max_attempts(2).hedge(Hedge::after(50 * MS)).build().unwrap();
        assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(winner), took), "{script:?}");
    }
}

// 8
#[tokio::test(start_paused = true)]
async fn a_backup_goes_by_an_instance_that_was_driven_to_ready() {
    let script = [(900, Ok), (20, Ok)];
    let hedged = || retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    // The service itself panics otherwise; so do these two.
    let limited = ConcurrencyLimit::new(Scripted::new(&script), 2);
    assert_eq!(timed(hedged().layer(limited).oneshot(())).await, (won(2), 70));
    let boxed = ServiceExt::<()>::map_err(Scripted::new(&script), |error| BoxError::from(format!("{error:?}")));
    let buffered = Buffer::new(boxed, 1);
    let layer = steadfast::retry::Retry::builder().hedge(Hedge::after(50 * MS)).build().unwrap();
    let (outcome, took) = timed(layer.layer(buffered).oneshot(())).await;
    assert_eq!((outcome.unwrap(), took), ((Ok, 2), 70));
}

// 8
#[tokio::test(start_paused = true)]
async fn a_backup_that_finds_no_place_below_waits_for_it_without_being_in_the_way() {
    let service = Scripted::new(&[(200, Ok), (20, Ok)]);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    let limited = ConcurrencyLimit::new(service.clone(), 1);
    assert_eq!(timed(layer.layer(limited.clone()).oneshot(())).await, (won(1), 200));
    // Its place in the queue went with it.
    service.becomes(&[(20, Ok)]);
    assert_eq!(timed(layer.layer(limited).oneshot(())).await, (won(1), 20));
}

// 9
#[tokio::test(start_paused = true)]
async fn a_call_that_moves_to_another_task_is_woken_there() {
    let layer = retry().hedge(Hedge::after(50 * MS).budget(1.0, 100)).build().unwrap();
    for poll_first_for in [0, 10, 49, 51, 60] {
        let service = Scripted::new(&[(900, Ok), (20, Ok)]);
        let mut call = Box::pin(layer.layer(service).oneshot(()));
        let start = tokio::time::Instant::now() + poll_first_for * MS;
        let here = tokio::time::timeout_at(start, &mut call).await;
        assert!(here.is_err());
        let (there, took) = timed(tokio::spawn(call)).await;
        assert_eq!((there.unwrap(), took), (won(2), 70 - u128::from(poll_first_for)));
    }
}

// 9
#[tokio::test(start_paused = true)]
async fn of_many_calls_none_is_forgotten() {
    let layer = retry().hedge(Hedge::after(50 * MS).budget(1.0, 100)).build().unwrap();
    let calls: FuturesUnordered<_> = (0..100)
        .map(|call| {
            let service = Scripted::new(&[(200 + call, Ok), (call, Ok)]);
            layer.layer(service).oneshot(())
        })
        .collect();
    let (answers, took) = timed(calls.collect::<Vec<_>>()).await;
    assert_eq!((answers.len(), took), (100, 149));
    assert!(answers.iter().all(Result::is_ok));
}

// 10
#[tokio::test(start_paused = true)]
async fn nothing_is_polled_while_there_is_nothing_to_do() {
    let service = Scripted::new(&[(3_600_000, Ok), (1_800_000, Ok)]);
    let hedge = Hedge::after(50 * MS).soft_timeout(250 * MS);
    let layer = retry().hedge(hedge).build().unwrap();
    layer.layer(service.clone()).oneshot(()).await.unwrap();
    assert_eq!(service.came().len(), 3);
    assert!(service.polls() <= 20, "{} polls of three attempts", service.polls());
}

// 10
#[tokio::test(start_paused = true)]
async fn a_call_that_waits_does_not_wake_itself() {
    #[derive(Default)]
    struct Wakes(AtomicU32);
    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let layer = retry().hedge(Hedge::after(50 * MS).soft_timeout(250 * MS)).build().unwrap();
    let mut call = pin!(layer.layer(Scripted::new(&[(3_600_000, Ok), (1_800_000, Ok)])).oneshot(()));
    for expected in [0, 1] {
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), expected);
        // For its backup, once.
        tokio::time::advance(60 * MS).await;
    }
}
