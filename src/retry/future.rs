//! The response of a call that may take several attempts.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::Service;

use super::{
    Backups, NoBackup, Replay,
    backup::{Alone, Beside},
    call::{Call, Then, Token},
    lane::{Busy, Lane, Turn},
    layer::Shared,
};
use crate::{
    Classify, IntoLayerError,
    error::ErrorOf,
    time::{self, Sleep},
};

/// Steps of a call that is always busy, after which it yields.
const STEPS_PER_POLL: usize = 128;

/// The response future of a [`Retry`](super::Retry). Dropping it drops the attempts in progress, and gives the budget
/// back the token of one that was not sent yet.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req, C, P, H: Backups = NoBackup> {
    #[pin]
    first: Lane<S::Future>,
    token: Token,
    /// Where a second attempt runs while the first is pending, if that may be.
    #[pin]
    second: H::Second<S::Future>,
    /// Takes the later attempts; driven to ready before each.
    service: S,
    call: Call<Req>,
    shared: Arc<Shared>,
    classify: C,
    replay: P,
}

impl<S: Service<Req>, Req, C, P, H: Backups> ResponseFuture<S, Req, C, P, H> {
    #[inline(always)]
    pub(super) fn new(
        first: S::Future,
        service: S,
        shared: Arc<Shared>,
        classify: C,
        replay: P,
        call: Call<Req>,
    ) -> Self {
        let (first, second) = (Lane::Trying(first), H::second());
        Self { first, token: Token::default(), second, service, call, shared, classify, replay }
    }
}

impl<S, Req, C, P, H> Future for ResponseFuture<S, Req, C, P, H>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>>,
    P: Replay<Req>,
    H: Backups,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (call, shared) = (this.call, &*this.shared);
        if !call.begun {
            call.begin(shared);
            if let Some(second) = H::project(this.second.as_mut()) {
                second.project().begin(call, shared);
            }
        }
        if let Some(second) = H::project(this.second.as_mut()) {
            second.project().notice();
        }
        // Whether the first lane has been polled for nothing, and need not be again.
        let mut quiet = false;
        for _ in 0..STEPS_PER_POLL {
            let mut second = H::project(this.second.as_mut()).map(|second| second.project());
            let mut turn = Turn { service: &mut *this.service, call: &mut *call, replay: &*this.replay };
            let number = second.as_mut().map(|second| &mut second.timings[0].number);
            let first = if quiet { Poll::Pending } else { turn.step(this.first.as_mut(), this.token, number, cx) };
            let (lane, outcome) = match first {
                Poll::Ready(Some(outcome)) => (0, outcome),
                Poll::Ready(None) => continue,
                Poll::Pending => {
                    let Some(second) = second.as_mut() else { return Poll::Pending };
                    quiet = true;
                    let number = Some(&mut second.timings[1].number);
                    match turn.step(second.lane.as_mut(), second.token, number, cx) {
                        Poll::Ready(Some(outcome)) => (1, outcome),
                        Poll::Ready(None) => continue,
                        Poll::Pending => {
                            ready!(second.poll_backup(this.first.as_mut(), this.token, call, shared, cx));
                            quiet = this.first.busy() == Busy::Trying;
                            continue;
                        }
                    }
                }
            };

            let then = match second.as_mut() {
                None => call.follow(shared, this.classify, &outcome, this.token, &mut Alone),
                Some(second) => {
                    let other = if lane == 0 { second.lane.busy() } else { this.first.busy() };
                    let mut beside = Beside::of(second, lane, other);
                    let token = if lane == 0 { &mut *this.token } else { &mut *second.token };
                    call.follow(shared, this.classify, &outcome, token, &mut beside)
                }
            };
            let next = match then {
                Then::Finish => None,
                Then::Leave => Some(Lane::Out),
                Then::Again(wait) if wait.is_zero() => Some(Lane::Readying),
                Then::Again(wait) => time::after(time::now(), wait).map(|end| {
                    // A refusal may have left the service ready, with a permit of a limit below: not to be held while
                    // waiting.
                    *this.service = this.service.clone();
                    Lane::Waiting(Sleep::until(end))
                }),
            };
            match (next, second) {
                (Some(next), None) => this.first.set(next),
                (Some(next), Some(mut second)) => {
                    second.ended(lane, call.attempts.made());
                    quiet &= lane != 0;
                    if lane == 0 {
                        this.first.set(next)
                    } else {
                        second.lane.set(next)
                    }
                    if this.first.busy() != Busy::Preparing && second.lane.busy() != Busy::Preparing {
                        // As above: a backup that was refused may have left a permit.
                        *this.service = this.service.clone();
                    }
                }
                (None, second) => {
                    if let Some(mut second) = second {
                        // Who loses is dropped here and not with this future, which may be kept; so is its place in a
                        // queue below, if it was not sent yet.
                        if [this.first.busy(), second.lane.busy()].contains(&Busy::Preparing) {
                            *this.service = this.service.clone();
                        }
                        this.first.set(Lane::Out);
                        *this.token = Token::default();
                        second.clear();
                    }
                    return Poll::Ready(call.finish(outcome));
                }
            }
        }
        // Attempts without a wait that fail at once: let others have the thread in between.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Service<Req>, Req, C, P, H: Backups> fmt::Debug for ResponseFuture<S, Req, C, P, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("attempts", &self.call.attempts.made()).finish_non_exhaustive()
    }
}
