//! The service that takes a turn from the store before each call.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{super::Store, Acquire, SharedRateLimitHandle, SharedResponseFuture, layer::State};
use crate::{IntoLayerError, error::ErrorOf};

/// A service behind a limiter over a store. Made by a [`SharedRateLimitLayer`](super::SharedRateLimitLayer).
///
/// Its readiness is that of the inner service: a call asks the store and waits for its turn in the future, not in
/// `poll_ready`.
pub struct SharedRateLimit<S, St> {
    inner: S,
    state: Arc<State<St>>,
}

impl<S, St: Store> SharedRateLimit<S, St> {
    pub(super) fn new(inner: S, state: Arc<State<St>>) -> Self {
        Self { inner, state }
    }

    /// A handle to read, change and use the limiter.
    pub fn handle(&self) -> SharedRateLimitHandle<St> {
        SharedRateLimitHandle { state: Arc::clone(&self.state) }
    }
}

impl<S, St, Req> Service<Req> for SharedRateLimit<S, St>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    St: Store,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = SharedResponseFuture<S, Req, St>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // Not called now, so the readiness of this instance goes along with the call that waits.
        let clone = self.inner.clone();
        let readied = mem::replace(&mut self.inner, clone);
        SharedResponseFuture::new(Acquire::new(Arc::clone(&self.state)), readied, request)
    }
}

impl<S: Clone, St> Clone for SharedRateLimit<S, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), state: Arc::clone(&self.state) }
    }
}

impl<S: fmt::Debug, St> fmt::Debug for SharedRateLimit<S, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.state.local.name;
        f.debug_struct("SharedRateLimit").field("inner", &self.inner).field("name", name).finish_non_exhaustive()
    }
}
