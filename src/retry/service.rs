//! The service that tries failed calls again.

use std::{
    marker::PhantomData,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{Backups, CloneRequest, NoBackup, Replay, RetryHandle, call::Call, future::ResponseFuture, layer::Shared};
use crate::{Classify, DefaultClassify, IntoLayerError, context::AttemptCount, error::ErrorOf};

/// A service whose failed calls are tried again. Made by a [`RetryLayer`](super::RetryLayer).
///
/// Its readiness is that of the inner service. The one that was driven to ready goes with the call, a clone of it stays;
/// each later attempt drives it to ready anew.
#[derive(Clone, Debug)]
pub struct Retry<S, C = DefaultClassify, P = CloneRequest, H = NoBackup> {
    inner: S,
    shared: Arc<Shared>,
    classify: C,
    replay: P,
    backup: PhantomData<H>,
}

impl<S, C, P, H> Retry<S, C, P, H> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, classify: C, replay: P) -> Self {
        Self { inner, shared, classify, replay, backup: PhantomData }
    }

    /// A handle to read and change the retry.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, C, P, H, Req> Service<Req> for Retry<S, C, P, H>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
    P: Replay<Req> + Clone,
    H: Backups,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req, C, P, H>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(IntoLayerError::into_layer_error)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let mut attempts = AttemptCount::begin(self.shared.settings.get().max_attempts, self.shared.budget.as_deref());
        let may_repeat = self.replay.may_repeat(&request);
        // Not for the last attempt: it is followed by none.
        let copy = if attempts.left() { self.replay.copy(&request) } else { None };
        // The readied service goes with the call, a clone stays: what a refusing breaker leaves of its readiness (a
        // permit of a limit below) serves the later attempts, which would wait for it otherwise.
        let clone = self.inner.clone();
        let mut readied = mem::replace(&mut self.inner, clone);
        let first = attempts.enter(|| readied.call(request));
        let shared = Arc::clone(&self.shared);
        let call = Call::new(attempts, copy, may_repeat);
        ResponseFuture::new(first, readied, shared, self.classify.clone(), self.replay.clone(), call)
    }
}
