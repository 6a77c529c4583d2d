//! The service whose calls may be hit.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{
    AllCalls, ChaosHandle, FailWith, Marked, NoFailure, ResponseFuture,
    fate::{End, Fate},
    layer::Shared,
};

/// A service with chaos around it. Made by a [`ChaosLayer`](super::ChaosLayer).
///
/// Its errors are those of the inner service, and its readiness is too: what is injected comes in the call.
#[derive(Clone, Debug)]
pub struct Chaos<S, F = NoFailure, M = AllCalls> {
    inner: S,
    shared: Arc<Shared>,
    fail: F,
    marked: M,
}

impl<S, F, M> Chaos<S, F, M> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, fail: F, marked: M) -> Self {
        Self { inner, shared, fail, marked }
    }

    /// A handle to read, change and switch it.
    pub fn handle(&self) -> ChaosHandle {
        ChaosHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, F, M, Req> Service<Req> for Chaos<S, F, M>
where
    S: Service<Req> + Clone,
    F: FailWith<Req, S::Response, S::Error>,
    M: Marked<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let fate = if self.marked.is_marked(&request) { self.shared.fate() } else { Fate::PASS };
        if fate == Fate::PASS {
            return ResponseFuture::called(self.inner.call(request));
        }
        // Not called now, so the readiness of this instance goes along with the call.
        let clone = self.inner.clone();
        let readied = mem::replace(&mut self.inner, clone);
        match fate.end {
            End::Pass => ResponseFuture::passes(fate.delay, readied, request),
            End::Hang => ResponseFuture::hangs(),
            End::Panic => ResponseFuture::panics(fate.delay, self.shared.name.clone()),
            End::Fail => match self.fail.fail(&request) {
                Some(outcome) => ResponseFuture::fails(fate.delay, outcome),
                None => ResponseFuture::passes(fate.delay, readied, request),
            },
        }
    }
}
