//! The service in the places of a limit: how each call ends, and how long it takes.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::Service;

use super::state::State;
use crate::{
    Classify, IntoLayerError, LayerError, RejectedKind, context,
    error::{self, ErrorOf},
    time::{self, Instant},
};

/// Measures each call.
#[derive(Clone, Debug)]
pub(super) struct Measured<S, C> {
    pub(super) inner: S,
    pub(super) state: Arc<State>,
    pub(super) classify: C,
}

impl<S, C, Req> Service<Req> for Measured<S, C>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = MeasuredFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        MeasuredFuture {
            inner: self.inner.call(request),
            timed: Timed { state: Arc::clone(&self.state), began: None },
            classify: self.classify.clone(),
        }
    }
}

/// A call in progress. Dropped before its end, it counts as given up.
#[pin_project]
pub(super) struct MeasuredFuture<F, C> {
    #[pin]
    inner: F,
    timed: Timed,
    classify: C,
}

struct Timed {
    state: Arc<State>,
    /// When it had to wait first, until it has ended: a call that is ready at once reads no clock. And when it must be over.
    began: Option<(Instant, Option<Instant>)>,
}

impl<F, C, Res, Err> Future for MeasuredFuture<F, C>
where
    F: Future<Output = Result<Res, Err>>,
    Err: IntoLayerError,
    C: Classify<Res, Err::Error>,
{
    type Output = Result<Res, Err::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let poll = this.inner.poll(cx);
        if poll.is_pending() {
            // Later, when the call is dropped, it is not polled, and has no context.
            this.timed.began.get_or_insert_with(|| (time::now(), context::deadline()));
        }
        let outcome = ready!(poll).map_err(IntoLayerError::into_layer_error);
        let began = this.timed.began.take();
        // A refusal by a layer below says nothing about the service.
        if error::refusal(&outcome).is_none() {
            let verdict = this.classify.classify(outcome.as_ref());
            let rejected = outcome.as_ref().err().and_then(LayerError::as_rejected);
            let timed_out = rejected.is_some_and(|rejected| rejected.kind() == RejectedKind::TimedOut);
            let took = began.map(|(began, _)| {
                let now = time::now();
                (now.saturating_duration_since(began), now)
            });
            this.timed.state.ended(verdict, timed_out, took);
        }
        Poll::Ready(outcome)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some((began, deadline)) = self.began {
            let now = time::now();
            self.state.given_up(now.saturating_duration_since(began), deadline, now);
        }
    }
}

impl<F, C> fmt::Debug for MeasuredFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredFuture").finish_non_exhaustive()
    }
}
