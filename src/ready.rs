//! Moves the wait for readiness from `poll_ready` into the call, where a deadline covers it.
//!
//! No layer of this crate waits in `poll_ready`, but tower's `ConcurrencyLimit`, `RateLimit` and `Buffer` do. A
//! [`Timeout`](crate::timeout::Timeout) above them begins when the call does, so the time spent waiting for readiness is
//! not in it: a caller may hang for ever without being late. Put this layer between the two:
//!
//! ```
//! use std::time::Duration;
//! use steadfast::{ready::ReadyLayer, timeout::Timeout};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), steadfast::ConfigError> {
//! let stack = ServiceBuilder::new()
//!     .layer(Timeout::builder(Duration::from_secs(1)).build()?)
//!     .layer(ReadyLayer)
//!     .layer(tower::limit::ConcurrencyLimitLayer::new(10));
//! # Ok(())
//! # }
//! ```
//!
//! It gives up the back-pressure of `poll_ready`: a call that waits is a future that waits. Dropping that future gives
//! up its place.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::{Layer, Service};

/// Makes services that are always ready and wait in the call. Holds no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadyLayer;

impl<S> Layer<S> for ReadyLayer {
    type Service = Ready<S>;

    fn layer(&self, inner: S) -> Ready<S> {
        Ready::new(inner)
    }
}

/// A service that is always ready: a call that finds the inner service not ready waits for a clone of it. Made by a
/// [`ReadyLayer`].
#[derive(Debug)]
pub struct Ready<S> {
    inner: S,
    inner_ready: bool,
}

impl<S> Ready<S> {
    fn new(inner: S) -> Self {
        Self { inner, inner_ready: false }
    }
}

impl<S: Clone> Clone for Ready<S> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<S, Req> Service<Req> for Ready<S>
where
    S: Service<Req> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ReadyFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if !self.inner_ready
            && let Poll::Ready(ready) = self.inner.poll_ready(cx)
        {
            ready?;
            self.inner_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if mem::take(&mut self.inner_ready) {
            ReadyFuture::called(self.inner.call(request))
        } else {
            // The one that was asked already may hold a place in a queue: it goes on waiting, its clone stays.
            let clone = self.inner.clone();
            ReadyFuture::waiting(mem::replace(&mut self.inner, clone), request)
        }
    }
}

/// Waits until a service is ready, then calls it. Dropping it drops the service or the call.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ReadyFuture<S: Service<Req>, Req> {
    #[pin]
    state: State<S, S::Future, Req>,
}

#[pin_project(project = StateProj)]
#[derive(Debug)]
enum State<S, F, Req> {
    Waiting { service: S, request: Option<Req> },
    Called(#[pin] F),
}

impl<S: Service<Req>, Req> ReadyFuture<S, Req> {
    pub(crate) fn waiting(service: S, request: Req) -> Self {
        Self { state: State::Waiting { service, request: Some(request) } }
    }

    fn called(call: S::Future) -> Self {
        Self { state: State::Called(call) }
    }
}

impl<S: Service<Req>, Req> Future for ReadyFuture<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    let call = service.call(request.take().expect("polled after it was ready"));
                    this.state.set(State::Called(call));
                }
                StateProj::Called(call) => return call.poll(cx),
            }
        }
    }
}
