//! Calls that take a given virtual time and say when they began. The only place of these tests that sleeps or reads a
//! clock, all of it under paused time.
#![allow(clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    future::Future,
    panic,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use futures::future::BoxFuture;
use steadfast::{
    Rejected, RejectedKind,
    bulkhead::{BulkheadHandle, BulkheadLayer},
    context,
};
use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, Service, ServiceExt};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// Longer than any test.
pub(crate) const EVER: Duration = Duration::from_secs(1_000_000);

/// A call: which one, and how long it takes.
pub(crate) type Call = (u32, Duration);

/// A service whose calls take as long as they say.
#[derive(Clone, Default)]
pub(crate) struct Work {
    began: Arc<Mutex<Vec<u32>>>,
}

impl Work {
    /// The calls that have begun, in order.
    pub(crate) fn began(&self) -> Vec<u32> {
        self.began.lock().unwrap().clone()
    }
}

impl Service<Call> for Work {
    type Response = u32;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (number, takes): Call) -> Self::Future {
        self.began.lock().unwrap().push(number);
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            Ok(number)
        })
    }
}

/// A call in a task of its own, which has run as far as it can.
pub(crate) async fn start<L>(layer: &L, work: &Work, call: Call) -> JoinHandle<Result<u32, Rejected>>
where
    L: Layer<Work>,
    L::Service: Service<Call, Response = u32, Error = Rejected, Future: Send + 'static> + Send + 'static,
{
    let task = tokio::spawn(context::scope(context::current(), layer.layer(work.clone()).oneshot(call)));
    settle().await;
    task
}

/// Lets all tasks run as far as they can.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// How long it took.
pub(crate) async fn timed<F: Future>(future: F) -> (F::Output, Duration) {
    let began = Instant::now();
    (future.await, began.elapsed())
}

/// Runs `future` as part of a call that has to be over in `time`.
pub(crate) async fn with_deadline<F: Future>(time: Duration, future: F) -> F::Output {
    context::scope(context::current().with_deadline(Instant::now() + time), future).await
}

pub(crate) fn is_full<T: std::fmt::Debug>(outcome: Result<T, Rejected>) {
    let rejected = outcome.unwrap_err();
    assert_eq!(rejected.kind(), RejectedKind::BulkheadFull);
    assert!(!rejected.reached_service(), "it may be sent elsewhere");
}

/// Running and waiting.
pub(crate) fn counts(handle: &BulkheadHandle) -> (u32, usize) {
    let snapshot = handle.snapshot();
    (snapshot.running, snapshot.waiting)
}

/// Nobody is left, and there are exactly so many places.
pub(crate) fn has_places(layer: &BulkheadLayer<impl Clone>, places: u32) {
    assert_eq!(counts(&layer.handle()), (0, 0));
    let permits: Vec<_> = (0..places).map(|_| layer.handle().try_acquire().expect("a place is lost")).collect();
    is_full(layer.handle().try_acquire());
    drop(permits);
}

/// Runs `test` in paused time on a thread of its own, and fails if it never ends: a deadlock is a failure, not a hang.
pub(crate) fn ends<Fut: Future<Output = ()>>(test: impl FnOnce() -> Fut + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let result = panic::catch_unwind(panic::AssertUnwindSafe(|| runtime.block_on(test())));
        let _ = done.send(result);
    });
    match ended.recv_timeout(Duration::from_secs(30)) {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => panic::resume_unwind(panic),
        Err(_) => panic!("deadlock: the test never ended"),
    }
}
