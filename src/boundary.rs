//! The boundary of a stack: what is refused further down belongs to somebody else.
//!
//! [`Rejected::reached_service`](crate::Rejected::reached_service) tells retry whether a call may be sent again. That holds
//! within one stack. A handler that writes something, then calls another service through a client of its own, and
//! passes that client's refusal up with `?`, *has* been reached: to send it again is to write twice. Put this layer
//! innermost, directly around such a handler:
//!
//! ```
//! use steadfast::{Rejected, RejectedKind, boundary::BoundaryLayer};
//! use tower::{Layer, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let handler = service_fn(|()| async {
//!     // ... writes, then asks another service, whose circuit breaker is open:
//!     Err::<(), _>(Rejected::new(RejectedKind::CircuitOpen, "mailer"))
//! });
//! let error = BoundaryLayer.layer(handler).oneshot(()).await.unwrap_err();
//! assert!(error.reached_service());
//! # }
//! ```
//!
//! It also begins a new count of attempts: those of a client inside of the handler are not those of its callers.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tower::{Layer, Service};

use crate::{IntoLayerError, LayerError, context, error::ErrorOf};

/// Marks the rejections that come out of a service as having reached it. Holds no state.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoundaryLayer;

impl<S> Layer<S> for BoundaryLayer {
    type Service = Boundary<S>;

    fn layer(&self, inner: S) -> Boundary<S> {
        Boundary { inner }
    }
}

/// A service whose rejections count as its own answers. Made by a [`BoundaryLayer`].
#[derive(Clone, Debug)]
pub struct Boundary<S> {
    inner: S,
}

impl<S, Req> Service<Req> for Boundary<S>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture { inner: context::without_attempts(|| self.inner.call(request)) }
    }
}

/// The response future of a [`Boundary`]. Dropping it drops the call.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<F> {
    #[pin]
    inner: F,
}

impl<F, Res, Err> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Res, Err>>,
    Err: IntoLayerError,
{
    type Output = Result<Res, Err::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        context::without_attempts(|| self.project().inner.poll(cx)).map_err(|error| {
            let error = error.into_layer_error();
            match error.as_rejected() {
                Some(rejected) if !rejected.reached_service() => rejected.clone().reached().into(),
                _ => error,
            }
        })
    }
}
