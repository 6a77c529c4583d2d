//! Who runs, who waits, and when a place ends.
#![allow(clippy::disallowed_methods)] // The present time, as a deadline.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

use futures::{FutureExt, poll};
use steadfast::{RejectedKind, context};
use tokio::{runtime, task, time::Instant};

use crate::support::{Stage, bulkhead, soon};

#[tokio::test]
async fn so_many_run_at_once_and_the_others_in_order() {
    let (bulkhead, stage) = (bulkhead(2, 10), Stage::new());
    let mut calls = Vec::new();
    let mut ends = Vec::new();
    for number in 0..6 {
        let (work, end) = stage.work(number);
        let mut call = Box::pin(bulkhead.run(work));
        assert!(poll!(&mut call).is_pending());
        calls.push(call);
        ends.push(end);
    }
    let mut first = [stage.begins(), stage.begins()];
    first.sort_unstable();
    assert_eq!(first, [0, 1]);
    let snapshot = bulkhead.handle().snapshot();
    assert_eq!((snapshot.running, snapshot.waiting), (2, 4));
    assert!(stage.nothing_has_begun());
    drop(ends);
    for (number, call) in calls.into_iter().enumerate() {
        assert_eq!(soon(call).await, Ok(number as u32));
        assert!(bulkhead.handle().snapshot().running <= 2);
    }
    assert_eq!([(); 4].map(|()| stage.begins()), [2, 3, 4, 5]);
}

#[tokio::test]
async fn the_next_begins_when_one_ends_and_not_before() {
    let (bulkhead, stage) = (bulkhead(1, 10), Stage::new());
    let (first, end) = stage.work(1);
    let (second, end_second) = stage.work(2);
    let mut first = Box::pin(bulkhead.run(first));
    assert!(poll!(&mut first).is_pending());
    let second = tokio::spawn(bulkhead.run(second));
    assert_eq!(stage.begins(), 1);
    task::yield_now().await;
    let snapshot = bulkhead.handle().snapshot();
    assert_eq!((snapshot.running, snapshot.waiting), (1, 1));
    assert!(stage.nothing_has_begun());
    drop(end);
    assert_eq!(first.await, Ok(1));
    drop(end_second);
    assert_eq!(soon(second).await.unwrap(), Ok(2));
    assert_eq!(stage.begins(), 2);
    assert_eq!(bulkhead.handle().snapshot().running, 0);
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_drops_the_work_unstarted() {
    let (bulkhead, stage) = (bulkhead(1, 0), Stage::new());
    let (first, _end) = stage.work(1);
    let mut first = Box::pin(bulkhead.run(first));
    assert!(poll!(&mut first).is_pending());
    assert_eq!(stage.begins(), 1);
    let mut second = Box::pin(bulkhead.run(stage.work(2).0));
    let refused = poll!(&mut second).map(|answer| answer.unwrap_err());
    let std::task::Poll::Ready(refused) = refused else { panic!("it waits") };
    assert_eq!((refused.kind(), refused.name().as_str()), (RejectedKind::BulkheadFull, "disk"));
    assert!(!refused.reached_service());
    assert_eq!(stage.drops(), 2);
    assert_eq!(bulkhead.handle().snapshot().refused_full, 1);
}

#[tokio::test]
async fn who_has_waited_too_long_is_refused_while_the_work_before_goes_on() {
    let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
    bulkhead.handle().change(|settings| settings.max_wait = Duration::from_millis(5)).unwrap();
    let (first, end) = stage.work(1);
    let mut first = Box::pin(bulkhead.run(first));
    assert!(poll!(&mut first).is_pending());
    let (second, end_second) = stage.work(2);
    drop(end_second);
    soon(bulkhead.run(second)).await.unwrap_err();
    assert_eq!(stage.drops(), 2);
    assert_eq!(bulkhead.handle().snapshot().refused_waited, 1);
    drop(end);
    assert_eq!(first.await, Ok(1));
}

#[tokio::test]
async fn a_place_is_held_until_the_work_really_ends_though_the_caller_is_gone() {
    let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
    let (work, end) = stage.work(1);
    let mut call = Box::pin(bulkhead.run(work));
    assert!(poll!(&mut call).is_pending());
    assert_eq!(stage.begins(), 1);
    drop(call);
    assert_eq!(bulkhead.handle().snapshot().running, 1);
    bulkhead.handle().try_acquire().unwrap_err();
    let (next, end_next) = stage.work(2);
    let mut next = Box::pin(bulkhead.run(next));
    assert!(poll!(&mut next).is_pending());
    assert!(stage.nothing_has_begun());
    drop((end, end_next));
    assert_eq!(soon(next).await, Ok(2));
    assert_eq!(bulkhead.handle().snapshot().running, 0);
}

#[tokio::test]
async fn what_is_cancelled_in_the_queue_is_never_begun() {
    let (bulkhead, stage) = (bulkhead(1, 2), Stage::new());
    let (first, end) = stage.work(1);
    let mut first = Box::pin(bulkhead.run(first));
    assert!(poll!(&mut first).is_pending());
    assert_eq!(stage.begins(), 1);
    let mut cancelled = Box::pin(bulkhead.run(stage.work(2).0));
    assert!(poll!(&mut cancelled).is_pending());
    drop(cancelled);
    assert_eq!(stage.drops(), 2);
    assert_eq!(bulkhead.handle().snapshot().waiting, 0);
    drop(end);
    assert_eq!(first.await, Ok(1));
    assert!(stage.nothing_has_begun());
}

#[tokio::test]
async fn work_whose_deadline_has_passed_is_not_begun() {
    let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
    let over = context::current().with_deadline(Instant::now());
    let (work, end) = stage.work(1);
    drop(end);
    let refused = context::scope(over, bulkhead.run(work)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.reached_service()), (RejectedKind::BulkheadFull, false));
    assert_eq!(stage.drops(), 1);
    // Perhaps the caller gave it up before its thread was there.
    assert_eq!(soon(bulkhead.run(|| 7)).await, Ok(7));
    assert!(stage.nothing_has_begun());
    assert_eq!(bulkhead.handle().snapshot().running, 0);
}

#[tokio::test]
async fn work_sees_the_deadline_of_its_call() {
    let deadline = Instant::now() + Duration::from_secs(60);
    let call = bulkhead(1, 0).run(context::deadline);
    let seen = context::scope(context::current().with_deadline(deadline), call).await;
    assert_eq!(seen, Ok(Some(deadline)));
}

#[tokio::test]
async fn a_panic_is_resumed_in_the_caller_and_its_place_is_free() {
    let bulkhead = bulkhead(1, 0);
    let call = bulkhead.run(|| -> u32 { resume_unwind(Box::new("the disk is on fire")) });
    let panic = AssertUnwindSafe(call).catch_unwind().await.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"the disk is on fire"));
    assert_eq!(bulkhead.run(|| 7).await, Ok(7));
}

#[test]
fn a_panic_of_work_that_nobody_waits_for_frees_its_place_too() {
    let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
    let (work, end) = stage.work(1);
    runtime.block_on(async {
        let mut call = Box::pin(bulkhead.run(move || {
            work();
            resume_unwind(Box::new(()))
        }));
        assert!(poll!(&mut call).is_pending());
        assert_eq!(stage.begins(), 1);
        drop(call);
        drop(end);
        assert_eq!(soon(bulkhead.run(|| 7)).await, Ok(7));
    });
}

#[tokio::test]
async fn a_raised_limit_lets_waiting_work_begin() {
    let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
    let ((first, end), (second, end_second)) = (stage.work(1), stage.work(2));
    let mut first = Box::pin(bulkhead.run(first));
    assert!(poll!(&mut first).is_pending());
    let second = tokio::spawn(bulkhead.run(second));
    task::yield_now().await;
    assert_eq!(bulkhead.handle().snapshot().waiting, 1);
    bulkhead.handle().change(|settings| settings.max_concurrent = 2).unwrap();
    drop(end_second);
    assert_eq!(soon(second).await.unwrap(), Ok(2));
    drop(end);
    assert_eq!(first.await, Ok(1));
}

#[test]
fn outside_of_a_runtime_the_place_is_not_lost() {
    let bulkhead = bulkhead(1, 0);
    let polled = catch_unwind(AssertUnwindSafe(|| bulkhead.run(|| 7).now_or_never()));
    polled.unwrap_err();
    assert_eq!(bulkhead.handle().snapshot().running, 0);
}
