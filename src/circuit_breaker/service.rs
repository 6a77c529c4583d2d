//! The service that asks the breaker before each call.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use tower::Service;

use super::{CircuitBreakerHandle, core::Core, future::ResponseFuture, permit::Permit};
use crate::{Classify, DefaultClassify, IntoLayerError, error::ErrorOf};

/// A service behind a circuit breaker. Made by a [`CircuitBreakerLayer`](super::CircuitBreakerLayer).
///
/// Its readiness is that of the inner service while calls are let through. While they are not, it is ready at once
/// and refuses in `call`; it admits a call only on an inner service that it has driven to ready.
/// If it opens between the two, it refuses while the inner service stays ready: what that holds (a permit of a
/// `ConcurrencyLimit`) is for the next call of the same instance, and given up with it. So let each call have a clone, as
/// `oneshot` and [`Retry`](crate::retry::Retry) do.
#[derive(Debug)]
pub struct CircuitBreaker<S, C = DefaultClassify> {
    inner: S,
    inner_ready: bool,
    core: Arc<Core>,
    classify: C,
}

impl<S, C> CircuitBreaker<S, C> {
    pub(super) fn new(inner: S, core: Arc<Core>, classify: C) -> Self {
        Self { inner, inner_ready: false, core, classify }
    }

    /// A handle to read and move the breaker.
    pub fn handle(&self) -> CircuitBreakerHandle {
        CircuitBreakerHandle { core: Arc::clone(&self.core) }
    }
}

impl<S: Clone, C: Clone> Clone for CircuitBreaker<S, C> {
    fn clone(&self) -> Self {
        // The clone's inner service has not been driven to ready.
        Self::new(self.inner.clone(), Arc::clone(&self.core), self.classify.clone())
    }
}

impl<S, C, Req> Service<Req> for CircuitBreaker<S, C>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if !self.inner_ready && self.core.would_admit(|| self.core.clock.now()) {
            ready!(self.inner.poll_ready(cx)).map_err(IntoLayerError::into_layer_error)?;
            self.inner_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if !self.inner_ready {
            // The breaker let nothing through when readiness was asked, so the inner service was not driven.
            return ResponseFuture::refused(Permit::refuse(&self.core));
        }
        match Permit::for_call(&self.core) {
            Ok(mut permit) => {
                self.inner_ready = false;
                let inner = permit.run(|| self.inner.call(request));
                ResponseFuture::called(inner, permit, self.classify.clone())
            }
            Err(rejected) => ResponseFuture::refused(rejected),
        }
    }
}

#[cfg(all(test, not(steadfast_loom)))]
mod tests {
    use std::{future::Future, pin::pin, task::Waker};

    use tower::{Layer, service_fn};

    use super::*;
    use crate::{circuit_breaker::CircuitBreakerLayer, sync::LOCKED};

    /// How often `act` locks.
    fn locks<T>(act: impl FnOnce() -> T) -> (u32, T) {
        let before = LOCKED.get();
        let value = act();
        (LOCKED.get() - before, value)
    }

    #[test]
    fn a_call_through_a_closed_breaker_locks_once_to_record_and_never_to_be_admitted() {
        let breaker = CircuitBreakerLayer::default();
        let mut service = breaker.layer(service_fn(|()| std::future::ready(Ok::<_, crate::Rejected>(()))));
        let mut cx = Context::from_waker(Waker::noop());
        let (asking, ready) = locks(|| service.poll_ready(&mut cx));
        assert!(ready.is_ready());
        let (admission, call) = locks(|| service.call(()));
        let mut call = pin!(call);
        let (recording, answer) = locks(|| call.as_mut().poll(&mut cx));
        assert!(answer.is_ready());
        assert_eq!((asking, admission, recording), (0, 0, 1));
    }

    #[test]
    fn a_refusal_by_an_open_breaker_locks_once_to_ask_and_once_to_be_counted() {
        let breaker = CircuitBreakerLayer::default();
        breaker.handle().force_open();
        let mut service = breaker.layer(service_fn(|()| std::future::ready(Ok::<_, crate::Rejected>(()))));
        let mut cx = Context::from_waker(Waker::noop());
        let (asking, _) = locks(|| service.poll_ready(&mut cx));
        let (refusing, _) = locks(|| service.call(()));
        assert_eq!((asking, refusing), (1, 1));
    }
}
