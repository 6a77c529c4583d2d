//! The response of a call with a time limit.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project::pin_project;

use super::layer::Shared;
use crate::{
    IntoLayerError,
    context::{self, TimeLimit},
    time::Sleep,
};

/// The response future of a [`Timeout`](super::Timeout). Dropping it drops the call; so does the end of its time,
/// before the error is returned.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    /// Dropped first: if nobody has polled the call for long, the layers below must know before they judge that.
    #[pin]
    timer: Timer,
    /// `None` once the time is over.
    #[pin]
    inner: Option<F>,
    limit: TimeLimit,
    shared: Arc<Shared>,
}

#[pin_project(project = TimerProj)]
#[derive(Debug)]
enum Timer {
    /// The call has not had to wait yet.
    Unset,
    /// Beyond what the clock can express.
    Never,
    Set(#[pin] Sleep),
}

impl<F> ResponseFuture<F> {
    pub(super) fn new(inner: F, limit: TimeLimit, shared: Arc<Shared>) -> Self {
        Self { timer: Timer::Unset, inner: Some(inner), limit, shared }
    }
}

impl<F, Res, Err> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Res, Err>>,
    Err: IntoLayerError,
{
    type Output = Result<Res, Err::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Layers below judge the call as it ends: they must know by then that nobody polled it in time.
        if let TimerProj::Set(timer) = this.timer.as_mut().project() {
            timer.notice();
        }
        let inner = this.inner.as_mut().as_pin_mut().expect("polled after it was ready");
        if let Poll::Ready(outcome) = this.limit.enter(|| inner.poll(cx)) {
            if let TimerProj::Set(timer) = this.timer.project() {
                timer.done();
            }
            return Poll::Ready(outcome.map_err(IntoLayerError::into_layer_error));
        }
        if let TimerProj::Unset = this.timer.as_mut().project() {
            let deadline = this.limit.deadline();
            // An attempt's limit is cut to what is left of the call's.
            let deadline = deadline.into_iter().chain(context::deadline()).min();
            this.timer.set(deadline.map_or(Timer::Never, |deadline| Timer::Set(Sleep::until(deadline))));
        }
        let TimerProj::Set(timer) = this.timer.project() else { return Poll::Pending };
        if timer.poll_elapsed(cx) {
            // What the call holds is free before the caller hears of it.
            this.inner.set(None);
            return Poll::Ready(Err(this.shared.timed_out().into()));
        }
        Poll::Pending
    }
}
