//! What the layers are put around.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use steadfast::{
    Rejected, RejectedKind,
    rate_limit::{Decision, Question, Store, StoreError},
};
use tower::Service;

/// Answers at once, or at the second poll.
#[derive(Clone)]
pub(super) struct Inner {
    pub(super) pending: bool,
}

pub(super) struct Answer {
    pending: bool,
}

impl Service<u64> for Inner {
    type Response = u64;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Answer {
        Answer { pending: self.pending }
    }
}

impl Future for Answer {
    type Output = Result<u64, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(std::hint::black_box(7)))
    }
}

/// governor around a service, which it does not bring itself.
#[derive(Clone)]
pub(super) struct Governed {
    inner: Inner,
    limiter: Arc<DefaultDirectRateLimiter>,
}

impl Governed {
    pub(super) fn new(inner: Inner, per_second: u32) -> Self {
        let quota = Quota::per_second(per_second.try_into().expect("not zero"));
        Self { inner, limiter: Arc::new(RateLimiter::direct(quota)) }
    }
}

impl Service<u64> for Governed {
    type Response = u64;
    type Error = Infallible;
    type Future = Either;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: u64) -> Either {
        match self.limiter.check() {
            Ok(()) => Either(Some(self.inner.call(request))),
            Err(not_until) => {
                std::hint::black_box(not_until.earliest_possible());
                Either(None)
            }
        }
    }
}

pub(super) struct Either(Option<Answer>);

impl Future for Either {
    type Output = Result<u64, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(answer) => Pin::new(answer).poll(cx),
            None => Poll::Ready(Ok(0)),
        }
    }
}

/// A store that answers at once, always the same.
pub(super) struct Always(pub(super) Decision);

impl Store for Always {
    type Take = Ready<Result<Decision, StoreError>>;

    fn take(&self, _: Question) -> Self::Take {
        ready(Ok(std::hint::black_box(self.0)))
    }
}

/// Refuses each call, or answers it.
#[derive(Clone)]
pub(super) struct Refusing(pub(super) bool);

impl Service<u64> for Refusing {
    type Response = u64;
    type Error = Rejected;
    type Future = Ready<Result<u64, Rejected>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(if self.0 { Err(Rejected::new(RejectedKind::BulkheadFull, "full")) } else { Ok(request) })
    }
}
