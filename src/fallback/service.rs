//! The service that answers instead of another.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{
    Recover, Trigger,
    future::ResponseFuture,
    layer::{Parts, Shared},
};
use crate::{Classify, DefaultClassify, IntoLayerError, error::ErrorOf};

/// A service with a fallback. Made by a [`FallbackLayer`](super::FallbackLayer).
///
/// Its readiness is that of the inner service.
#[derive(Clone, Debug)]
pub struct Fallback<S, H, C = DefaultClassify, W = fn(Trigger<'_>) -> bool> {
    inner: S,
    shared: Arc<Shared>,
    parts: Parts<H, C, W>,
}

impl<S, H, C, W> Fallback<S, H, C, W> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, parts: Parts<H, C, W>) -> Self {
        Self { inner, shared, parts }
    }
}

impl<S, H, C, W, Req> Service<Req> for Fallback<S, H, C, W>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    H: Recover<Req, S::Response, ErrorOf<S::Error>> + Clone,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
    W: Fn(Trigger<'_>) -> bool + Clone,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req, H, C, W>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let kept = self.parts.recover.keep(&request);
        let call = self.inner.call(request);
        ResponseFuture::new(call, kept, Arc::clone(&self.shared), self.parts.clone())
    }
}
