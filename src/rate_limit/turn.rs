//! A turn that a call waits for, as a guard.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project::{pin_project, pinned_drop};

use super::{
    core::{Asked, Stands},
    layer::Shared,
};
use crate::{Rejected, context, queue::Place, time::Sleep};

/// Waits for a turn. Dropping it leaves the queue; a turn that had come passes on.
#[pin_project(PinnedDrop)]
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    /// `None` once the turn has been used.
    held: Option<Held>,
    #[pin]
    timer: Option<Sleep>,
    /// What the timer is set to.
    due: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum Held {
    /// In the queue, up to `latest`.
    Place {
        place: Place,
        latest: Duration,
    },
    Reserved {
        at: Duration,
        epoch: u64,
    },
}

/// What asking for a turn comes to, if it is not refused.
pub(super) enum Asking {
    Go,
    Wait(Turn),
}

impl Turn {
    pub(super) fn ask(shared: &Arc<Shared>, cx: &Context<'_>) -> Result<Asking, Rejected> {
        let now = shared.clock.now();
        let deadline = context::deadline().map(|deadline| shared.clock.at(deadline));
        let wait = |held, due: Duration| {
            // The guard first: without a runtime there is no timer, but a panic.
            let mut turn = Self { shared: Arc::clone(shared), held: Some(held), timer: None, due: Some(due) };
            turn.timer = shared.clock.instant(due).map(Sleep::until);
            Ok(Asking::Wait(turn))
        };
        match shared.core.ask(now, deadline, cx.waker()) {
            Asked::Go => Ok(Asking::Go),
            Asked::Queued { place, due, latest } => {
                wait(Held::Place { place, latest }, due.map_or(latest, |due| due.min(latest)))
            }
            Asked::Reserved { at, epoch } => wait(Held::Reserved { at, epoch }, at),
            Asked::Refused { at } => Err(shared.refuse(now, at)),
        }
    }

    /// Ready when it is this call's turn, or when it has waited for too long: the first in line may not be polled, or
    /// the rate may have become lower.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
        let mut this = self.project();
        loop {
            let due = match *this.held {
                None => return Poll::Ready(Ok(())),
                Some(Held::Reserved { at, .. }) => at,
                Some(Held::Place { place, latest }) => {
                    let now = this.shared.clock.now();
                    let (in_vain, due) = match this.shared.core.poll(now, place, cx.waker()) {
                        Stands::Go => {
                            *this.held = None;
                            return Poll::Ready(Ok(()));
                        }
                        Stands::First { due } => (due > latest, due),
                        Stands::Behind => (latest <= now, latest),
                    };
                    if in_vain {
                        *this.held = None;
                        let at = this.shared.core.give_up(now, place);
                        return Poll::Ready(Err(this.shared.refuse(now, at)));
                    }
                    due
                }
            };
            if *this.due != Some(due) {
                *this.due = Some(due);
                this.timer.set(this.shared.clock.instant(due).map(Sleep::until));
            }
            // No timer: its time never comes, or somebody ahead will wake this call.
            let Some(timer) = this.timer.as_mut().as_pin_mut() else { return Poll::Pending };
            if !timer.poll_elapsed(cx) {
                return Poll::Pending;
            }
            if let Some(Held::Reserved { .. }) = this.held {
                *this.held = None;
            } else {
                *this.due = None;
            }
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Turn {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        let now = this.shared.clock.now();
        match this.held.take() {
            Some(Held::Place { place, .. }) => this.shared.core.leave(now, place),
            Some(Held::Reserved { at, epoch }) => this.shared.core.give_back(now, at, epoch),
            None => {}
        }
    }
}
