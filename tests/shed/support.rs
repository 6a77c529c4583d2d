//! Calls that take a given virtual time and say when they began.
#![allow(clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use steadfast::{
    Rejected, RejectedKind,
    context::{self, CallContext},
    shed::{KeyOf, PriorityOf, Shed, ShedHandle, ShedLayer},
};
use tokio::task::JoinHandle;
use tower::{Layer, Service, ServiceExt};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// A call: which one, and how long it takes.
pub(crate) type Call = (u32, Duration);

/// A service whose calls take as long as they say.
#[derive(Clone, Default)]
pub(crate) struct Work {
    began: Arc<Mutex<Vec<u32>>>,
}

impl Work {
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

pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}

pub(crate) type Outcome = Result<u32, Rejected>;

/// A call in a task of its own, in a context, which has run as far as it can.
pub(crate) async fn start_in<P, K>(
    context: CallContext,
    layer: &ShedLayer<P, K>,
    work: &Work,
    call: Call,
) -> JoinHandle<Outcome>
where
    P: PriorityOf<Call> + Clone + Send + 'static,
    K: KeyOf<Call> + Clone + Send + 'static,
{
    let task = tokio::spawn(context::scope(context, layer.layer(work.clone()).oneshot(call)));
    settle().await;
    task
}

pub(crate) async fn start(layer: &ShedLayer, work: &Work, call: Call) -> JoinHandle<Outcome> {
    start_in(CallContext::default(), layer, work, call).await
}

pub(crate) fn is_shed(outcome: Outcome) {
    let rejected = outcome.unwrap_err();
    assert_eq!((rejected.kind(), rejected.name().as_str()), (RejectedKind::Shed, "shed"));
    assert!(!rejected.reached_service(), "it may be sent elsewhere");
}

pub(crate) fn one() -> ShedLayer {
    Shed::builder(1).build().unwrap()
}

/// Running and waiting.
pub(crate) fn counts(handle: &ShedHandle) -> (u32, usize) {
    let snapshot = handle.snapshot();
    (snapshot.running, snapshot.waiting)
}
