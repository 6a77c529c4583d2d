//! The response of a call that needs a place.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::Service;

use super::{Hold, Permit, core::Asked, handle::Refused, layer::Shared, permit::Turn};
use crate::{
    IntoLayerError, Rejected, context,
    error::ErrorOf,
    time::{self, Instant, Sleep},
};

/// The response future of a [`Bulkhead`](super::Bulkhead). Dropping it leaves the queue, or drops the call and gives
/// its place to the next in line.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req, H> {
    #[pin]
    state: State<S::Future>,
    /// What the call is made with, while it has not been made.
    waiting: Option<(S, Req, Arc<Shared>)>,
    permit: Option<Permit>,
    hold: H,
}

#[pin_project(project = StateProj)]
enum State<F> {
    /// No place was free; ask again, with a waker.
    Asking,
    /// In the queue.
    Waiting {
        turn: Turn,
        #[pin]
        timer: Option<Sleep>,
    },
    /// The place is there; the service was ready when it was asked, and is driven to ready if it no longer is.
    Readying,
    Called(#[pin] F),
}

impl<S: Service<Req>, Req, H> ResponseFuture<S, Req, H> {
    pub(super) fn called(call: S::Future, permit: Permit, hold: H) -> Self {
        Self { state: State::Called(call), waiting: None, permit: Some(permit), hold }
    }

    pub(super) fn asking(service: S, request: Req, shared: Arc<Shared>, hold: H) -> Self {
        Self { state: State::Asking, waiting: Some((service, request, shared)), permit: None, hold }
    }
}

impl<S, Req, H> Future for ResponseFuture<S, Req, H>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    H: Hold<S::Response>,
{
    type Output = Result<H::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Asking => (Readying | Waiting), or refused
                StateProj::Asking => {
                    let (_, _, shared) = this.waiting.as_ref().expect("polled after it was ready");
                    match ask(shared, cx) {
                        Ok(Entered::Taken(permit)) => {
                            *this.permit = Some(permit);
                            this.state.set(State::Readying);
                        }
                        Ok(Entered::Waiting { turn, until }) => {
                            this.state.set(State::Waiting { turn, timer: until.map(Sleep::until) });
                        }
                        Err(rejected) => {
                            *this.waiting = None;
                            return Poll::Ready(Err(rejected.into()));
                        }
                    }
                }
                // ## Waiting => Readying, or refused
                StateProj::Waiting { turn, timer } => {
                    let (_, _, shared) = this.waiting.as_ref().expect("a call that waits has not been made");
                    let given = match turn.poll(cx) {
                        Poll::Ready(permit) => Some(permit),
                        Poll::Pending => {
                            let Some(timer) = timer.as_pin_mut() else { return Poll::Pending };
                            if !timer.poll_elapsed(cx) {
                                return Poll::Pending;
                            }
                            turn.give_up()
                        }
                    };
                    // A place that comes after the deadline is for somebody else.
                    let in_time = context::deadline().is_none_or(|deadline| time::now() < deadline);
                    let Some(permit) = given.filter(|_| in_time) else {
                        let rejected = shared.refuse(Refused::WaitedTooLong);
                        *this.waiting = None;
                        return Poll::Ready(Err(rejected.into()));
                    };
                    *this.permit = Some(permit);
                    this.state.set(State::Readying);
                }
                // ## Readying => Called
                StateProj::Readying => {
                    let (service, ..) = this.waiting.as_mut().expect("a call that waits has not been made");
                    if let Err(error) = ready!(service.poll_ready(cx)) {
                        (*this.waiting, *this.permit) = (None, None);
                        return Poll::Ready(Err(error.into_layer_error()));
                    }
                    let (mut service, request, _) = this.waiting.take().expect("just seen");
                    this.state.set(State::Called(service.call(request)));
                }
                StateProj::Called(call) => {
                    let outcome = ready!(call.poll(cx)).map_err(IntoLayerError::into_layer_error);
                    let permit = this.permit.take().expect("polled after it was ready");
                    return Poll::Ready(outcome.map(|response| this.hold.hold(response, permit)));
                }
            }
        }
    }
}

/// What asking with a waker comes to, if it is not refused.
enum Entered {
    Taken(Permit),
    Waiting { turn: Turn, until: Option<Instant> },
}

/// Takes a place or joins the queue, unless that would be in vain.
fn ask(shared: &Arc<Shared>, cx: &Context<'_>) -> Result<Entered, Rejected> {
    let (place, expected) = match shared.places.ask(cx.waker(), || shared.clock.now()) {
        Asked::Taken => return Ok(Entered::Taken(Permit::of(Arc::clone(shared)))),
        Asked::Full => return Err(shared.refuse(Refused::Full)),
        Asked::Waiting { place, expected } => (place, expected),
    };
    let mut turn = Turn::of(Arc::clone(shared), place);
    let now = time::now();
    let deadline = context::deadline();
    let in_vain =
        deadline.is_some_and(|deadline| expected.unwrap_or_default() >= deadline.saturating_duration_since(now));
    if in_vain {
        return match turn.give_up() {
            Some(permit) => Ok(Entered::Taken(permit)),
            None => Err(shared.refuse(Refused::Hopeless)),
        };
    }
    let until = time::after(now, shared.settings.get().max_wait).into_iter().chain(deadline).min();
    Ok(Entered::Waiting { turn, until })
}

impl<S: Service<Req>, Req, H> fmt::Debug for ResponseFuture<S, Req, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("waiting", &self.waiting.is_some()).finish_non_exhaustive()
    }
}
