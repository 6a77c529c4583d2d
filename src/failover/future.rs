//! The response of a call to one of several endpoints.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio::sync::futures::OwnedNotified;
use tower::Service;

use super::{
    attempt::Attempt,
    call::{Call, Choice, Then},
    endpoint::Source,
    shared::Shared,
    token::Token,
};
use crate::{
    Classify, IntoLayerError, RejectedKind,
    error::{ErrorOf, refusal},
    retry::Replay,
    time::{self, Instant, Sleep},
};

/// The response future of a [`Failover`](super::Failover). Dropping it drops the attempt under way, which gives back what
/// it held.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req, C, P> {
    #[pin]
    stage: Stage<S, S::Future>,
    attempt: Option<Attempt<S>>,
    call: Call<Req>,
    shared: Arc<Shared<S>>,
    classify: C,
    replay: P,
}

#[pin_project(project = StageProj)]
enum Stage<S, F> {
    Choosing,
    /// All are out.
    Held {
        #[pin]
        changed: OwnedNotified,
        #[pin]
        timer: Sleep,
    },
    /// Its service is being made.
    Making {
        #[pin]
        changed: OwnedNotified,
        #[pin]
        timer: Sleep,
        /// When the timer ends, of what follows too.
        end: Instant,
        failures: u32,
        /// How often it had been made when that was asked for.
        times: u32,
        /// Which task that was.
        task: u32,
    },
    /// Its service is driven to ready.
    Acquiring {
        service: S,
        /// How often it had been made, if it is made.
        times: u32,
        #[pin]
        timer: Option<Sleep>,
    },
    Calling(#[pin] F),
    Done,
}

impl<S: Service<Req>, Req, C, P> ResponseFuture<S, Req, C, P> {
    pub(super) fn new(shared: Arc<Shared<S>>, call: Call<Req>, classify: C, replay: P) -> Self {
        Self { stage: Stage::Choosing, attempt: None, call, shared, classify, replay }
    }
}

impl<S, Req, C, P> Future for ResponseFuture<S, Req, C, P>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>>,
    P: Replay<Req>,
{
    type Output = Result<S::Response, ErrorOf<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (call, shared) = (this.call, &*this.shared);
        loop {
            let (outcome, ready) = match this.stage.as_mut().project() {
                // ## Choosing => Held, Making or Acquiring
                StageProj::Choosing => {
                    let mut choice = call.choose(shared);
                    let mut changed = None;
                    if matches!(choice, Choice::Hold { .. }) {
                        // Once more with an ear on it: no change is missed.
                        changed = Some(Arc::clone(&shared.changed).notified_owned());
                        choice = call.choose(shared);
                    }
                    match choice {
                        Choice::To(attempt) => {
                            this.stage.set(acquire(shared, &attempt));
                            *this.attempt = Some(attempt);
                            continue;
                        }
                        Choice::Hold { until } => {
                            let changed = changed.unwrap_or_else(|| Arc::clone(&shared.changed).notified_owned());
                            let end = shared.clock.instant(until).unwrap_or_else(time::now);
                            this.stage.set(Stage::Held { changed, timer: Sleep::until(end) });
                            continue;
                        }
                        Choice::Nowhere(rejected) => {
                            this.stage.set(Stage::Done);
                            return Poll::Ready(Err(rejected.into()));
                        }
                    }
                }
                // ## Held => Choosing
                StageProj::Held { changed, timer } => {
                    if changed.poll(cx).is_pending() && timer.poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    shared.start_task();
                    this.stage.set(Stage::Choosing);
                    continue;
                }
                // ## Making => Acquiring, or an outcome
                StageProj::Making { mut changed, mut timer, end, failures, times: asked, task } => {
                    let slot = &this.attempt.as_ref().expect("its endpoint is known").slot;
                    let made = loop {
                        let times = slot.times_made.load(Relaxed);
                        if let Some(service) = slot.made.load_full() {
                            break Some(((*service).clone(), times));
                        }
                        if slot.make_failures.load(Relaxed) != *failures {
                            break None;
                        }
                        if times != *asked {
                            // It was made, and another call has given it up already.
                            *asked = times;
                            shared.make(slot);
                        }
                        if changed.as_mut().poll(cx).is_ready() {
                            shared.start_task();
                            let begun = shared.desk.begun.load(Relaxed);
                            if std::mem::replace(task, begun) != begun {
                                // The runtime of the task that made it has ended.
                                shared.make(slot);
                            }
                            changed.set(Arc::clone(&shared.changed).notified_owned());
                        } else if timer.as_mut().poll(cx).is_ready() {
                            break None;
                        } else {
                            return Poll::Pending;
                        }
                    };
                    if let Some((service, times)) = made {
                        call.sees(&shared.view.load());
                        let timer = Some(Sleep::until(*end));
                        this.stage.set(Stage::Acquiring { service, times, timer });
                        continue;
                    }
                    (Err(shared.reasons(RejectedKind::NoEndpoint, None).into()), false)
                }
                // ## Acquiring => Calling, or an outcome; Calling => an outcome
                StageProj::Acquiring { .. } | StageProj::Calling(_) => {
                    let attempt = this.attempt.as_mut().expect("its endpoint is known");
                    if matches!(*this.stage, Stage::Acquiring { timer: Some(_), .. }) {
                        // It has waited.
                        call.sees(&shared.view.load());
                    }
                    let Call { attempts, request, may_move, token, .. } = call;
                    let copy = |request: &Req| if *may_move { this.replay.copy(request) } else { None };
                    let stage = this.stage.as_mut();
                    // Once for all of it, as each time copies the context to and fro.
                    match attempts.enter(|| poll_attempt(stage, attempt, request, copy, token, cx)) {
                        Poll::Ready(Ok(outcome)) => (outcome.map_err(IntoLayerError::into_layer_error), true),
                        Poll::Ready(Err(error)) => {
                            let outcome = Err(error.into_layer_error());
                            // That of a layer around it is none of the endpoint's.
                            let refused = refusal(&outcome).is_some();
                            if let (false, StageProj::Acquiring { times, .. }) =
                                (refused, this.stage.as_mut().project())
                            {
                                attempt.slot.give_up_made(*times);
                            }
                            (outcome, refused)
                        }
                        Poll::Pending => {
                            attempt.pending();
                            let StageProj::Acquiring { mut timer, .. } = this.stage.as_mut().project() else {
                                return Poll::Pending;
                            };
                            if timer.is_none() {
                                let wait = shared.settings.get().acquire_timeout;
                                timer.set(time::after(time::now(), wait).map(Sleep::until));
                            }
                            match timer.as_pin_mut().map(|timer| timer.poll(cx)) {
                                None | Some(Poll::Pending) => return Poll::Pending,
                                Some(Poll::Ready(())) => {
                                    (Err(shared.reasons(RejectedKind::NoEndpoint, None).into()), false)
                                }
                            }
                        }
                    }
                }
                StageProj::Done => panic!("polled after it was ready"),
            };
            // The attempt is over, whatever follows.
            this.stage.set(Stage::Done);
            let attempt = this.attempt.take().expect("its endpoint is known");
            match call.follow(shared, this.classify, attempt, outcome, ready) {
                Then::To(attempt) => {
                    this.stage.set(acquire(shared, &attempt));
                    *this.attempt = Some(attempt);
                }
                Then::Hold => this.stage.set(Stage::Choosing),
                Then::Finish(outcome) => return Poll::Ready(outcome),
            }
        }
    }
}

/// Drives the service to ready, sends the request and polls the answer. `Err`: it was not ready, and nothing was sent.
#[inline(always)]
#[expect(clippy::type_complexity, reason = "two outcomes in one")]
fn poll_attempt<S: Service<Req>, Req>(
    mut stage: Pin<&mut Stage<S, S::Future>>,
    attempt: &mut Attempt<S>,
    request: &mut Option<Req>,
    copy: impl FnOnce(&Req) -> Option<Req>,
    token: &mut Token,
    cx: &mut Context<'_>,
) -> Poll<Result<Result<S::Response, S::Error>, S::Error>> {
    if let StageProj::Acquiring { service, .. } = stage.as_mut().project() {
        match attempt.run(|| service.poll_ready(cx)) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let sent = request.take().expect("there is an attempt only with a request");
        *request = copy(&sent);
        token.sent();
        let called = attempt.run(|| service.call(sent));
        stage.set(Stage::Calling(called));
    }
    match stage.project() {
        StageProj::Calling(called) => attempt.run(|| called.poll(cx)).map(Ok),
        _ => unreachable!("it is acquiring or calling"),
    }
}

/// Its service, or that it is to be made.
fn acquire<S: Clone, F>(shared: &Arc<Shared<S>>, attempt: &Attempt<S>) -> Stage<S, F> {
    if let Source::Ready(service) = &attempt.slot.source {
        return Stage::Acquiring { service: service.clone(), times: 0, timer: None };
    }
    let changed = Arc::clone(&shared.changed).notified_owned();
    let failures = attempt.slot.make_failures.load(Relaxed);
    let times = attempt.slot.times_made.load(Relaxed);
    if let Some(service) = attempt.slot.made.load_full() {
        return Stage::Acquiring { service: (*service).clone(), times, timer: None };
    }
    let task = shared.desk.begun.load(Relaxed);
    shared.make(&attempt.slot);
    let end = time::after(time::now(), shared.settings.get().acquire_timeout).unwrap_or_else(time::now);
    Stage::Making { changed, timer: Sleep::until(end), end, failures, times, task }
}

impl<S: Service<Req>, Req, C, P> fmt::Debug for ResponseFuture<S, Req, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("attempts", &self.call.attempts.made()).finish_non_exhaustive()
    }
}
