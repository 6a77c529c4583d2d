//! A service whose calls take and end as they are told. The only place of these tests that sleeps or reads a clock, all
//! of it under paused time.
#![allow(clippy::disallowed_methods)]

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use steadfast::{
    Error, Rejected, Verdict,
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitBuilder, AdaptiveLimitHandle, AdaptiveLimitLayer},
    context,
};
use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, Service, ServiceExt};

pub(crate) const MS: Duration = Duration::from_millis(1);
/// Of those who ask. Calls are slow when they take over half of it, and a window is a quarter of it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);
pub(crate) const WINDOW: Duration = Duration::from_millis(250);

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Answer,
    Failure,
    Overload,
    /// A layer below has refused.
    Refusal,
    Panic,
}

/// How long a call takes, and how it ends.
pub(crate) type Call = (Duration, End);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    Down,
    Busy,
}

pub(crate) fn judge(outcome: Result<&(), &Error<Fault>>) -> Verdict {
    match outcome {
        Ok(()) => Verdict::Success,
        Err(Error::Inner(Fault::Busy)) => Verdict::OVERLOADED,
        Err(_) => Verdict::TRANSIENT,
    }
}

type Judge = fn(Result<&(), &Error<Fault>>) -> Verdict;
pub(crate) type Limit = AdaptiveLimitLayer<Judge>;

pub(crate) fn builder() -> AdaptiveLimitBuilder<Judge> {
    AdaptiveLimit::builder(DEADLINE).name("inventory").classify(judge as Judge)
}

pub(crate) fn limit() -> Limit {
    builder().build().unwrap()
}

/// Does what calls say.
#[derive(Clone, Default)]
pub(crate) struct Work {
    began: Arc<AtomicU32>,
}

impl Work {
    pub(crate) fn began(&self) -> u32 {
        self.began.load(Ordering::Relaxed)
    }
}

impl Service<Call> for Work {
    type Response = ();
    type Error = Error<Fault>;
    type Future = BoxFuture<'static, Result<(), Error<Fault>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (takes, end): Call) -> Self::Future {
        self.began.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            match end {
                End::Answer => Ok(()),
                End::Failure => Err(Error::Inner(Fault::Down)),
                End::Overload => Err(Error::Inner(Fault::Busy)),
                End::Refusal => Err(Rejected::new(steadfast::RejectedKind::CircuitOpen, "below").into()),
                End::Panic => panic!("on purpose"),
            }
        })
    }
}

pub(crate) type Outcome = Result<(), Error<Fault>>;

/// A call in a task of its own.
pub(crate) fn start(layer: &Limit, work: &Work, call: Call) -> JoinHandle<Outcome> {
    tokio::spawn(context::scope(context::current(), layer.layer(work.clone()).oneshot(call)))
}

/// So many calls at once, all of which end.
pub(crate) async fn all(layer: &Limit, number: u32, call: Call) {
    let work = Work::default();
    let calls: Vec<_> = (0..number).map(|_| start(layer, &work, call)).collect();
    for call in calls {
        let _ = call.await;
    }
}

/// A single call that is in good time, after the window is over: it has that judged, and says hardly anything itself.
pub(crate) async fn look(layer: &Limit) -> u32 {
    pass(WINDOW + MS).await;
    all(layer, 1, (MS, End::Answer)).await;
    layer.handle().limit()
}

/// A window of as many calls as may be in progress, and the limit after it.
pub(crate) async fn window(layer: &Limit, call: Call) -> u32 {
    all(layer, layer.handle().limit().max(10), call).await;
    look(layer).await
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::advance(time).await;
    settle().await;
}

/// Lets all tasks run as far as they can.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// As part of a call that must be over in `left`.
pub(crate) fn within<F: Future>(left: Duration, future: F) -> context::Scope<F> {
    context::scope(context::current().with_deadline(Instant::now() + left), future)
}

pub(crate) fn is_idle(handle: &AdaptiveLimitHandle) -> bool {
    let snapshot = handle.snapshot();
    (snapshot.running, snapshot.waiting) == (0, 0)
}
