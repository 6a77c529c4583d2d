//! Configures a fallback and owns its state.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tower::Layer;

use super::{
    Fallback,
    recover::{FromOutcome, FromRequest, FromService, Value},
};
use crate::{
    DefaultClassify, Rejected, RejectedKind, Verdict,
    retry::CloneRequest,
    telemetry::{Emitter, Events, Name},
};

/// Answers instead of a service that fails. All services it makes, and their clones, share its counters.
#[derive(Clone, Debug)]
pub struct FallbackLayer<H, C = DefaultClassify, W = fn(Trigger<'_>) -> bool> {
    shared: Arc<Shared>,
    parts: Parts<H, C, W>,
}

/// What decides whether and how a fallback answers.
#[derive(Clone, Debug)]
pub(super) struct Parts<H, C, W> {
    pub(super) recover: H,
    pub(super) classify: C,
    pub(super) when: W,
}

#[derive(Debug)]
pub(super) struct Shared {
    name: Name,
    taken: AtomicU64,
    events: Emitter<FallbackEvent>,
}

/// Why a fallback might be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger<'a> {
    /// A layer below ended the call.
    Rejected(&'a Rejected),
    /// The service answered, and this is what the answer means. Never [`Verdict::Success`].
    Verdict(Verdict),
}

/// An event of a fallback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FallbackEvent {
    /// A layer below had ended the call; the fallback answered.
    TakenForRejection(RejectedKind),
    /// The service's answer was no success; the fallback answered.
    TakenForVerdict(Verdict),
}

/// The default: every rejection, and every answer that counts against the service. Not [`Verdict::Neutral`]: a 404 is
/// an answer.
fn any_failure(trigger: Trigger<'_>) -> bool {
    match trigger {
        Trigger::Rejected(_) => true,
        Trigger::Verdict(verdict) => verdict.is_failure(),
    }
}

impl Shared {
    pub(super) fn taken(&self, trigger: Trigger<'_>) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        let event = match trigger {
            Trigger::Rejected(rejected) => FallbackEvent::TakenForRejection(rejected.kind()),
            Trigger::Verdict(verdict) => FallbackEvent::TakenForVerdict(verdict),
        };
        self.events.emit(|| event);
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", fallback = %self.name, ?event, "fallback taken");
    }
}

impl<H, C, W> FallbackLayer<H, C, W> {
    /// A handle to read this fallback.
    pub fn handle(&self) -> FallbackHandle {
        FallbackHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, H: Clone, C: Clone, W: Clone> Layer<S> for FallbackLayer<H, C, W> {
    type Service = Fallback<S, H, C, W>;

    fn layer(&self, inner: S) -> Self::Service {
        Fallback::new(inner, Arc::clone(&self.shared), self.parts.clone())
    }
}

/// Sets up a fallback. Nothing in it can be wrong, so [`build`](Self::build) has no error.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct FallbackBuilder<H, C = DefaultClassify, W = fn(Trigger<'_>) -> bool> {
    name: Name,
    parts: Parts<H, C, W>,
}

impl Fallback<(), ()> {
    /// Answers with a copy of `value`.
    pub fn value<T>(value: T) -> FallbackBuilder<Value<T>> {
        FallbackBuilder::of(Value(value))
    }

    /// Answers with what `function` makes of the outcome: `Fn(Result<Res, Err>) -> Result<Res, Err>`.
    pub fn from_outcome<F>(function: F) -> FallbackBuilder<FromOutcome<F>> {
        FallbackBuilder::of(FromOutcome(function))
    }

    /// Answers with what `function` makes of the outcome and the request, of which a copy is kept by `Clone`:
    /// `Fn(Result<Res, Err>, Req) -> Result<Res, Err>`. See [`copy_with`](FallbackBuilder::copy_with).
    pub fn from_request<F>(function: F) -> FallbackBuilder<FromRequest<F, CloneRequest>> {
        FallbackBuilder::of(FromRequest { function, copy: CloneRequest })
    }

    /// Answers with what `service` answers to a copy of the request, kept by `Clone`. See
    /// [`copy_with`](FallbackBuilder::copy_with).
    pub fn service<S>(service: S) -> FallbackBuilder<FromService<S, CloneRequest>> {
        FallbackBuilder::of(FromService { service, copy: CloneRequest })
    }
}

impl<F, C, W> FallbackBuilder<FromRequest<F, CloneRequest>, C, W> {
    /// Copies requests with `copy` (`Fn(&Req) -> Option<Req>`) instead of `Clone`. A request that it does not copy
    /// has no fallback.
    pub fn copy_with<P>(self, copy: P) -> FallbackBuilder<FromRequest<F, P>, C, W> {
        self.map(|FromRequest { function, .. }| FromRequest { function, copy })
    }
}

impl<S, C, W> FallbackBuilder<FromService<S, CloneRequest>, C, W> {
    /// Copies requests with `copy` (`Fn(&Req) -> Option<Req>`) instead of `Clone`. A request that it does not copy
    /// has no fallback.
    pub fn copy_with<P>(self, copy: P) -> FallbackBuilder<FromService<S, P>, C, W> {
        self.map(|FromService { service, .. }| FromService { service, copy })
    }
}

impl<H> FallbackBuilder<H> {
    fn of(recover: H) -> Self {
        let parts = Parts { recover, classify: DefaultClassify, when: any_failure as fn(Trigger<'_>) -> bool };
        Self { name: Name::from_static("fallback"), parts }
    }
}

impl<H, C, W> FallbackBuilder<H, C, W> {
    /// What the fallback is called in events and metrics. Default: `fallback`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// What outcomes mean. Default: [`DefaultClassify`].
    pub fn classify<D>(self, classify: D) -> FallbackBuilder<H, D, W> {
        let Parts { recover, when, .. } = self.parts;
        FallbackBuilder { name: self.name, parts: Parts { recover, classify, when } }
    }

    /// When the fallback is taken. Default: for every rejection and every [failure](Verdict::is_failure).
    pub fn when<V: Fn(Trigger<'_>) -> bool>(self, when: V) -> FallbackBuilder<H, C, V> {
        let Parts { recover, classify, .. } = self.parts;
        FallbackBuilder { name: self.name, parts: Parts { recover, classify, when } }
    }

    /// Makes the layer.
    pub fn build(self) -> FallbackLayer<H, C, W> {
        let shared = Shared { name: self.name, taken: AtomicU64::new(0), events: Emitter::new() };
        FallbackLayer { shared: Arc::new(shared), parts: self.parts }
    }

    fn map<G>(self, map: impl FnOnce(H) -> G) -> FallbackBuilder<G, C, W> {
        let Parts { recover, classify, when } = self.parts;
        FallbackBuilder { name: self.name, parts: Parts { recover: map(recover), classify, when } }
    }
}

/// A handle of one fallback. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct FallbackHandle {
    shared: Arc<Shared>,
}

impl FallbackHandle {
    /// The name of the fallback.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// How often the fallback was taken.
    pub fn taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<FallbackEvent> {
        self.shared.events.subscribe()
    }
}
