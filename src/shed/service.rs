//! The service that takes a place before each call.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{FromContext, KeyOf, OneKey, Permit, PriorityOf, ShedHandle, future::ResponseFuture, layer::Shared};
use crate::{IntoLayerError, error::ErrorOf};

/// A service in front of which load is shed. Made by a [`ShedLayer`](super::ShedLayer).
///
/// Its readiness is that of the inner service: a call waits for its place in the future, not in `poll_ready`.
#[derive(Clone, Debug)]
pub struct Shed<S, P = FromContext, K = OneKey> {
    inner: S,
    shared: Arc<Shared>,
    priority: P,
    key: K,
}

impl<S, P, K> Shed<S, P, K> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, priority: P, key: K) -> Self {
        Self { inner, shared, priority, key }
    }

    /// A handle to read, change and use it.
    pub fn handle(&self) -> ShedHandle {
        ShedHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, P, K, Req> Service<Req> for Shed<S, P, K>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    P: PriorityOf<Req> + Clone,
    K: KeyOf<Req> + Clone,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req, P, K>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if self.shared.core.try_take() {
            let permit = Permit::of(Arc::clone(&self.shared), None);
            return ResponseFuture::called(self.inner.call(request), permit);
        }
        // Not called now, so the readiness of this instance goes along with the call that waits.
        let clone = self.inner.clone();
        let readied = mem::replace(&mut self.inner, clone);
        let sorting = (self.priority.clone(), self.key.clone());
        ResponseFuture::asking(readied, request, Arc::clone(&self.shared), sorting)
    }
}
