//! Those that wait: their order, and what becomes of the turn of one that leaves.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use futures::FutureExt;
use steadfast::rate_limit::{RateLimit, RateLimitHandle};
use tower::{Layer, ServiceExt};

use crate::support::{Log, MS, SECOND, advance, per_second, retry_after, settle, sleep, start, with_deadline};

#[tokio::test(start_paused = true)]
async fn who_came_first_is_first() {
    let (layer, log) = (per_second(100, 3), Log::new());
    for number in 0..50 {
        start(&layer, &log, number).await;
    }
    sleep(SECOND).await;
    assert_eq!(log.numbers(), (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_who_waits() {
    let (layer, log) = (per_second(10, 1), Log::new());
    start(&layer, &log, 0).await;
    start(&layer, &log, 1).await;
    // The turn is there, but it is that of the one that waits, which has not been woken yet.
    advance(100 * MS).await;
    retry_after(layer.handle().try_acquire());
    settle().await;
    assert_eq!(log.numbers(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_left_passes_on_wherever_it_was() {
    for left in 1..6 {
        let (layer, log) = (per_second(10, 1), Log::new());
        let mut tasks = Vec::new();
        for number in 0..6 {
            tasks.push(start(&layer, &log, number).await);
        }
        sleep(50 * MS).await;
        tasks[left as usize].abort();
        settle().await;
        assert_eq!(layer.handle().snapshot().waiting, 4);
        sleep(SECOND).await;
        assert_eq!(log.numbers(), (0..6).filter(|number| *number != left).collect::<Vec<_>>());
        assert_eq!(log.millis(), [0, 100, 200, 300, 400], "{left} left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_dropped_at_any_await_point_costs_nobody_a_turn() {
    for polls in 0..4 {
        let (layer, log) = (per_second(10, 1), Log::new());
        layer.handle().try_acquire().unwrap();
        let mut call = Box::pin(layer.layer(log.clone()).oneshot(1));
        if polls > 0 {
            assert!(futures::poll!(call.as_mut()).is_pending());
        }
        start(&layer, &log, 2).await;
        start(&layer, &log, 3).await;
        if polls > 1 {
            sleep(99 * MS).await;
            assert!(futures::poll!(call.as_mut()).is_pending(), "too early");
        }
        if polls > 2 {
            // Its turn has come, and been given to it because somebody asked.
            sleep(MS).await;
            retry_after(layer.handle().try_acquire());
            assert_eq!(layer.handle().snapshot().waiting, 2);
        }
        drop(call);
        sleep(SECOND).await;
        assert_eq!(log.numbers(), [2, 3]);
        assert_eq!(log.millis(), [100, 200], "after {polls} polls");
        assert_eq!(layer.handle().snapshot().waiting, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_in_line_that_does_not_ask_holds_up_nobody_who_comes() {
    let (layer, log) = (per_second(10, 1), Log::new());
    layer.handle().try_acquire().unwrap();
    let mut slow = Box::pin(layer.layer(log.clone()).oneshot(1));
    assert!(futures::poll!(slow.as_mut()).is_pending());
    start(&layer, &log, 2).await;
    sleep(150 * MS).await;
    assert_eq!(log.numbers(), [], "the timer is that of the slow one");
    // Who comes sees that its time is over, and lets it go; the next one has the timer from now on.
    let wait = retry_after(layer.handle().try_acquire());
    assert!(wait >= 150 * MS, "{wait:?}");
    sleep(110 * MS).await;
    assert_eq!(log.numbers(), [2]);
    assert_eq!(slow.await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_make_those_behind_it_wait_for_too_long() {
    let (layer, log) = (per_second(10, 1), Log::new());
    layer.handle().change(|settings| settings.max_wait = 300 * MS).unwrap();
    layer.handle().try_acquire().unwrap();
    let mut slow = Box::pin(layer.layer(log.clone()).oneshot(1));
    assert!(futures::poll!(slow.as_mut()).is_pending());
    let second = start(&layer, &log, 2).await;
    let third = tokio::spawn(with_deadline(310 * MS, layer.layer(log.clone()).oneshot(3)));
    settle().await;
    assert_eq!(layer.handle().snapshot().waiting, 3);
    // Nobody comes, and the first does not ask.
    sleep(299 * MS).await;
    assert!(!second.is_finished());
    // The second, whose time is over, lets the first go, and has nothing left for itself and the third.
    sleep(2 * MS).await;
    assert!(second.is_finished() && third.is_finished());
    assert_eq!(retry_after(second.await.unwrap()), 199 * MS);
    assert_eq!(retry_after(third.await.unwrap()), 99 * MS);
    assert_eq!((log.numbers(), slow.await), (vec![], Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn turns_that_are_given_back_long_after_they_came_do_not_add_up() {
    let (layer, log) = (per_second(100, 1), Log::new());
    layer.handle().try_acquire().unwrap();
    let mut held = Vec::new();
    for number in 0..50 {
        let mut call = Box::pin(layer.layer(log.clone()).oneshot(number));
        assert!(futures::poll!(call.as_mut()).is_pending());
        held.push(call);
        // Somebody else asks, so that they go although nobody polls them.
        sleep(11 * MS).await;
        retry_after(layer.handle().try_acquire());
    }
    sleep(5 * MS).await;
    let mut let_through = 0;
    for call in held {
        drop(call);
        let_through += u32::from(layer.handle().try_acquire().is_ok());
    }
    assert!(let_through <= 2, "{let_through} calls at once, of a burst of 1");
}

#[tokio::test(start_paused = true)]
async fn a_turn_given_back_after_a_pause_is_not_had_twice() {
    let (layer, log) = (per_second(10, 1), Log::new());
    layer.handle().try_acquire().unwrap();
    let mut held = Box::pin(layer.layer(log.clone()).oneshot(1));
    assert!(futures::poll!(held.as_mut()).is_pending());
    sleep(150 * MS).await;
    // Lets it go, although nobody polls it; then somebody else goes.
    retry_after(layer.handle().try_acquire());
    sleep(200 * MS).await;
    layer.handle().try_acquire().unwrap();
    drop(held);
    assert_eq!(retry_after(layer.handle().try_acquire()), 100 * MS);
}

#[test]
fn a_call_that_is_polled_outside_of_a_runtime_leaves_no_place_behind() {
    let layer = per_second(10, 1);
    layer.handle().try_acquire().unwrap();
    let call = layer.layer(Log::new()).oneshot(1);
    // There is no timer without a runtime.
    catch_unwind(AssertUnwindSafe(|| call.now_or_never())).unwrap_err();
    assert_eq!(layer.handle().snapshot().waiting, 0);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_first_in_line_is_woken() {
    let (layer, log) = (per_second(10, 1), Log::new());
    start(&layer, &log, 0).await;
    start(&layer, &log, 1).await;
    let wakes: [Arc<Wakes>; 3] = Default::default();
    let mut behind: Vec<_> = (2..5).map(|number| Box::pin(layer.layer(log.clone()).oneshot(number))).collect();
    for (call, wakes) in behind.iter_mut().zip(&wakes) {
        assert!(call.poll_unpin(&mut Context::from_waker(&Waker::from(Arc::clone(wakes)))).is_pending());
    }
    let woken = || wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed));
    sleep(99 * MS).await;
    assert_eq!(woken(), [0, 0, 0]);
    // The first goes, and the next is told to set its timer.
    sleep(51 * MS).await;
    assert_eq!((log.numbers(), woken()), (vec![0, 1], [1, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn all_that_are_due_go_at_one_wake_up() {
    let (layer, log) = (per_second(5000, 6), Log::new());
    let tasks: Vec<_> = (0..1000).map(|number| tokio::spawn(layer.layer(log.clone()).oneshot(number))).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut in_each = std::collections::BTreeMap::new();
    log.millis().into_iter().for_each(|at| *in_each.entry(at).or_insert(0) += 1);
    // Five a millisecond, at two hundred wake-ups.
    assert!(in_each.len() <= 202 && in_each.values().skip(2).rev().skip(1).all(|calls| *calls == 5), "{in_each:?}");
    assert_eq!(log.numbers(), (0..1000).collect::<Vec<_>>());
}

/// Reads the limiter when it is woken and when it is dropped, as a task does that owns a call in it.
struct Reads {
    limit: RateLimitHandle,
    woken: Arc<AtomicU32>,
    dropped: Arc<AtomicU32>,
}

impl Wake for Reads {
    fn wake(self: Arc<Self>) {
        self.limit.snapshot();
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.limit.snapshot();
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// One call that is let through at once, and calls behind it that wait for ever, without a timer but for the first.
async fn wakers_use_the_limiter(leave_first: bool) -> (u32, u32) {
    let layer = RateLimit::builder(1, SECOND).max_wait(Duration::MAX).build().unwrap();
    layer.handle().try_acquire().unwrap();
    let (woken, dropped): (Arc<AtomicU32>, Arc<AtomicU32>) = Default::default();
    let reads = || {
        let (limit, woken, dropped) = (layer.handle(), Arc::clone(&woken), Arc::clone(&dropped));
        Waker::from(Arc::new(Reads { limit, woken, dropped }))
    };
    let mut calls: Vec<_> = (0..3).map(|number| Box::pin(layer.layer(Log::new()).oneshot(number))).collect();
    for call in &mut calls {
        // Each time with another waker, so the former one is dropped.
        for _ in 0..3 {
            assert!(call.poll_unpin(&mut Context::from_waker(&reads())).is_pending());
        }
    }
    if leave_first {
        // The last goes, with the last of its wakers; then the first, and the second is told.
        drop(calls.pop());
        drop(calls.remove(0));
    } else {
        // Who comes lets the first go.
        advance(SECOND).await;
        retry_after(layer.handle().try_acquire());
    }
    drop(calls);
    assert_eq!(layer.handle().snapshot().waiting, 0);
    (woken.load(Ordering::Relaxed), dropped.load(Ordering::Relaxed))
}

#[test]
fn fault_11_a_waker_may_use_the_limiter_when_it_is_woken_and_when_it_is_dropped() {
    let (done, outcome) = std::sync::mpsc::channel();
    let runs = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        done.send(runtime.block_on(async { [wakers_use_the_limiter(true).await, wakers_use_the_limiter(false).await] }))
    };
    let thread = std::thread::spawn(runs);
    // Runs out only where a waker is used under the lock.
    let outcome = outcome.recv_timeout(Duration::from_secs(30)).expect("no deadlock");
    assert_eq!(outcome[0], (1, 9));
    assert!(outcome[1].0 >= 3 && outcome[1].1 == 9, "{outcome:?}");
    thread.join().unwrap().unwrap();
}
