//! The response of a call that may have been hit.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project::pin_project;
use tower::Service;

use crate::{
    ready::ReadyFuture,
    telemetry::Name,
    time::{self, Sleep},
};

/// The response future of [`Chaos`](super::Chaos). Dropping it drops the call, or what was to become of it.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req> {
    #[pin]
    state: State<S, Req>,
    /// What comes after the delay.
    then: Option<Then<S, Req>>,
}

#[pin_project(project = StateProj)]
enum State<S: Service<Req>, Req> {
    Delayed(#[pin] Sleep),
    /// The delay is over.
    Due,
    Hung,
    Readying(#[pin] ReadyFuture<S, Req>),
    Called(#[pin] S::Future),
}

enum Then<S: Service<Req>, Req> {
    Pass(S, Req),
    Fail(Result<S::Response, S::Error>),
    Panic(Name),
}

impl<S: Service<Req>, Req> ResponseFuture<S, Req> {
    pub(super) fn called(call: S::Future) -> Self {
        Self { state: State::Called(call), then: None }
    }

    pub(super) fn hangs() -> Self {
        Self { state: State::Hung, then: None }
    }

    pub(super) fn passes(delay: Option<Duration>, readied: S, request: Req) -> Self {
        Self::after(delay, Then::Pass(readied, request))
    }

    pub(super) fn fails(delay: Option<Duration>, outcome: Result<S::Response, S::Error>) -> Self {
        Self::after(delay, Then::Fail(outcome))
    }

    pub(super) fn panics(delay: Option<Duration>, name: Name) -> Self {
        Self::after(delay, Then::Panic(name))
    }

    fn after(delay: Option<Duration>, then: Then<S, Req>) -> Self {
        let until = delay.map(|delay| time::after(time::now(), delay));
        let state = match until {
            None => State::Due,
            Some(Some(until)) => State::Delayed(Sleep::until(until)),
            // Beyond what the clock can express.
            Some(None) => State::Hung,
        };
        Self { state, then: Some(then) }
    }
}

impl<S: Service<Req>, Req> Future for ResponseFuture<S, Req> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Delayed(timer) => {
                    if !timer.poll_elapsed(cx) {
                        return Poll::Pending;
                    }
                    this.state.set(State::Due);
                }
                StateProj::Due => match this.then.take().expect("polled after it was ready") {
                    Then::Pass(service, request) => {
                        this.state.set(State::Readying(ReadyFuture::waiting(service, request)));
                    }
                    Then::Fail(outcome) => return Poll::Ready(outcome),
                    Then::Panic(name) => panic!("a panic of chaos `{name}`"),
                },
                StateProj::Hung => return Poll::Pending,
                StateProj::Readying(call) => return call.poll(cx),
                StateProj::Called(call) => return call.poll(cx),
            }
        }
    }
}

impl<S: Service<Req>, Req> fmt::Debug for ResponseFuture<S, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hit = !matches!(self.state, State::Called(_));
        f.debug_struct("ResponseFuture").field("hit", &hit).finish_non_exhaustive()
    }
}
