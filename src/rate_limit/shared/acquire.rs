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
        Decision, Question, RateLimitSettings, Store, StoreError,
        turn::{Asking, Turn},
    },
    SharedRateLimitSettings,
    layer::State,
    presence::Asked,
};
use crate::{
    Rejected, context,
    time::{self, Instant, Sleep},
};

/// Waits for a turn, if there is one in time. Asks the store when first polled. Dropping it leaves a turn that the store
/// has reserved unused; one of the local share passes on.
///
/// A call with a deadline waits for the store's decision for at most half of the time it has, so that the local share can
/// still decide in time; and the store is asked only for turns that come before the deadline however long it takes to
/// answer, so none is reserved in vain. Once its deadline is over a call is refused, with a `retry_after` of zero.
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
    /// The store has been asked. The timer, for when it is too late, is made when it does not answer at once.
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
    /// It has been admitted or refused.
    Done,
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
                // ## Start => (Store | Local), or refused
                StepProj::Start => {
                    let now = time::now();
                    let left = context::deadline().map(|deadline| deadline.saturating_duration_since(now));
                    if left == Some(Duration::ZERO) {
                        return Poll::Ready(Err(state.refuse_late()));
                    }
                    match state.ask(now) {
                        Some(asked) => {
                            let SharedRateLimitSettings { rate, store_timeout, .. } = **state.settings.get();
                            let patience = left.map_or(store_timeout, |left| store_timeout.min(left / 2));
                            let question = question(state, rate, left.map(|left| left - patience), this.placed);
                            let late = time::after(now, patience);
                            Step::Store { asked, late, take: state.store.take(question), timer: None }
                        }
                        None => Step::Local,
                    }
                }
                // ## Store => (Reserved | Local), or admitted, or refused
                StepProj::Store { asked, late, take, timer } => match ready!(poll_in_time(take, timer, *late, cx)) {
                    Some(Ok(Decision::Admitted { wait })) if wait.is_zero() => {
                        state.admitted(*asked);
                        this.step.set(Step::Done);
                        return Poll::Ready(Ok(()));
                    }
                    Some(Ok(Decision::Admitted { wait })) => {
                        state.reserved(*asked);
                        Step::Reserved(time::after(time::now(), wait).map(Sleep::until))
                    }
                    Some(Ok(Decision::Refused { retry_after })) => {
                        state.answered(*asked);
                        this.step.set(Step::Done);
                        let now = state.now();
                        return Poll::Ready(Err(state.local.refuse(now, now.saturating_add(retry_after))));
                    }
                    Some(Err(error)) => {
                        state.failed(*asked, &error);
                        Step::Local
                    }
                    None => {
                        state.unanswered(*asked);
                        Step::Local
                    }
                },
                // ## Reserved => admitted
                StepProj::Reserved(timer) => {
                    if !timer.as_pin_mut().is_some_and(|timer| timer.poll_elapsed(cx)) {
                        return Poll::Pending;
                    }
                    state.used();
                    this.step.set(Step::Done);
                    return Poll::Ready(Ok(()));
                }
                // ## Local => Waiting, or admitted, or refused
                StepProj::Local => {
                    if std::mem::take(this.placed) {
                        state.waiting.leave();
                    }
                    state.local_calls.fetch_add(1, Ordering::Relaxed);
                    if context::deadline().is_some_and(|deadline| deadline <= time::now()) {
                        return Poll::Ready(Err(state.refuse_late()));
                    }
                    match Turn::ask(&state.local, cx) {
                        Ok(Asking::Wait(turn)) => Step::Waiting(turn),
                        decided => {
                            this.step.set(Step::Done);
                            return Poll::Ready(decided.map(drop));
                        }
                    }
                }
                // ## Waiting => admitted, or refused
                StepProj::Waiting(turn) => return turn.poll(cx),
                StepProj::Done => panic!("polled after it was ready"),
            };
            this.step.set(next);
        }
    }
}

/// The decision, or `None` if there was none in time.
fn poll_in_time<Take>(
    take: Pin<&mut Take>,
    mut timer: Pin<&mut Option<Sleep>>,
    late: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<Option<Take::Output>>
where
    Take: Future<Output = Result<Decision, StoreError>>,
{
    if let Poll::Ready(decided) = take.poll(cx) {
        return Poll::Ready(Some(decided));
    }
    if timer.is_none() {
        timer.set(late.map(Sleep::until));
    }
    if timer.as_pin_mut().is_some_and(|timer| timer.poll_elapsed(cx)) { Poll::Ready(None) } else { Poll::Pending }
}

/// Asks for a turn within the wait that is allowed and the deadline leaves; now, if too many wait.
fn question<St: Store>(
    state: &State<St>,
    settings: RateLimitSettings,
    left: Option<Duration>,
    placed: &mut bool,
) -> Question {
    let mut max_wait = left.map_or(settings.max_wait, |left| settings.max_wait.min(left));
    if !max_wait.is_zero() {
        *placed = state.waiting.enter(settings.max_waiting);
        if !*placed {
            max_wait = Duration::ZERO;
        }
    }
    Question { name: state.local.name.clone(), settings, max_wait }
}

#[pinned_drop]
impl<St: Store> PinnedDrop for Acquire<St> {
    fn drop(self: Pin<&mut Self>) {
        let mut this = self.project();
        match this.step.as_mut().project() {
            StepProj::Store { asked, .. } => this.state.unanswered(*asked),
            StepProj::Reserved(_) => this.state.used(),
            _ => {}
        }
        if *this.placed {
            this.state.waiting.leave();
        }
    }
}

impl<St: Store> fmt::Debug for Acquire<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("name", &self.state.local.name).finish_non_exhaustive()
    }
}
