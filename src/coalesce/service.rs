//! The service that makes one call for many.

use std::{
    hash::Hash,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{CloneOutcome, CoalesceHandle, future::ResponseFuture, seat::Shared, share::Share};
use crate::ready::ReadyFuture;

/// A service that makes one call for many equal requests in flight. Made by a [`CoalesceLayer`](super::CoalesceLayer).
///
/// Always ready: whoever makes the call drives a clone of the inner service to ready, within the call. Its errors are those
/// of the inner service.
pub struct Coalesce<S, F, K, W: Future, C = CloneOutcome> {
    inner: S,
    shared: Arc<Shared<K, W>>,
    key: F,
    share: C,
}

impl<S, F, K, W: Future, C> Coalesce<S, F, K, W, C> {
    pub(super) fn new(inner: S, shared: Arc<Shared<K, W>>, key: F, share: C) -> Self {
        Self { inner, shared, key, share }
    }

    /// A handle to read and switch the coalescer.
    pub fn handle(&self) -> CoalesceHandle {
        CoalesceHandle { stats: Arc::clone(&self.shared.stats) }
    }
}

impl<S, Req, F, K, C> Service<Req> for Coalesce<S, F, K, ReadyFuture<S, Req>, C>
where
    S: Service<Req> + Clone,
    F: Fn(&Req) -> Option<K>,
    K: Eq + Hash,
    C: Share<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, K, C>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Who only waits for somebody else's call would hold a place below that it does not use.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let key = if self.shared.stats.is_enabled() { (self.key)(&request) } else { None };
        let service = self.inner.clone();
        match key {
            None => ResponseFuture::alone(service, request),
            Some(key) => ResponseFuture::member(Arc::clone(&self.shared), key, service, request, self.share.clone()),
        }
    }
}

impl<S: Clone, F: Clone, K, W: Future, C: Clone> Clone for Coalesce<S, F, K, W, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            shared: Arc::clone(&self.shared),
            key: self.key.clone(),
            share: self.share.clone(),
        }
    }
}

impl<S: std::fmt::Debug, F, K, W: Future, C> std::fmt::Debug for Coalesce<S, F, K, W, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coalesce").field("inner", &self.inner).field("shared", &self.shared).finish_non_exhaustive()
    }
}
