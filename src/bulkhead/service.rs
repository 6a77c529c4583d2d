//! The service that takes a place before each call.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{BulkheadHandle, Hold, Permit, UntilResponse, future::ResponseFuture, layer::Shared};
use crate::{IntoLayerError, error::ErrorOf};

/// A service behind a bulkhead. Made by a [`BulkheadLayer`](super::BulkheadLayer).
///
/// Its readiness is that of the inner service: a call waits for its place in the future, not in `poll_ready`.
#[derive(Clone, Debug)]
pub struct Bulkhead<S, H = UntilResponse> {
    inner: S,
    shared: Arc<Shared>,
    hold: H,
}

impl<S, H> Bulkhead<S, H> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, hold: H) -> Self {
        Self { inner, shared, hold }
    }

    /// A handle to read, change and use the bulkhead.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, H, Req> Service<Req> for Bulkhead<S, H>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    H: Hold<S::Response> + Clone,
{
    type Response = H::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req, H>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if self.shared.places.try_take() {
            let permit = Permit::of(Arc::clone(&self.shared));
            return ResponseFuture::called(self.inner.call(request), permit, self.hold.clone());
        }
        // Not called now, so the readiness of this instance goes along with the call that waits.
        let clone = self.inner.clone();
        let readied = mem::replace(&mut self.inner, clone);
        ResponseFuture::asking(readied, request, Arc::clone(&self.shared), self.hold.clone())
    }
}
