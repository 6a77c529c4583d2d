//! Work with a place that waits for a thread.

use std::time::Duration;

use futures::poll;
use steadfast::{RejectedKind, context};
use tokio::{runtime, task, time};

use crate::support::{SECOND, Stage, bulkhead, soon, with_its_only_thread_busy, with_one_thread, within_a_second};

#[test]
fn what_is_cancelled_before_a_thread_has_begun_it_is_dropped_at_once_and_its_place_when_a_thread_sees_it() {
    let (runtime, busy) = with_its_only_thread_busy();
    let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
    runtime.block_on(async {
        let mut call = Box::pin(bulkhead.run(stage.work(1).0));
        assert!(poll!(&mut call).is_pending());
        drop(call);
        assert_eq!((bulkhead.handle().snapshot().running, stage.drops()), (1, 1));
        let (work, end) = stage.work(2);
        drop(end);
        let mut next = Box::pin(bulkhead.run(work));
        assert!(poll!(&mut next).is_pending());
        assert_eq!(bulkhead.handle().snapshot().waiting, 1);
        // The thread finds nothing to do, and does what comes next.
        drop(busy);
        assert_eq!(soon(next).await, Ok(2));
        assert_eq!(stage.begins(), 2);
        assert_eq!(bulkhead.handle().snapshot().running, 0);
    });
}

#[test]
fn threads_that_are_stuck_fill_the_bulkhead_and_not_the_queue_of_the_runtime() {
    let (runtime, busy) = with_its_only_thread_busy();
    let (bulkhead, stage) = (bulkhead(3, 0), Stage::new());
    runtime.block_on(async {
        for number in 0..1000 {
            let mut call = Box::pin(bulkhead.run(stage.work(number).0));
            assert_eq!(poll!(&mut call).is_pending(), number < 3, "call {number}");
            drop(call);
            assert_eq!(stage.drops(), number);
        }
        let snapshot = bulkhead.handle().snapshot();
        assert_eq!((snapshot.running, snapshot.refused_full), (3, 997));
        bulkhead.handle().change(|settings| settings.max_waiting = 1).unwrap();
        drop(busy);
        assert_eq!(soon(bulkhead.run(|| 7)).await, Ok(7));
        assert!(stage.nothing_has_begun());
    });
}

#[test]
fn a_deadline_that_passes_while_no_thread_is_free_refuses_in_time() {
    let (runtime, busy) = with_its_only_thread_busy();
    let (bulkhead, stage) = (bulkhead(1, 0), Stage::new());
    runtime.block_on(async {
        let call = task::spawn(context::scope(within_a_second(), bulkhead.run(stage.work(1).0)));
        task::yield_now().await;
        time::advance(SECOND - Duration::from_millis(2)).await;
        task::yield_now().await;
        assert!(!call.is_finished());
        time::advance(Duration::from_millis(3)).await;
        task::yield_now().await;
        assert!(call.is_finished(), "it waits for a thread beyond its deadline");
        let refused = call.await.unwrap().unwrap_err();
        assert_eq!((refused.kind(), refused.reached_service()), (RejectedKind::BulkheadFull, false));
        assert_eq!(stage.drops(), 1);
        let snapshot = bulkhead.handle().snapshot();
        assert_eq!((snapshot.running, snapshot.refused_waited), (1, 1), "a thread has yet to see that it is over");
        drop(busy);
        bulkhead.handle().change(|settings| settings.max_waiting = 1).unwrap();
        assert_eq!(soon(bulkhead.run(|| 7)).await, Ok(7));
        assert!(stage.nothing_has_begun());
    });
}

#[test]
fn a_thread_does_not_begin_work_whose_deadline_has_passed_though_its_caller_does_not_look() {
    let (runtime, busy) = with_its_only_thread_busy();
    let (bulkhead, stage) = (bulkhead(1, 0), Stage::new());
    runtime.block_on(async {
        let (work, end) = stage.work(1);
        drop(end);
        let mut call = Box::pin(context::scope(within_a_second(), bulkhead.run(work)));
        assert!(poll!(&mut call).is_pending());
        time::advance(2 * SECOND).await;
        drop(busy);
        assert_eq!(stage.will_drop(), 1);
        assert_eq!(soon(call).await.unwrap_err().kind(), RejectedKind::BulkheadFull);
        assert!(stage.nothing_has_begun());
        let snapshot = bulkhead.handle().snapshot();
        assert_eq!((snapshot.running, snapshot.refused_waited), (0, 1));
    });
}

#[test]
fn what_a_thread_has_begun_is_waited_for_beyond_its_deadline() {
    let (bulkhead, stage) = (bulkhead(1, 0), Stage::new());
    with_one_thread().block_on(async {
        let (work, end) = stage.work(1);
        let mut call = Box::pin(context::scope(within_a_second(), bulkhead.run(work)));
        assert!(poll!(&mut call).is_pending());
        assert_eq!(stage.begins(), 1);
        for _ in 0..3 {
            time::advance(SECOND).await;
            assert!(poll!(&mut call).is_pending());
        }
        drop(end);
        assert_eq!(call.await, Ok(1));
        assert_eq!(bulkhead.handle().snapshot().refused_waited, 0);
    });
}

#[test]
fn a_call_without_a_deadline_needs_no_timer() {
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(bulkhead(1, 0).run(|| 7)), Ok(7));
}

#[test]
fn what_a_runtime_that_has_shut_down_does_not_begin_is_dropped_and_refused() {
    let runtime = with_one_thread();
    let handle = runtime.handle().clone();
    runtime.shutdown_background();
    let _entered = handle.enter();
    let (bulkhead, stage) = (bulkhead(1, 0), Stage::new());
    let mut call = Box::pin(bulkhead.run(stage.work(1).0));
    let refused = futures::executor::block_on(&mut call).unwrap_err();
    assert_eq!((refused.kind(), stage.drops()), (RejectedKind::BulkheadFull, 1));
    assert_eq!(bulkhead.handle().snapshot().running, 0);
}
