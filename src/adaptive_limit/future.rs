//! The response of a call that needs a place.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tower::Service;

use super::measured::Measured;
use crate::{
    Classify, IntoLayerError,
    bulkhead::{self, Hold},
    error::ErrorOf,
};

/// The response future of an [`AdaptiveLimit`](super::AdaptiveLimit). Dropping it leaves the queue, or drops the call and
/// gives its place to the next in line.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, Req, C, H>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
{
    #[pin]
    pub(super) inner: bulkhead::ResponseFuture<Measured<S, C>, Req, H>,
}

impl<S, Req, C, H> Future for ResponseFuture<S, Req, C, H>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
    H: Hold<S::Response>,
{
    type Output = Result<H::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().inner.poll(cx)
    }
}

impl<S, Req, C, H> fmt::Debug for ResponseFuture<S, Req, C, H>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseFuture").field(&self.inner).finish()
    }
}
