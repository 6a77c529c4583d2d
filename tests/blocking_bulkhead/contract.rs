//! What of the contract of the layers holds for something that is not one.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::mpsc::Sender,
};

use futures::{FutureExt, poll};
use steadfast::{
    Rejected, RejectedKind,
    bulkhead::{BlockingBulkhead, BlockingFuture, Bulkhead},
    context,
};
use tokio::{task, time};

use crate::support::{SECOND, Stage, bulkhead, soon, with_one_thread, within_a_second};

/// Nobody is left, and one place.
fn is_as_it_was(bulkhead: &BlockingBulkhead, when: &str) {
    let handle = bulkhead.handle();
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.running, snapshot.waiting), (0, 0), "{when}");
    let _permit = handle.try_acquire().expect("a place is lost");
    handle.try_acquire().expect_err("a place was made");
    assert_eq!((context::deadline(), context::attempt()), (None, 1), "{when}: the context is left");
}

/// How far a call has come when it is dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Until {
    NotPolled,
    InTheQueue,
    GivenItsPlace,
    Begun,
    Ended,
}

#[test]
fn a_call_can_be_dropped_at_every_await_point() {
    for until in [Until::NotPolled, Until::InTheQueue, Until::GivenItsPlace, Until::Begun, Until::Ended] {
        with_one_thread().block_on(dropped(until));
    }
}

async fn dropped(until: Until) {
    let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
    let permit = bulkhead.handle().try_acquire().unwrap();
    let (work, end) = stage.work(1);
    let mut call = Box::pin(context::scope(within_a_second(), bulkhead.run(work)));
    if until != Until::NotPolled {
        assert!(poll!(&mut call).is_pending());
    }
    if until == Until::InTheQueue {
        assert_eq!(bulkhead.handle().snapshot().waiting, 1);
    }
    let permit = (until == Until::NotPolled || until == Until::InTheQueue).then_some(permit);
    if until == Until::Begun || until == Until::Ended {
        assert!(poll!(&mut call).is_pending());
        assert_eq!(stage.begins(), 1);
    }
    let mut end: Option<Sender<()>> = Some(end);
    if until == Until::Ended {
        end = None;
        assert_eq!(soon(&mut call).await, Ok(1));
    }
    drop(call);
    let held = permit.is_some() || until == Until::Begun;
    assert_eq!(bulkhead.handle().snapshot().running, u32::from(held), "{until:?}");
    drop((permit, end));
    assert_eq!(soon(bulkhead.run(|| 7)).await, Ok(7), "{until:?}");
    assert_eq!(stage.drops(), 1, "{until:?}: dropped, or done");
    assert!(stage.nothing_has_begun(), "{until:?}");
    is_as_it_was(&bulkhead, &format!("{until:?}"));
}

#[test]
fn a_panic_leaves_it_working_whether_it_had_to_wait_or_not() {
    with_one_thread().block_on(async {
        let bulkhead = bulkhead(1, 1);
        for waits in [false, true] {
            let permit = waits.then(|| bulkhead.handle().try_acquire().unwrap());
            let work = || -> u32 { resume_unwind(Box::new("the disk is on fire")) };
            let mut call = Box::pin(context::scope(within_a_second(), bulkhead.run(work)));
            if waits {
                assert!(poll!(&mut call).is_pending());
            }
            drop(permit);
            let panic = AssertUnwindSafe(soon(&mut call)).catch_unwind().await.unwrap_err();
            assert_eq!(panic.downcast_ref(), Some(&"the disk is on fire"));
            is_as_it_was(&bulkhead, "after a panic");
            assert_eq!(soon(bulkhead.run(|| 7)).await, Ok(7));
        }
    });
}

#[test]
fn a_deadline_ends_the_wait_for_a_place() {
    with_one_thread().block_on(async {
        let (bulkhead, stage) = (bulkhead(1, 1), Stage::new());
        let permit = bulkhead.handle().try_acquire().unwrap();
        let call = task::spawn(context::scope(within_a_second(), bulkhead.run(stage.work(1).0)));
        task::yield_now().await;
        time::advance(SECOND / 2).await;
        task::yield_now().await;
        assert!(!call.is_finished());
        let refused = soon(call).await.unwrap().unwrap_err();
        assert_eq!((refused.kind(), refused.reached_service()), (RejectedKind::BulkheadFull, false));
        assert_eq!((stage.drops(), bulkhead.handle().snapshot().refused_waited), (1, 1));
        drop(permit);
        is_as_it_was(&bulkhead, "after the deadline");
    });
}

#[test]
fn clones_and_layers_are_one_bulkhead_whose_settings_change_in_place() {
    with_one_thread().block_on(async {
        let layer = Bulkhead::builder(1).name("disk").build().unwrap();
        let (bulkhead, other) = (layer.blocking(), layer.blocking());
        let clone = bulkhead.clone();
        let error = bulkhead.handle().change(|settings| settings.max_concurrent = 0).unwrap_err();
        assert_eq!((error.component().as_str(), error.field()), ("disk", "max_concurrent"));
        layer.handle().change(|settings| settings.max_waiting = 1).unwrap();
        let permit = layer.handle().try_acquire().unwrap();
        let mut waits = Box::pin(other.run(|| 1));
        assert!(poll!(&mut waits).is_pending());
        assert_eq!(soon(clone.run(|| 2)).await.unwrap_err().name().as_str(), "disk");
        for handle in [layer.handle(), bulkhead.handle(), clone.handle(), other.handle()] {
            let snapshot = handle.snapshot();
            assert_eq!((snapshot.running, snapshot.waiting, snapshot.refused_full), (1, 1, 1));
        }
        drop(permit);
        assert_eq!(soon(waits).await, Ok(1));
    });
}

#[test]
fn a_handle_outlives_it_and_a_call_outlives_all() {
    with_one_thread().block_on(async {
        let bulkhead = bulkhead(1, 1);
        let (handle, call) = (bulkhead.handle(), bulkhead.run(|| 7));
        drop(bulkhead);
        assert_eq!(soon(call).await, Ok(7));
        let permit = handle.try_acquire().unwrap();
        assert_eq!((handle.name().as_str(), handle.snapshot().running), ("disk", 1));
        drop(permit);
        handle.change(|settings| settings.max_concurrent = 2).unwrap();
        assert_eq!(handle.settings().max_concurrent, 2);
    });
}

#[test]
fn it_and_its_calls_go_anywhere_and_can_be_looked_at() {
    fn goes_anywhere<T: Send + Sync + Clone + Debug + 'static>(_: &T) {}
    fn is_sent<F, T>(call: &BlockingFuture<F, T>) -> String
    where
        BlockingFuture<F, T>: Send + Debug,
    {
        format!("{call:?}")
    }
    let bulkhead = bulkhead(1, 0);
    goes_anywhere(&bulkhead);
    assert!(format!("{bulkhead:?}").contains("disk"));
    // What it does and answers is sent, and need be no more than that.
    let result = std::cell::Cell::new(7);
    let call = bulkhead.run(move || result);
    assert_eq!(is_sent(&call), r#"BlockingFuture { bulkhead: "disk", running: false }"#);
    let answer: Result<std::cell::Cell<u32>, Rejected> = with_one_thread().block_on(call);
    assert_eq!(answer.unwrap().get(), 7);
}
