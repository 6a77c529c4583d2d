//! Faults seen in other libraries, by number in the list of them.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use steadfast::{
    Rejected, RejectedKind,
    bulkhead::{Bulkhead, BulkheadEvent, BulkheadHandle, BulkheadLayer, Hold, Permit, Refused},
    timeout::Timeout,
};
use tower::{Layer, Service, ServiceExt};

use crate::support::{
    EVER, MS, SECOND, Work, counts, ends, has_places, is_full, settle, sleep, start, timed, with_deadline,
};

fn one_with_queue() -> BulkheadLayer {
    Bulkhead::builder(1).max_waiting(10).max_wait(SECOND).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn fault_18_nothing_is_stale_after_a_cancellation_at_any_await_point() {
    // The call is pending once before it is ready, waits for a place, is pending once before it ends.
    let mut ended = false;
    for polls in 0..10 {
        let layer = one_with_queue();
        let handle = layer.handle();
        let mut permit = (polls < 4).then(|| handle.try_acquire().unwrap());
        let held = u32::from(permit.is_some());
        let mut call = Box::pin(layer.layer(Work::default()).oneshot((1, 2 * MS)));
        for _ in 0..polls {
            let _ = futures::poll!(call.as_mut());
        }
        assert_eq!(counts(&handle).1, usize::from(polls > 0 && held == 1), "after {polls} polls");
        if polls == 3 {
            // Its place is given to it, and it is dropped before it knows.
            permit = None;
            assert_eq!(counts(&handle), (1, 0));
        }
        if polls == 9 {
            ended = call.as_mut().await.is_ok();
        }
        drop(call);
        assert_eq!(counts(&handle), (u32::from(permit.is_some()), 0), "after {polls} polls");
        drop(permit);
        has_places(&layer, 1);
    }
    assert!(ended);
}

#[tokio::test(start_paused = true)]
async fn fault_18_nor_while_it_runs_or_with_its_task() {
    let layer = one_with_queue();
    let work = Work::default();
    let running = start(&layer, &work, (1, EVER)).await;
    let waiting = start(&layer, &work, (2, EVER)).await;
    assert_eq!(counts(&layer.handle()), (1, 1));
    waiting.abort();
    settle().await;
    assert_eq!(counts(&layer.handle()), (1, 0));
    running.abort();
    settle().await;
    has_places(&layer, 1);
}

#[tokio::test(start_paused = true)]
async fn fault_18_a_place_given_to_who_is_dropped_goes_to_the_next() {
    let layer = one_with_queue();
    let work = Work::default();
    let permit = layer.handle().try_acquire().unwrap();
    let mut first = Box::pin(layer.layer(work.clone()).oneshot((1, MS)));
    assert!(futures::poll!(first.as_mut()).is_pending());
    let second = start(&layer, &work, (2, MS)).await;
    drop(permit);
    settle().await;
    assert_eq!(work.began(), [], "it is the first one's turn");
    drop(first);
    assert_eq!(second.await.unwrap(), Ok(2));
    has_places(&layer, 1);
}

#[tokio::test(start_paused = true)]
async fn fault_20_full_is_full_and_not_a_timeout() {
    let layer = Bulkhead::builder(1).name("printer").build().unwrap();
    let mut events = layer.handle().subscribe();
    let _permit = layer.handle().try_acquire().unwrap();
    let (outcome, took) = timed(layer.layer(Work::default()).oneshot((1, MS))).await;
    let rejected = outcome.unwrap_err();
    assert_eq!((rejected.kind(), took), (RejectedKind::BulkheadFull, Duration::ZERO));
    assert_eq!(rejected.to_string(), "bulkhead `printer` is full");
    assert_eq!(layer.handle().snapshot().refused_full, 1);
    assert!(matches!(
        events.try_recv(),
        Some(steadfast::telemetry::Received::Event(BulkheadEvent::Refused(Refused::Full)))
    ));
}

#[tokio::test(start_paused = true)]
async fn fault_20_also_when_the_wait_runs_out() {
    let layer = one_with_queue();
    let _permit = layer.handle().try_acquire().unwrap();
    let (outcome, took) = timed(layer.layer(Work::default()).oneshot((1, MS))).await;
    is_full(outcome);
    assert_eq!(took, SECOND);
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.refused_waited, snapshot.refused_full, snapshot.waiting), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn fault_20_also_at_the_deadline_and_timed_out_is_only_what_runs() {
    let layer = one_with_queue();
    let timeout = Timeout::builder(300 * MS).build().unwrap();
    let stack = (timeout.clone(), layer.clone());
    let permit = layer.handle().try_acquire().unwrap();
    let (outcome, took) = timed(stack.layer(Work::default()).oneshot((1, MS))).await;
    is_full(outcome);
    assert_eq!((took, timeout.handle().timed_out()), (300 * MS, 0));
    drop(permit);
    let outcome = stack.layer(Work::default()).oneshot((1, EVER)).await;
    assert_eq!(outcome.unwrap_err().kind(), RejectedKind::TimedOut);
    has_places(&layer, 1);
}

#[tokio::test(start_paused = true)]
async fn fault_22_shrinking_does_not_block_and_places_over_it_are_given_back_first() {
    let layer = Bulkhead::builder(3).max_waiting(10).max_wait(EVER).build().unwrap();
    let handle = layer.handle();
    let mut permits: Vec<_> = (0..3).map(|_| handle.try_acquire().unwrap()).collect();
    let work = Work::default();
    let waits = start(&layer, &work, (7, EVER)).await;
    handle.change(|settings| settings.max_concurrent = 1).unwrap();
    assert_eq!((handle.snapshot().max_concurrent, counts(&handle)), (1, (3, 1)));
    for left in [2, 1] {
        permits.pop();
        settle().await;
        assert_eq!(counts(&handle), (left, 1), "over the limit nobody is let in");
        is_full(handle.try_acquire());
    }
    permits.pop();
    settle().await;
    assert_eq!((counts(&handle), work.began()), ((1, 0), vec![7]));
    waits.abort();
    settle().await;
    has_places(&layer, 1);
}

#[tokio::test(start_paused = true)]
async fn fault_22_growing_lets_in_who_waits_at_once() {
    let layer = Bulkhead::builder(1).max_waiting(10).build().unwrap();
    let work = Work::default();
    for number in 0..5 {
        start(&layer, &work, (number, EVER)).await;
    }
    assert_eq!(work.began(), [0]);
    layer.handle().change(|settings| settings.max_concurrent = 4).unwrap();
    assert_eq!(counts(&layer.handle()), (4, 1), "before any of them was polled");
    settle().await;
    assert_eq!(work.began(), [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn fault_22_there_is_no_release_but_that_of_a_permit() {
    let layer = Bulkhead::builder(2).build().unwrap();
    let handle = layer.handle();
    for limit in [5, 1, 3, 2] {
        let permit = handle.try_acquire().unwrap();
        handle.change(|settings| settings.max_concurrent = limit).unwrap();
        drop(permit);
        has_places(&layer, limit);
    }
}

/// A body that streams, and holds the permit for as long.
struct Body(#[expect(dead_code)] Permit);

#[derive(Clone)]
struct UntilBodyEnds;

impl<Res> Hold<Res> for UntilBodyEnds {
    type Response = Body;

    fn hold(&self, _: Res, permit: Permit) -> Body {
        Body(permit)
    }
}

#[tokio::test(start_paused = true)]
async fn fault_32_a_place_is_held_until_the_body_ends() {
    let layer = Bulkhead::builder(1).max_waiting(1).hold(UntilBodyEnds).build().unwrap();
    let body = layer.layer(Work::default()).oneshot((1, MS)).await.unwrap();
    assert_eq!(counts(&layer.handle()), (1, 0));
    is_full(layer.handle().try_acquire());
    let mut next = Box::pin(layer.layer(Work::default()).oneshot((2, MS)));
    assert!(futures::poll!(next.as_mut()).is_pending());
    drop(body);
    assert_eq!(counts(&layer.handle()), (1, 0));
    drop(next.await.unwrap());
    has_places(&layer, 1);
}

/// Gets ready once, and fails to after that.
#[derive(Clone)]
struct Failing(bool);

impl Service<()> for Failing {
    type Response = ();
    type Error = Rejected;
    type Future = BoxFuture<'static, Result<(), Rejected>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
        let first = !std::mem::replace(&mut self.0, true);
        Poll::Ready(if first { Ok(()) } else { Err(Rejected::new(RejectedKind::CircuitOpen, "below")) })
    }

    fn call(&mut self, (): ()) -> Self::Future {
        pending().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_service_is_no_longer_ready_gives_its_place_back_before_it_is_dropped() {
    let layer = one_with_queue();
    let permit = layer.handle().try_acquire().unwrap();
    let mut call = Box::pin(layer.layer(Failing(false)).oneshot(()));
    assert!(futures::poll!(call.as_mut()).is_pending());
    drop(permit);
    assert!(call.as_mut().await.is_err());
    has_places(&layer, 1);
    drop(call);
    has_places(&layer, 1);
}

/// Reads the bulkhead when it wakes and when it is dropped, as a task does that owns a call in it. Counts both.
struct Reads(BulkheadHandle, Arc<[AtomicU32; 2]>);

impl Reads {
    fn read(&self, which: usize) {
        let snapshot = self.0.snapshot();
        assert!(snapshot.running <= 1 && snapshot.waiting <= 1);
        self.1[which].fetch_add(1, Ordering::Relaxed);
    }
}

impl Wake for Reads {
    fn wake(self: Arc<Self>) {
        self.read(0);
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.read(1);
    }
}

/// A call polled three times, each time with another waker; then its place comes first, or it is dropped first. The
/// queue's wakers are the last of their kind: without a wait's end there is no timer that keeps one.
async fn polled_with_wakers_that_read(place_comes: bool) {
    let layer = Bulkhead::builder(1).max_waiting(10).max_wait(Duration::MAX).build().unwrap();
    let permit = layer.handle().try_acquire().unwrap();
    let counts = Arc::<[AtomicU32; 2]>::default();
    let wakes_and_drops = || [0, 1].map(|which| counts[which].load(Ordering::Relaxed));
    let mut call = Box::pin(layer.layer(Work::default()).oneshot((1, MS)));
    for replaced in 0..3 {
        let waker = Waker::from(Arc::new(Reads(layer.handle(), Arc::clone(&counts))));
        assert!(call.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        assert_eq!(wakes_and_drops(), [0, replaced]);
    }
    if place_comes {
        drop(permit);
        assert_eq!(wakes_and_drops(), [1, 3]);
        drop(call);
    } else {
        drop(call);
        assert_eq!(wakes_and_drops(), [0, 3]);
        drop(permit);
    }
    assert_eq!(wakes_and_drops(), [u32::from(place_comes), 3]);
    has_places(&layer, 1);
}

#[test]
fn fault_11_a_waker_may_use_the_bulkhead_when_it_wakes() {
    ends(|| polled_with_wakers_that_read(true));
}

#[test]
fn fault_11_a_waker_may_use_the_bulkhead_when_it_is_dropped() {
    ends(|| polled_with_wakers_that_read(false));
}

#[tokio::test(start_paused = true)]
async fn a_place_given_when_the_wait_runs_out_is_used_or_passed_on() {
    for order in 0..2 {
        let layer = one_with_queue();
        let work = Work::default();
        let permit = layer.handle().try_acquire().unwrap();
        let holder = tokio::spawn(async move {
            sleep(SECOND).await;
            drop(permit);
        });
        settle().await;
        let waits = start(&layer, &work, (1, MS)).await;
        if order == 1 {
            sleep(SECOND / 2).await;
        }
        let _ = holder.await;
        let outcome = waits.await.unwrap();
        assert_eq!(work.began().len(), usize::from(outcome.is_ok()), "{outcome:?}");
        has_places(&layer, 1);
    }
    let layer = one_with_queue();
    let permit = layer.handle().try_acquire().unwrap();
    let mut call = Box::pin(layer.layer(Work::default()).oneshot((1, MS)));
    assert!(futures::poll!(call.as_mut()).is_pending());
    sleep(SECOND).await;
    drop(permit);
    // Both are true now; the place wins.
    assert_eq!(call.await, Ok(1));
    has_places(&layer, 1);
    // But not for a call whose deadline has passed: nobody waits for it any more.
    let permit = layer.handle().try_acquire().unwrap();
    let work = Work::default();
    let mut call = Box::pin(with_deadline(10 * MS, layer.layer(work.clone()).oneshot((1, MS))));
    assert!(futures::poll!(call.as_mut()).is_pending());
    sleep(20 * MS).await;
    drop(permit);
    is_full(call.await);
    assert_eq!(work.began(), []);
    has_places(&layer, 1);
}
