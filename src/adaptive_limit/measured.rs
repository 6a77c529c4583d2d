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

use super::state::Shared;
use crate::{
    Classify, IntoLayerError,
    error::{self, ErrorOf},
    time::{self, Instant},
};

/// Measures each call.
#[derive(Clone, Debug)]
pub(super) struct Measured<S, C> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
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
            timed: Timed { shared: Arc::clone(&self.shared), began: None },
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
    shared: Arc<Shared>,
    /// When it had to wait first, until it has ended: a call that is ready at once reads no clock.
    began: Option<Instant>,
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
            this.timed.began.get_or_insert_with(time::now);
        }
        let outcome = ready!(poll).map_err(IntoLayerError::into_layer_error);
        let began = this.timed.began.take();
        // A refusal by a layer below says nothing about the service.
        if error::refusal(&outcome).is_none() {
            let verdict = this.classify.classify(outcome.as_ref());
            match began {
                None => this.timed.shared.ended_at_once(verdict),
                Some(began) => this.timed.shared.ended(verdict, began, time::now()),
            }
        }
        Poll::Ready(outcome)
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(began) = self.began {
            self.shared.given_up(began, time::now());
        }
    }
}

impl<F, C> fmt::Debug for MeasuredFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MeasuredFuture").finish_non_exhaustive()
    }
}
