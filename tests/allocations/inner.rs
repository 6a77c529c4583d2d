//! The service below the layers.

use std::{
    future::Future,
    hint::black_box,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use tower::Service;

/// Allocates nothing, unless that is what it is there for.
#[derive(Debug)]
pub(crate) struct Inner<E> {
    /// Whether each call is pending once.
    pub(crate) pending: bool,
    /// Whether each instance is not ready when it is first asked, before each call.
    pub(crate) unready: bool,
    pub(crate) asked: bool,
    /// Fails every second call.
    pub(crate) flaky: Option<fn() -> E>,
    pub(crate) allocates: bool,
    pub(crate) calls: u32,
    pub(crate) error: PhantomData<fn() -> E>,
}

impl<E> Inner<E> {
    pub(crate) fn new(pending: bool) -> Self {
        let (unready, asked, flaky, allocates, calls) = (false, false, None, false, 0);
        Self { pending, unready, asked, flaky, allocates, calls, error: PhantomData }
    }
}

impl<E> Clone for Inner<E> {
    fn clone(&self) -> Self {
        Self { asked: false, ..*self }
    }
}

impl<E> Service<u32> for Inner<E> {
    type Response = u32;
    type Error = E;
    type Future = Reply<E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        if self.unready && !std::mem::replace(&mut self.asked, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Reply<E> {
        self.asked = false;
        self.calls += 1;
        if self.allocates {
            drop(black_box(Box::new(request)));
        }
        let fail = self.flaky.filter(|_| self.calls % 2 == 1);
        Reply { pending: self.pending, answer: request, fail }
    }
}

pub(crate) struct Reply<E> {
    pending: bool,
    answer: u32,
    fail: Option<fn() -> E>,
}

impl<E> Future for Reply<E> {
    type Output = Result<u32, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.fail.map_or(Ok(self.answer), |fail| Err(fail())))
    }
}
