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
    Place(Place),
    Reserved { at: Duration, epoch: u64 },
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
        let wait = |held, due: Option<Duration>| {
            let timer = due.and_then(|due| shared.clock.instant(due)).map(Sleep::until);
            Ok(Asking::Wait(Self { shared: Arc::clone(shared), held: Some(held), timer, due }))
        };
        match shared.core.ask(now, deadline, cx.waker()) {
            Asked::Go => Ok(Asking::Go),
            Asked::Queued { place, due } => wait(Held::Place(place), due),
            Asked::Reserved { at, epoch } => wait(Held::Reserved { at, epoch }, Some(at)),
            Asked::Refused { at } => Err(shared.refuse(now, at)),
        }
    }

    /// Ready when it is this call's turn.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let due = match this.held {
                None => return Poll::Ready(()),
                Some(Held::Reserved { at, .. }) => Some(*at),
                Some(Held::Place(place)) => match this.shared.core.poll(this.shared.clock.now(), *place, cx.waker()) {
                    Stands::Go => {
                        *this.held = None;
                        return Poll::Ready(());
                    }
                    Stands::First { due } => Some(due),
                    Stands::Behind => None,
                },
            };
            if *this.due != due {
                *this.due = due;
                this.timer.set(due.and_then(|due| this.shared.clock.instant(due)).map(Sleep::until));
            }
            // No timer: somebody ahead will wake this call, or its time never comes.
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
            Some(Held::Place(place)) => this.shared.core.leave(now, place),
            Some(Held::Reserved { at, epoch }) => this.shared.core.give_back(now, at, epoch),
            None => {}
        }
    }
}
