//! The response of a call that may take several attempts.

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
    Budget, Replay,
    layer::Shared,
    policy::{self, Ended, Facts, Finish, Step},
};
use crate::{
    Classify, IntoLayerError, LayerError,
    context::{self, AttemptCount},
    error::{ErrorOf, refusal},
    stall,
    time::{self, Sleep},
};

/// Steps of a call that is always busy, after which it yields.
const STEPS_PER_POLL: usize = 128;

/// The response future of a [`Retry`](super::Retry). Dropping it drops the attempt in progress, and gives the budget
/// back the token of one that was not sent yet.
#[pin_project]
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<S: Service<Req>, Req, C, P> {
    #[pin]
    state: State<S::Future>,
    /// Takes the later attempts; driven to ready before each.
    service: S,
    call: Call<Req>,
    shared: Arc<Shared>,
    classify: C,
    replay: P,
}

#[pin_project(project = StateProj)]
enum State<F> {
    Trying(#[pin] F),
    Waiting(#[pin] Sleep),
    Readying,
}

/// What one call has come to.
struct Call<Req> {
    attempts: AttemptCount,
    /// Whether the attempts of the layers above have been looked up, which `call` cannot see below a `Buffer`.
    begun: bool,
    /// The request of the next attempt, if there may be one.
    copy: Option<Req>,
    may_repeat: bool,
    waits: u32,
    wait: Duration,
    token: Token,
    /// Whether this layer, not one above with the same budget, deposits for the call.
    deposits: bool,
    /// Whether the service may have seen one of the attempts.
    reached: bool,
}

/// The token of the attempt in progress. The first attempt needs none, nor does one that follows a refusal.
#[derive(Default)]
struct Token {
    /// Taken for an attempt that has not been sent yet; given back if that never happens.
    held: Option<Arc<Shared>>,
    spent: bool,
}

impl<S: Service<Req>, Req, C, P> ResponseFuture<S, Req, C, P> {
    pub(super) fn new(
        first: S::Future,
        service: S,
        shared: Arc<Shared>,
        classify: C,
        replay: P,
        (attempts, copy, may_repeat): (AttemptCount, Option<Req>, bool),
    ) -> Self {
        let call = Call {
            attempts,
            begun: false,
            copy,
            may_repeat,
            waits: 0,
            wait: Duration::ZERO,
            token: Token::default(),
            deposits: false,
            reached: false,
        };
        Self { state: State::Trying(first), service, call, shared, classify, replay }
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
        let call = this.call;
        if !call.begun {
            call.begin(this.shared);
        }
        for _ in 0..STEPS_PER_POLL {
            let outcome = match this.state.as_mut().project() {
                // ## Trying => (Waiting | Readying), or the outcome
                StateProj::Trying(attempt) => {
                    ready!(call.attempts.enter(|| attempt.poll(cx))).map_err(IntoLayerError::into_layer_error)
                }
                // ## Waiting => Readying
                StateProj::Waiting(wait) => {
                    ready!(wait.poll(cx));
                    this.state.set(State::Readying);
                    continue;
                }
                // ## Readying => Trying
                StateProj::Readying => match ready!(call.attempts.enter(|| this.service.poll_ready(cx))) {
                    Ok(()) => {
                        let request = call.copy.take().expect("an attempt follows only if there is a copy");
                        if call.attempts.left() {
                            call.copy = this.replay.copy(&request);
                        }
                        call.token.spend();
                        let attempt = call.attempts.enter(|| this.service.call(request));
                        this.state.set(State::Trying(attempt));
                        continue;
                    }
                    Err(error) => Err(error.into_layer_error()),
                },
            };
            match call.follow(this.shared, this.classify, &outcome) {
                None => return Poll::Ready(call.finish(outcome)),
                Some(wait) if wait.is_zero() => this.state.set(State::Readying),
                Some(wait) => match time::after(time::now(), wait) {
                    Some(end) => {
                        // A refusal may have left the service ready, with a permit of a limit below: not to be held
                        // while waiting.
                        *this.service = this.service.clone();
                        this.state.set(State::Waiting(Sleep::until(end)));
                    }
                    None => return Poll::Ready(call.finish(outcome)),
                },
            }
        }
        // Attempts without a wait that fail at once: let others have the thread in between.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<Req> Call<Req> {
    /// Looks up what the layers above have begun, and deposits for the call unless one of them does.
    fn begin(&mut self, shared: &Shared) {
        self.begun = true;
        let budget = shared.budget.as_deref();
        self.deposits = budget.is_some_and(|budget| !AttemptCount::deposited(budget));
        self.attempts = AttemptCount::begin(shared.settings.get().max_attempts, budget);
        if let Some(budget) = budget.filter(|_| self.deposits) {
            budget.first_attempt();
        }
    }

    /// The last outcome, untouched but for one bit: a refusal of the last attempt does not hide that the service may
    /// have seen an earlier one.
    fn finish<Res, Err: LayerError>(&self, outcome: Result<Res, Err>) -> Result<Res, Err> {
        match refusal(&outcome) {
            Some(rejected) if self.reached => Err(rejected.clone().reached().into()),
            _ => outcome,
        }
    }

    /// The wait before the attempt that follows this outcome, if one does.
    fn follow<Res, Err, C>(
        &mut self,
        shared: &Arc<Shared>,
        classify: &C,
        outcome: &Result<Res, Err>,
    ) -> Option<Duration>
    where
        Err: LayerError,
        C: Classify<Res, Err>,
    {
        let ended = match (refusal(outcome), outcome) {
            (Some(rejected), _) => Ended::Refused { retry_after: rejected.retry_after() },
            (None, Ok(_)) => {
                Ended::Answered { verdict: stall::excuse(classify.classify(outcome.as_ref())), reached: true }
            }
            (None, Err(error)) => Ended::Answered {
                verdict: stall::excuse(classify.classify(outcome.as_ref())),
                reached: classify.reached_service(error),
            },
        };
        match ended {
            Ended::Answered { reached, .. } => self.reached |= reached,
            // It made no load, so the token it had been given goes back.
            Ended::Refused { .. } => self.token.unspend(shared),
        }
        // An attempt that ended before it was sent: its token is given back and there for the next.
        if !self.token.spent {
            self.token = Token::default();
        }
        let budget = shared.budget.as_deref();
        let facts = Facts {
            ended,
            attempts_left: self.attempts.left(),
            wait_number: self.waits + 1,
            previous_wait: self.wait,
            copied: self.copy.is_some(),
            may_repeat: self.may_repeat,
        };
        let left = || context::deadline().map(|deadline| deadline.saturating_duration_since(time::now()));
        match policy::decide(facts, &shared.settings.get(), budget, left, || shared.rng.unit()) {
            Step::Finish(why) => {
                if let (Finish::Success, Some(budget)) = (why, budget) {
                    self.token.succeeded(budget, self.waits == 0 && self.deposits);
                }
                shared.finished(self.waits + 1, why);
                None
            }
            Step::Again { wait, token } => {
                self.attempts.take();
                self.waits += 1;
                self.wait = wait;
                self.token = Token { held: token.then(|| Arc::clone(shared)), spent: false };
                shared.retrying(self.waits + 1, wait);
                Some(wait)
            }
        }
    }
}

impl Token {
    fn spend(&mut self) {
        self.spent = self.held.take().is_some();
    }

    fn unspend(&mut self, shared: &Shared) {
        if let Some(budget) = shared.budget.as_deref().filter(|_| std::mem::take(&mut self.spent)) {
            budget.not_sent();
        }
    }

    fn succeeded(&self, budget: &Budget, first: bool) {
        if self.spent {
            budget.retry_success();
        } else if first {
            budget.first_success();
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(budget) = self.held.as_ref().and_then(|shared| shared.budget.as_deref()) {
            budget.not_sent();
        }
    }
}

impl<S: Service<Req>, Req, C, P> fmt::Debug for ResponseFuture<S, Req, C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("attempts", &self.call.attempts.made()).finish_non_exhaustive()
    }
}
