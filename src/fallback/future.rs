//! The response of a call with a fallback.

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
    Recover, Trigger,
    layer::{Parts, Shared},
};
use crate::{Classify, IntoLayerError, LayerError, Verdict, error::ErrorOf};

/// The response future of a [`Fallback`](super::Fallback). Dropping it drops the call, or the fallback's.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S, Req, H, C, W>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    H: Recover<Req, S::Response, ErrorOf<S::Error>>,
{
    #[pin]
    state: State<S::Future, H::Future>,
    /// What the fallback needs of the request; taken when it is called.
    kept: Option<H::Kept>,
    shared: Arc<Shared>,
    parts: Parts<H, C, W>,
}

#[pin_project(project = StateProj)]
enum State<F, A> {
    Called(#[pin] F),
    Recovering(#[pin] A),
}

impl<S, Req, H, C, W> ResponseFuture<S, Req, H, C, W>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    H: Recover<Req, S::Response, ErrorOf<S::Error>>,
{
    pub(super) fn new(call: S::Future, kept: H::Kept, shared: Arc<Shared>, parts: Parts<H, C, W>) -> Self {
        Self { state: State::Called(call), kept: Some(kept), shared, parts }
    }
}

impl<S, Req, H, C, W> Future for ResponseFuture<S, Req, H, C, W>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    H: Recover<Req, S::Response, ErrorOf<S::Error>>,
    C: Classify<S::Response, ErrorOf<S::Error>>,
    W: Fn(Trigger<'_>) -> bool,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Called => Recovering, or the outcome
                StateProj::Called(call) => {
                    let outcome = ready!(call.poll(cx)).map_err(IntoLayerError::into_layer_error);
                    if !applies(this.shared, this.parts, &outcome) {
                        return Poll::Ready(outcome);
                    }
                    let kept = this.kept.take().expect("polled after it was ready");
                    let answer = this.parts.recover.recover(outcome, kept);
                    this.state.set(State::Recovering(answer));
                }
                StateProj::Recovering(answer) => return answer.poll(cx),
            }
        }
    }
}

/// Whether the fallback is to answer instead of `outcome`; tells if so.
fn applies<H, C, W, Res, Err>(shared: &Shared, parts: &Parts<H, C, W>, outcome: &Result<Res, Err>) -> bool
where
    Err: LayerError,
    C: Classify<Res, Err>,
    W: Fn(Trigger<'_>) -> bool,
{
    let rejected = outcome.as_ref().err().and_then(LayerError::as_rejected);
    let trigger = match rejected {
        Some(rejected) => Trigger::Rejected(rejected),
        None => match parts.classify.classify(outcome.as_ref()) {
            Verdict::Success => return false,
            verdict => Trigger::Verdict(verdict),
        },
    };
    let applies = (parts.when)(trigger);
    if applies {
        shared.taken(trigger);
    }
    applies
}

impl<S, Req, H, C, W> fmt::Debug for ResponseFuture<S, Req, H, C, W>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
    H: Recover<Req, S::Response, ErrorOf<S::Error>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("shared", &self.shared).finish_non_exhaustive()
    }
}
