//! The service that takes a place before each call.

use std::task::{Context, Poll};

use tower::Service;

use super::{future::ResponseFuture, measured::Measured};
use crate::{
    Classify, DefaultClassify, IntoLayerError,
    bulkhead::{Bulkhead, Hold, UntilResponse},
    error::ErrorOf,
};

/// A service behind an adaptive limit. Made by an [`AdaptiveLimitLayer`](super::AdaptiveLimitLayer).
///
/// Its readiness is that of the inner service: a call waits for its place in the future, not in `poll_ready`.
#[derive(Clone, Debug)]
pub struct AdaptiveLimit<S, C = DefaultClassify, H = UntilResponse> {
    pub(super) inner: Bulkhead<Measured<S, C>, H>,
}

impl<S, C, H, Req> Service<Req> for AdaptiveLimit<S, C, H>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
    H: Hold<S::Response> + Clone,
{
    type Response = H::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req, C, H>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture { inner: self.inner.call(request) }
    }
}
