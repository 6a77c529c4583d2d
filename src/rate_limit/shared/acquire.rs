//! A turn from the store, or from the local share.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project::{pin_project, pinned_drop};

use super::{
    super::{
        Decision, Question, Store, StoreError, StoreFailure,
        turn::{Asking, Turn},
    },
    layer::State,
    presence::Asked,
};
use crate::{
    Rejected, context,
    time::{self, Instant, Sleep},
};

/// Waits for a turn, if there is one in time. Asks the store when first polled. Dropping it leaves a turn that the store
/// has reserved unused; one of the local share passes on.
#[pin_project(PinnedDrop)]
#[must_use = "futures do nothing unless polled"]
pub struct Acquire<St: Store> {
    state: Arc<State<St>>,
    /// Whether a place among those that may wait is held.
    placed: bool,
    #[pin]
    step: Step<St::Take>,
}

#[pin_project(project = StepProj)]
enum Step<Take> {
    Start,
    /// The store has been asked. The timer is made when it does not answer at once.
    Store {
        asked: Asked,
        late: Option<Instant>,
        #[pin]
        take: Take,
        #[pin]
        timer: Option<Sleep>,
    },
    /// The store has reserved a turn; `None` is one that never comes.
    Reserved(#[pin] Option<Sleep>),
    Local,
    Waiting(#[pin] Turn),
}

impl<St: Store> Acquire<St> {
    pub(super) fn new(state: Arc<State<St>>) -> Self {
        Self { state, placed: false, step: Step::Start }
    }
}

impl<St: Store> Future for Acquire<St> {
    type Output = Result<(), Rejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let state = &**this.state;
        loop {
            let next = match this.step.as_mut().project() {
                // ## Start => (Store | Local)
                StepProj::Start => match state.ask() {
                    Some(asked) => {
                        let question = question(state, this.placed);
                        let late = time::after(time::now(), state.settings.get().store_timeout);
                        Step::Store { asked, late, take: state.store.take(question), timer: None }
                    }
                    None => Step::Local,
                },
                // ## Store => (Reserved | Local), or admitted, or refused
                StepProj::Store { asked, late, take, timer } => {
                    let decided = ready!(poll_in_time(take, timer, *late, cx));
                    match decided {
                        Ok(decision) => {
                            state.answered(*asked);
                            match decision {
                                Decision::Admitted { wait } if wait.is_zero() => return Poll::Ready(Ok(())),
                                Decision::Admitted { wait } => {
                                    Step::Reserved(time::after(time::now(), wait).map(Sleep::until))
                                }
                                Decision::Refused { retry_after } => {
                                    let now = state.now();
                                    let rejected = state.local.refuse(now, now.saturating_add(retry_after));
                                    return Poll::Ready(Err(rejected));
                                }
                            }
                        }
                        Err(error) => {
                            state.failed(*asked, &error);
                            Step::Local
                        }
                    }
                }
                // ## Reserved => admitted
                StepProj::Reserved(timer) => {
                    let due = timer.as_pin_mut().is_some_and(|timer| timer.poll_elapsed(cx));
                    return if due { Poll::Ready(Ok(())) } else { Poll::Pending };
                }
                // ## Local => Waiting, or admitted, or refused
                StepProj::Local => {
                    if std::mem::take(this.placed) {
                        state.leave();
                    }
                    state.local_calls.fetch_add(1, Ordering::Relaxed);
                    match Turn::ask(&state.local, cx) {
                        Ok(Asking::Go) => return Poll::Ready(Ok(())),
                        Ok(Asking::Wait(turn)) => Step::Waiting(turn),
                        Err(rejected) => return Poll::Ready(Err(rejected)),
                    }
                }
                // ## Waiting => admitted
                StepProj::Waiting(turn) => return turn.poll(cx),
            };
            this.step.set(next);
        }
    }
}

/// The decision, or the error that there was none in time.
fn poll_in_time<Take>(
    take: Pin<&mut Take>,
    mut timer: Pin<&mut Option<Sleep>>,
    late: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Result<Decision, StoreError>>
where
    Take: Future<Output = Result<Decision, StoreError>>,
{
    if let Poll::Ready(decided) = take.poll(cx) {
        return Poll::Ready(decided);
    }
    if timer.is_none() {
        timer.set(late.map(Sleep::until));
    }
    if timer.as_pin_mut().is_some_and(|timer| timer.poll_elapsed(cx)) {
        return Poll::Ready(Err(StoreError::new(StoreFailure::TimedOut, "no decision within `store_timeout`")));
    }
    Poll::Pending
}

/// Asks for a turn within the wait that is allowed and the deadline leaves; now, if too many wait.
fn question<St: Store>(state: &State<St>, placed: &mut bool) -> Question {
    let settings = state.settings.get().rate;
    let mut max_wait = settings.max_wait;
    if let Some(deadline) = context::deadline() {
        max_wait = max_wait.min(deadline.saturating_duration_since(time::now()));
    }
    if !max_wait.is_zero() {
        *placed = state.enter();
        if !*placed {
            max_wait = Duration::ZERO;
        }
    }
    Question { name: state.local.name.clone(), settings, max_wait }
}

#[pinned_drop]
impl<St: Store> PinnedDrop for Acquire<St> {
    fn drop(self: Pin<&mut Self>) {
        if self.placed {
            self.state.leave();
        }
    }
}

impl<St: Store> fmt::Debug for Acquire<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("name", &self.state.local.name).finish_non_exhaustive()
    }
}
