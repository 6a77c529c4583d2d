//! The service that takes a turn before each call.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{RateLimitHandle, future::ResponseFuture, layer::Shared};
use crate::{IntoLayerError, error::ErrorOf};

/// A service behind a rate limiter. Made by a [`RateLimitLayer`](super::RateLimitLayer).
///
/// Its readiness is that of the inner service: a call waits for its turn in the future, not in `poll_ready`.
#[derive(Clone, Debug)]
pub struct RateLimit<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> RateLimit<S> {
    pub(super) fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }

    /// A handle to read, change and use the limiter.
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, Req> Service<Req> for RateLimit<S>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let now = self.shared.clock.now();
        if self.shared.core.try_take(now).is_ok() {
            return ResponseFuture::called(self.inner.call(request));
        }
        // Not called now, so the readiness of this instance goes along with the call that waits.
        let clone = self.inner.clone();
        let readied = mem::replace(&mut self.inner, clone);
        ResponseFuture::asking(readied, request, Arc::clone(&self.shared))
    }
}
