//! The response of a call behind a breaker.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;

use super::Permit;
use crate::{Classify, IntoLayerError, Rejected, error};

/// The response future of a [`CircuitBreaker`](super::CircuitBreaker). Dropping it before it is ready drops the
/// call, which counts as abandoned.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F, C> {
    #[pin]
    state: State<F, C>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<F, C> {
    Called {
        #[pin]
        inner: F,
        permit: Permit,
        classify: C,
    },
    Refused(Option<Rejected>),
}

impl<F, C> ResponseFuture<F, C> {
    pub(super) fn called(inner: F, permit: Permit, classify: C) -> Self {
        Self { state: State::Called { inner, permit, classify } }
    }

    pub(super) fn refused(rejected: Rejected) -> Self {
        Self { state: State::Refused(Some(rejected)) }
    }
}

impl<F, C, Res, Err> Future for ResponseFuture<F, C>
where
    F: Future<Output = Result<Res, Err>>,
    Err: IntoLayerError,
    C: Classify<Res, Err::Error>,
{
    type Output = Result<Res, Err::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Called { inner, permit, classify } => {
                let poll = permit.run(|| inner.poll(cx));
                if poll.is_pending() {
                    permit.pending();
                }
                let outcome = ready!(poll).map_err(IntoLayerError::into_layer_error);
                let verdict = permit.run(|| error::judge(classify, &outcome));
                permit.finish(verdict);
                Poll::Ready(outcome)
            }
            StateProj::Refused(rejected) => {
                let rejected = rejected.take().expect("polled after it was ready");
                Poll::Ready(Err(rejected.into()))
            }
        }
    }
}
