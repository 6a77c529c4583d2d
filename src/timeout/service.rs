//! The service that puts a limit on each call.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tower::Service;

use super::{future::ResponseFuture, layer::Shared};
use crate::{IntoLayerError, context::TimeLimit, error::ErrorOf};

/// A service whose calls have a time limit. Made by a [`TimeoutLayer`](super::TimeoutLayer).
///
/// Its readiness is that of the inner service, which is not under the limit; see [`ready`](crate::ready).
#[derive(Clone, Debug)]
pub struct Timeout<S, P = SameForAll> {
    inner: S,
    shared: Arc<Shared>,
    per_request: P,
}

/// The limit of one request, if it has one of its own. Implemented by `Fn(&Req) -> Option<Duration>`.
pub trait TimeoutOf<Req> {
    /// The limit of `request`; `None`: that of the layer.
    fn timeout_of(&self, request: &Req) -> Option<Duration>;
}

/// No request has a limit of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SameForAll;

impl<Req> TimeoutOf<Req> for SameForAll {
    fn timeout_of(&self, _request: &Req) -> Option<Duration> {
        None
    }
}

impl<F, Req> TimeoutOf<Req> for F
where
    F: Fn(&Req) -> Option<Duration>,
{
    fn timeout_of(&self, request: &Req) -> Option<Duration> {
        self(request)
    }
}

impl<S, P> Timeout<S, P> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, per_request: P) -> Self {
        Self { inner, shared, per_request }
    }
}

impl<S, P, Req> Service<Req> for Timeout<S, P>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    P: TimeoutOf<Req>,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let limit = self.per_request.timeout_of(&request).unwrap_or_else(|| self.shared.limit());
        let mut limit = TimeLimit::within(limit);
        let inner = limit.enter(|| self.inner.call(request));
        ResponseFuture::new(inner, limit, Arc::clone(&self.shared))
    }
}
