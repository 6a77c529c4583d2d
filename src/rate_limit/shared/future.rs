//! The response of a call that takes its turn from the store.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::Service;

use super::{super::Store, Acquire};
use crate::{IntoLayerError, error::ErrorOf, ready::ReadyFuture};

/// The response future of a [`SharedRateLimit`](super::SharedRateLimit). Dropping it drops the wait, or the call.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct SharedResponseFuture<S: Service<Req>, Req, St: Store> {
    #[pin]
    state: State<S, Req, St>,
    /// What the call is made with, while it has not been made.
    waiting: Option<(S, Req)>,
}

#[pin_project(project = StateProj)]
enum State<S: Service<Req>, Req, St: Store> {
    Acquiring(#[pin] Acquire<St>),
    Calling(#[pin] ReadyFuture<S, Req>),
}

impl<S: Service<Req>, Req, St: Store> SharedResponseFuture<S, Req, St> {
    pub(super) fn new(acquire: Acquire<St>, service: S, request: Req) -> Self {
        Self { state: State::Acquiring(acquire), waiting: Some((service, request)) }
    }
}

impl<S, Req, St> Future for SharedResponseFuture<S, Req, St>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    St: Store,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Acquiring => Calling, or refused
                StateProj::Acquiring(acquire) => {
                    if let Err(rejected) = ready!(acquire.poll(cx)) {
                        *this.waiting = None;
                        return Poll::Ready(Err(rejected.into()));
                    }
                }
                StateProj::Calling(call) => return call.poll(cx).map_err(IntoLayerError::into_layer_error),
            }
            let (service, request) = this.waiting.take().expect("polled after it was ready");
            this.state.set(State::Calling(ReadyFuture::waiting(service, request)));
        }
    }
}

impl<S: Service<Req>, Req, St: Store> fmt::Debug for SharedResponseFuture<S, Req, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedResponseFuture").field("waiting", &self.waiting.is_some()).finish_non_exhaustive()
    }
}
