//! What is answered instead: a value, a function's result, another service's answer.

use std::{
    fmt,
    future::{self, Future},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tower::Service;

use crate::{IntoLayerError, LayerError, error::ErrorOf, ready::ReadyFuture, retry::Replay};

/// Answers instead of a service. Made by the constructors of [`Fallback`](super::Fallback).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer instead of this service",
    label = "this fallback gives other answers than the service below it",
    note = "that answers requests of type `{Req}` with `Result<{Res}, {Err}>`, so its fallback has to do so too"
)]
pub trait Recover<Req, Res, Err> {
    /// What is kept of each request, should the fallback be needed.
    type Kept;
    /// The answer.
    type Future: Future<Output = Result<Res, Err>>;

    /// Keeps what is needed of a request, before the call.
    fn keep(&self, request: &Req) -> Self::Kept;

    /// Answers instead of `outcome`.
    fn recover(&self, outcome: Result<Res, Err>, kept: Self::Kept) -> Self::Future;
}

/// Answers with a copy of a value.
#[derive(Clone, Copy)]
pub struct Value<T>(pub(super) T);

impl<T, Req, Err> Recover<Req, T, Err> for Value<T>
where
    T: Clone,
{
    type Kept = ();
    type Future = future::Ready<Result<T, Err>>;

    fn keep(&self, _request: &Req) {}

    fn recover(&self, _outcome: Result<T, Err>, (): ()) -> Self::Future {
        future::ready(Ok(self.0.clone()))
    }
}

/// Answers with what a function makes of the outcome.
#[derive(Clone, Copy)]
pub struct FromOutcome<F>(pub(super) F);

impl<F, Req, Res, Err> Recover<Req, Res, Err> for FromOutcome<F>
where
    F: Fn(Result<Res, Err>) -> Result<Res, Err>,
{
    type Kept = ();
    type Future = future::Ready<Result<Res, Err>>;

    fn keep(&self, _request: &Req) {}

    fn recover(&self, outcome: Result<Res, Err>, (): ()) -> Self::Future {
        future::ready((self.0)(outcome))
    }
}

/// Answers with what a function makes of the outcome and the request, of which a copy is kept.
#[derive(Clone, Copy)]
pub struct FromRequest<F, P> {
    pub(super) function: F,
    pub(super) copy: P,
}

impl<F, P, Req, Res, Err> Recover<Req, Res, Err> for FromRequest<F, P>
where
    F: Fn(Result<Res, Err>, Req) -> Result<Res, Err>,
    P: Replay<Req>,
{
    type Kept = Option<Req>;
    type Future = future::Ready<Result<Res, Err>>;

    fn keep(&self, request: &Req) -> Option<Req> {
        self.copy.copy(request)
    }

    fn recover(&self, outcome: Result<Res, Err>, kept: Option<Req>) -> Self::Future {
        future::ready(match kept {
            Some(request) => (self.function)(outcome, request),
            None => outcome,
        })
    }
}

/// Answers with what another service answers to a copy of the request.
#[derive(Clone, Copy)]
pub struct FromService<S, P> {
    pub(super) service: S,
    pub(super) copy: P,
}

impl<S, P, Req, Err> Recover<Req, S::Response, Err> for FromService<S, P>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError<Error = Err>,
    Err: LayerError,
    P: Replay<Req>,
{
    type Kept = Option<Req>;
    type Future = ServiceAnswer<S, Req>;

    fn keep(&self, request: &Req) -> Option<Req> {
        self.copy.copy(request)
    }

    fn recover(&self, outcome: Result<S::Response, Err>, kept: Option<Req>) -> Self::Future {
        ServiceAnswer {
            state: match kept {
                Some(request) => Answer::Called(ReadyFuture::waiting(self.service.clone(), request)),
                None => Answer::Original(Some(outcome)),
            },
        }
    }
}

/// The answer of a fallback service, or the original outcome of a request that could not be copied.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ServiceAnswer<S, Req>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
{
    #[pin]
    state: Answer<S, Req>,
}

#[pin_project(project = AnswerProj)]
enum Answer<S, Req>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
{
    Called(#[pin] ReadyFuture<S, Req>),
    Original(Option<Result<S::Response, ErrorOf<S::Error>>>),
}

impl<S, Req> Future for ServiceAnswer<S, Req>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            AnswerProj::Called(answer) => answer.poll(cx).map_err(IntoLayerError::into_layer_error),
            AnswerProj::Original(outcome) => Poll::Ready(outcome.take().expect("polled after it was ready")),
        }
    }
}

macro_rules! opaque_debug {
    ($($name:ident<$($param:ident),*>;)*) => {$(
        impl<$($param),*> fmt::Debug for $name<$($param),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

opaque_debug! {
    Value<T>;
    FromOutcome<F>;
    FromRequest<F, P>;
    FromService<S, P>;
}

impl<S, Req> fmt::Debug for ServiceAnswer<S, Req>
where
    S: Service<Req>,
    S::Error: IntoLayerError,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAnswer").finish_non_exhaustive()
    }
}
