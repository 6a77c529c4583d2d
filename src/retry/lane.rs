//! One attempt at a time: the wait before it, the service's readiness, the attempt.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project::pin_project;
use tower::Service;

use super::{
    Replay,
    call::{Call, Token},
};
use crate::{IntoLayerError, context::AttemptCount, error::ErrorOf, time::Sleep};

#[pin_project(project = LaneProj)]
pub(super) enum Lane<F> {
    Trying(#[pin] F),
    Waiting(#[pin] Sleep),
    Readying,
    /// Nothing is under way here; only where there are two.
    Out,
}

/// What a lane is busy with, as far as the other one is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    Trying,
    /// An attempt is about to be sent.
    Preparing,
    Out,
}

impl<F> Lane<F> {
    pub(super) fn busy(&self) -> Busy {
        match self {
            Self::Trying(_) => Busy::Trying,
            Self::Waiting(_) | Self::Readying => Busy::Preparing,
            Self::Out => Busy::Out,
        }
    }
}

/// What the lanes of a call have in common.
pub(super) struct Turn<'a, S, Req, P> {
    /// Takes the later attempts; driven to ready before each.
    pub(super) service: &'a mut S,
    pub(super) call: &'a mut Call<Req>,
    pub(super) replay: &'a P,
}

type Outcome<S, Req> = Result<<S as Service<Req>>::Response, ErrorOf<<S as Service<Req>>::Error>>;

impl<S, Req, P> Turn<'_, S, Req, P>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    P: Replay<Req>,
{
    /// One step: an outcome, or that something has changed. The `number` is that of the lane's attempt, where there may
    /// be another one under way.
    #[inline(always)] // Where there is one lane only, all that is for two goes away.
    pub(super) fn step(
        &mut self,
        mut lane: Pin<&mut Lane<S::Future>>,
        token: &mut Token,
        mut number: Option<&mut u32>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Outcome<S, Req>>> {
        let Self { service, call, replay } = self;
        match lane.as_mut().project() {
            // ## Trying => an outcome
            LaneProj::Trying(attempt) => {
                let outcome = ready!(enter(&mut call.attempts, number, || attempt.poll(cx)));
                Poll::Ready(Some(outcome.map_err(IntoLayerError::into_layer_error)))
            }
            // ## Waiting => Readying
            LaneProj::Waiting(wait) => {
                ready!(wait.poll(cx));
                lane.set(Lane::Readying);
                Poll::Ready(None)
            }
            // ## Readying => Trying
            LaneProj::Readying => {
                match ready!(enter(&mut call.attempts, number.as_deref_mut(), || service.poll_ready(cx))) {
                    Ok(()) => {
                        let request = call.copy.take().expect("an attempt follows only if there is a copy");
                        if call.attempts.left() {
                            call.copy = replay.copy(&request);
                        }
                        token.spend();
                        let attempt = enter(&mut call.attempts, number, || service.call(request));
                        lane.set(Lane::Trying(attempt));
                        Poll::Ready(None)
                    }
                    Err(error) => Poll::Ready(Some(Err(error.into_layer_error()))),
                }
            }
            LaneProj::Out => Poll::Pending,
        }
    }
}

#[inline(always)]
fn enter<T>(attempts: &mut AttemptCount, number: Option<&mut u32>, poll: impl FnOnce() -> T) -> T {
    match number {
        None => attempts.enter(poll),
        Some(number) => attempts.enter_as(number, poll),
    }
}
