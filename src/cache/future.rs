//! The response of a call that may be answered from what is stored, and the renewal of an answer in the background.

use std::{
    fmt,
    future::Future,
    hash::Hash,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::{pin_project, pinned_drop};
use tower::Service;

use super::{
    CopyAnswer, Given, Mark,
    freshness::may_replace_failure,
    handle::CacheEvent,
    layer::{Count, Parts, Shared},
    store::{Begun, Renewal},
};
use crate::{
    Classify, IntoLayerError, LayerError, Priority, RejectedKind, Verdict,
    context::{self, CallContext, Scope},
    error::ErrorOf,
    ready::ReadyFuture,
    time::{self, Sleep},
};

/// The response future of [`Cache`](super::Cache). Dropping it drops the call. An answer that is being renewed in the
/// background goes on being renewed.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req, K, C, P, M> {
    #[pin]
    state: State<S, Req>,
    /// `None` where nothing is to be stored.
    storing: Option<Storing<K, S::Response, C, P>>,
    mark: Option<M>,
}

#[pin_project(project = StateProj)]
enum State<S: Service<Req>, Req> {
    Given(Option<S::Response>),
    Calling(#[pin] ReadyFuture<S, Req>),
}

/// What becomes of the outcome of a call.
struct Storing<K, Res, C, P> {
    shared: Arc<Shared<K, Res>>,
    key: K,
    begun: Begun,
    classify: C,
    copy: P,
}

/// Why an answer from before may be given.
enum Failure {
    Rejected(RejectedKind),
    Judged(Verdict),
}

impl<K, Res, C, P> Storing<K, Res, C, P>
where
    K: Eq + Hash + Send + Sync + 'static,
    Res: Send + Sync + 'static,
{
    fn new<F, M, R>(shared: &Arc<Shared<K, Res>>, key: K, parts: &Parts<F, C, P, M, R>) -> Self
    where
        C: Clone,
        P: Clone,
    {
        let begun = shared.store.begin(&key);
        let (shared, classify, copy) = (Arc::clone(shared), parts.classify.clone(), parts.copy.clone());
        Self { shared, key, begun, classify, copy }
    }

    /// Stores what is to be stored. If the call has failed, that comes back.
    fn came<Err: LayerError>(self, outcome: &Result<Res, Err>) -> Option<(Failure, Self)>
    where
        C: Classify<Res, Err>,
        P: CopyAnswer<Res>,
    {
        if let Some(rejected) = outcome.as_ref().err().and_then(LayerError::as_rejected) {
            return Some((Failure::Rejected(rejected.kind()), self));
        }
        let verdict = self.classify.classify(outcome.as_ref());
        if verdict.is_failure() {
            return Some((Failure::Judged(verdict), self));
        }
        let answer = outcome.as_ref().ok().filter(|_| verdict == Verdict::Success);
        match answer.and_then(|answer| self.copy.copy(answer)) {
            Some(copy) => {
                if self.shared.store.put(self.key, self.begun, copy, time::now()) {
                    self.shared.counts.add(Count::Stored);
                }
            }
            // The service has answered otherwise since: what there is is not good any more.
            None => self.shared.store.forget(&self.key),
        }
        None
    }

    /// The last good answer, instead of a failure.
    fn last_good(&self, failure: Failure, mark: &impl Mark<Res>) -> Option<Res>
    where
        P: CopyAnswer<Res>,
    {
        // Looked up anew: somebody may have stored a better one meanwhile, or thrown it out.
        let entry = self.shared.store.get(&self.key)?;
        let age = time::now().saturating_duration_since(entry.stored);
        let mut answer =
            may_replace_failure(age, &self.shared.settings.get()).then(|| self.copy.copy(&entry.answer)).flatten()?;
        let event = match failure {
            Failure::Rejected(kind) => CacheEvent::GivenForRejection { kind, age },
            Failure::Judged(verdict) => CacheEvent::GivenForVerdict { verdict, age },
        };
        self.shared.happened(Count::StaleIfError, event);
        mark.mark(&mut answer, Given::InsteadOfError, age);
        Some(answer)
    }
}

impl<S: Service<Req>, Req, K, C, P, M> ResponseFuture<S, Req, K, C, P, M> {
    pub(super) fn given(answer: S::Response) -> Self {
        Self { state: State::Given(Some(answer)), storing: None, mark: None }
    }

    pub(super) fn uncached(service: S, request: Req) -> Self {
        Self { state: State::Calling(ReadyFuture::waiting(service, request)), storing: None, mark: None }
    }

    pub(super) fn calling<F, R>(
        service: S,
        request: Req,
        key: K,
        shared: &Arc<Shared<K, S::Response>>,
        parts: &Parts<F, C, P, M, R>,
    ) -> Self
    where
        K: Eq + Hash + Send + Sync + 'static,
        S::Response: Send + Sync + 'static,
        C: Clone,
        P: Clone,
        M: Clone,
    {
        let (storing, mark) = (Some(Storing::new(shared, key, parts)), Some(parts.mark.clone()));
        Self { state: State::Calling(ReadyFuture::waiting(service, request)), storing, mark }
    }
}

impl<S, Req, K, C, P, M> Future for ResponseFuture<S, Req, K, C, P, M>
where
    S: Service<Req>,
    S::Response: Send + Sync + 'static,
    S::Error: IntoLayerError,
    K: Eq + Hash + Send + Sync + 'static,
    C: Classify<S::Response, ErrorOf<S::Error>>,
    P: CopyAnswer<S::Response>,
    M: Mark<S::Response>,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            StateProj::Given(answer) => Poll::Ready(Ok(answer.take().expect("polled after it was ready"))),
            StateProj::Calling(call) => {
                let outcome = ready!(call.poll(cx)).map_err(IntoLayerError::into_layer_error);
                let (Some(storing), Some(mark)) = (this.storing.take(), this.mark) else { return Poll::Ready(outcome) };
                let failed = storing.came(&outcome);
                let instead = failed.and_then(|(failure, storing)| storing.last_good(failure, mark));
                Poll::Ready(instead.map_or(outcome, Ok))
            }
        }
    }
}

/// The renewal of an answer in the background. Nobody waits for it: it is the first to be shed.
pub type Revalidation<S, Req, K, C, P> = Scope<RevalidationFuture<S, Req, K, C, P>>;

pub(super) fn revalidation<S, Req, K, F, C, P, M, R>(
    service: S,
    request: Req,
    key: K,
    shared: &Arc<Shared<K, S::Response>>,
    parts: &Parts<F, C, P, M, R>,
    renewal: Renewal<S::Response>,
) -> Revalidation<S, Req, K, C, P>
where
    S: Service<Req>,
    S::Response: Send + Sync + 'static,
    S::Error: IntoLayerError,
    K: Eq + Hash + Send + Sync + 'static,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
    P: CopyAnswer<S::Response> + Clone,
{
    let until = time::after(time::now(), shared.settings.get().revalidate_timeout);
    let context = CallContext::default().with_priority(Priority::Sheddable);
    let context = until.map_or(context, |until| context.with_deadline(until));
    let future = RevalidationFuture {
        call: ReadyFuture::waiting(service, request),
        timer: until.map(Sleep::until),
        storing: Some(Storing::new(shared, key, parts)),
        unanswered: Some(Arc::clone(shared)),
        renewal: Some(renewal),
    };
    context::scope(context, future)
}

/// See [`Revalidation`]. Ended before there is an answer, by whatever, it has failed, and the next call begins another.
#[pin_project(PinnedDrop)]
#[must_use = "futures do nothing unless polled"]
pub struct RevalidationFuture<S: Service<Req>, Req, K, C, P> {
    #[pin]
    call: ReadyFuture<S, Req>,
    /// `None`: it may take for ever.
    #[pin]
    timer: Option<Sleep>,
    storing: Option<Storing<K, S::Response, C, P>>,
    /// `None` once there is an answer.
    unanswered: Option<Arc<Shared<K, S::Response>>>,
    renewal: Option<Renewal<S::Response>>,
}

impl<S, Req, K, C, P> Future for RevalidationFuture<S, Req, K, C, P>
where
    S: Service<Req>,
    S::Response: Send + Sync + 'static,
    S::Error: IntoLayerError,
    K: Eq + Hash + Send + Sync + 'static,
    C: Classify<S::Response, ErrorOf<S::Error>>,
    P: CopyAnswer<S::Response>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        match this.call.poll(cx) {
            Poll::Ready(outcome) => {
                let outcome = outcome.map_err(IntoLayerError::into_layer_error);
                if this.storing.take().is_some_and(|storing| storing.came(&outcome).is_none()) {
                    *this.unanswered = None;
                }
                Poll::Ready(())
            }
            Poll::Pending => {
                let late = this.timer.as_pin_mut().is_some_and(|timer| timer.poll_elapsed(cx));
                if late { Poll::Ready(()) } else { Poll::Pending }
            }
        }
    }
}

#[pinned_drop]
impl<S: Service<Req>, Req, K, C, P> PinnedDrop for RevalidationFuture<S, Req, K, C, P> {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        // First, so that who hears of the failure can begin another.
        drop(this.renewal.take());
        if let Some(shared) = this.unanswered.take() {
            shared.happened(Count::RevalidationFailed, CacheEvent::RevalidationFailed);
        }
    }
}

impl<S: Service<Req>, Req, K, C, P, M> fmt::Debug for ResponseFuture<S, Req, K, C, P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = matches!(self.state, State::Given(_));
        f.debug_struct("ResponseFuture").field("given", &given).finish_non_exhaustive()
    }
}

impl<S: Service<Req>, Req, K, C, P> fmt::Debug for RevalidationFuture<S, Req, K, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevalidationFuture").finish_non_exhaustive()
    }
}
