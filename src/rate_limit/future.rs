//! The response of a call that waits for its turn.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::Service;

use super::{
    layer::Shared,
    turn::{Asking, Turn},
};
use crate::{IntoLayerError, error::ErrorOf, ready::ReadyFuture};

/// The response future of a [`RateLimit`](super::RateLimit). Dropping it leaves the queue, or drops the call.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req> {
    #[pin]
    state: State<S, Req>,
    /// What the call is made with, while it has not been made.
    waiting: Option<(S, Req)>,
}

#[pin_project(project = StateProj)]
enum State<S: Service<Req>, Req> {
    /// It was too early; ask again, with a waker.
    Asking(Arc<Shared>),
    Waiting(#[pin] Turn),
    Readying(#[pin] ReadyFuture<S, Req>),
    Called(#[pin] S::Future),
}

impl<S: Service<Req>, Req> ResponseFuture<S, Req> {
    pub(super) fn called(call: S::Future) -> Self {
        Self { state: State::Called(call), waiting: None }
    }

    pub(super) fn asking(service: S, request: Req, shared: Arc<Shared>) -> Self {
        Self { state: State::Asking(shared), waiting: Some((service, request)) }
    }
}

impl<S, Req> Future for ResponseFuture<S, Req>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Asking => (Waiting | Readying), or refused
                StateProj::Asking(shared) => match Turn::ask(shared, cx) {
                    Ok(Asking::Wait(turn)) => {
                        this.state.set(State::Waiting(turn));
                        continue;
                    }
                    Ok(Asking::Go) => {}
                    Err(rejected) => {
                        *this.waiting = None;
                        return Poll::Ready(Err(rejected.into()));
                    }
                },
                // ## Waiting => Readying, or refused
                StateProj::Waiting(turn) => {
                    if let Err(rejected) = ready!(turn.poll(cx)) {
                        *this.waiting = None;
                        return Poll::Ready(Err(rejected.into()));
                    }
                }
                StateProj::Readying(call) => return call.poll(cx).map_err(IntoLayerError::into_layer_error),
                StateProj::Called(call) => return call.poll(cx).map_err(IntoLayerError::into_layer_error),
            }
            let (service, request) = this.waiting.take().expect("polled after it was ready");
            this.state.set(State::Readying(ReadyFuture::waiting(service, request)));
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for ResponseFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("waiting", &self.waiting.is_some()).finish_non_exhaustive()
    }
}
