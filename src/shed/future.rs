//! The response of a call that needs a place.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::pin_project;
use tower::Service;

use super::{
    KeyOf, Permit, PriorityOf,
    class::{self, Class},
    core::Asked,
    handle::Cause,
    layer::Shared,
    line::Call,
    permit::Turn,
};
use crate::{
    IntoLayerError, context,
    error::ErrorOf,
    time::{self, Sleep},
};

/// The response future of a [`Shed`](super::Shed). Dropping it leaves the line, or drops the call and gives its place to
/// the next in line.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req, P, K> {
    #[pin]
    state: State<S::Future>,
    /// What the call is made with, while it has not been made.
    waiting: Option<Waiting<S, Req, P, K>>,
    permit: Option<Permit>,
}

struct Waiting<S, Req, P, K> {
    service: S,
    request: Req,
    shared: Arc<Shared>,
    sorting: (P, K),
}

#[pin_project(project = StateProj)]
enum State<F> {
    /// No place was free; ask again, with a waker.
    Asking,
    /// In the line.
    Waiting {
        turn: Turn,
        class: Class,
        #[pin]
        timer: Option<Sleep>,
    },
    /// The place is there; the service was ready when it was asked, and is driven to ready if it no longer is.
    Readying,
    Called(#[pin] F),
}

impl<S: Service<Req>, Req, P, K> ResponseFuture<S, Req, P, K> {
    pub(super) fn called(call: S::Future, permit: Permit) -> Self {
        Self { state: State::Called(call), waiting: None, permit: Some(permit) }
    }

    pub(super) fn asking(service: S, request: Req, shared: Arc<Shared>, sorting: (P, K)) -> Self {
        let waiting = Some(Waiting { service, request, shared, sorting });
        Self { state: State::Asking, waiting, permit: None }
    }
}

impl<S, Req, P, K> Future for ResponseFuture<S, Req, P, K>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    P: PriorityOf<Req>,
    K: KeyOf<Req>,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Asking => (Readying | Waiting), or refused
                StateProj::Asking => {
                    let waiting = this.waiting.as_ref().expect("polled after it was ready");
                    let (call, now) = waiting.sort();
                    let shared = &waiting.shared;
                    match shared.core.ask(now, call, cx.waker().clone(), &|changes| shared.tell(changes)) {
                        Asked::Taken => {
                            *this.permit = Some(Permit::of(Arc::clone(shared), Some((now, call.class))));
                            this.state.set(State::Readying);
                        }
                        Asked::Waiting(ticket, until) => {
                            let turn = Turn::of(Arc::clone(shared), call.class, ticket);
                            let timer = shared.timer(until);
                            this.state.set(State::Waiting { turn, class: call.class, timer });
                        }
                        Asked::Refused => {
                            let rejected = shared.rejected();
                            *this.waiting = None;
                            return Poll::Ready(Err(rejected.into()));
                        }
                    }
                }
                // ## Waiting => Readying, or refused
                StateProj::Waiting { turn, class, mut timer } => {
                    let shared = &this.waiting.as_ref().expect("a call that waits has not been made").shared;
                    let answer = match turn.poll(cx) {
                        Poll::Ready(answer) => answer,
                        Poll::Pending => {
                            let Some(elapses) = timer.as_mut().as_pin_mut() else { return Poll::Pending };
                            if !elapses.poll_elapsed(cx) {
                                return Poll::Pending;
                            }
                            match turn.due(shared.clock.now()) {
                                Ok(answer) => answer,
                                Err(until) => {
                                    timer.set(shared.timer(until));
                                    continue;
                                }
                            }
                        }
                    };
                    let given = match answer {
                        // A place that comes after the deadline is for somebody else.
                        Ok(_) if context::deadline().is_some_and(|deadline| deadline <= time::now()) => {
                            shared
                                .core
                                .count(shared.clock.now(), *class, Cause::Expired, &|changes| shared.tell(changes));
                            None
                        }
                        answer => answer.ok(),
                    };
                    let Some(permit) = given else {
                        let rejected = shared.rejected();
                        *this.waiting = None;
                        this.state.set(State::Asking);
                        return Poll::Ready(Err(rejected.into()));
                    };
                    *this.permit = Some(permit);
                    this.state.set(State::Readying);
                }
                // ## Readying => Called
                StateProj::Readying => {
                    let waiting = this.waiting.as_mut().expect("a call that waits has not been made");
                    if let Err(error) = ready!(waiting.service.poll_ready(cx)) {
                        (*this.waiting, *this.permit) = (None, None);
                        return Poll::Ready(Err(error.into_layer_error()));
                    }
                    let Waiting { mut service, request, .. } = this.waiting.take().expect("just seen");
                    this.state.set(State::Called(service.call(request)));
                }
                StateProj::Called(call) => {
                    let outcome = ready!(call.poll(cx)).map_err(IntoLayerError::into_layer_error);
                    drop(this.permit.take().expect("polled after it was ready"));
                    return Poll::Ready(outcome);
                }
            }
        }
    }
}

impl<S, Req, P: PriorityOf<Req>, K: KeyOf<Req>> Waiting<S, Req, P, K> {
    /// What is known of the call, and the time. Read in a poll: below a buffer only those see the context.
    fn sort(&self) -> (Call, Duration) {
        let Self { request, shared, sorting: (priority, key), .. } = self;
        let class = Class::new(priority.priority_of(request), context::is_repeated());
        let flow = class::flow(key, request, shared.seed, shared.flows);
        let deadline = context::deadline().map(|deadline| shared.clock.at(deadline));
        (Call { class, flow, deadline }, shared.clock.now())
    }
}

impl Shared {
    /// `None`: beyond what the clock can express.
    fn timer(&self, until: Duration) -> Option<Sleep> {
        self.clock.instant(until).map(Sleep::until)
    }
}

impl<S: Service<Req>, Req, P, K> fmt::Debug for ResponseFuture<S, Req, P, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("waiting", &self.waiting.is_some()).finish_non_exhaustive()
    }
}
