//! A place as a guard, and a turn in the line.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use super::{class::Class, handle::Cause, layer::Shared, line::Standing};
use crate::slots::Ticket;

/// A place of a [`Shed`](super::Shed) layer. Dropping it gives the place to the next in line.
#[must_use = "a permit that is dropped gives its place back at once"]
pub struct Permit {
    shared: Arc<Shared>,
    /// Since when and for what, if it was waited for.
    since: Option<(Duration, Class)>,
}

impl Permit {
    /// Wraps a place that has been taken.
    pub(super) fn of(shared: Arc<Shared>, since: Option<(Duration, Class)>) -> Self {
        Self { shared, since }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.core.give_back(self.since, || shared.clock.now(), &|changes| shared.tell(changes));
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("shed", &self.shared.name).finish()
    }
}

/// A turn in the line. Dropping it leaves the line; a place that it had been given already goes to the next.
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    class: Class,
    /// `None` once there is an answer.
    ticket: Option<Ticket>,
}

impl Turn {
    pub(super) fn of(shared: Arc<Shared>, class: Class, ticket: Ticket) -> Self {
        Self { shared, class, ticket: Some(ticket) }
    }

    /// A place, or why there is none.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Permit, Cause>> {
        let Some(ticket) = self.ticket else { return Poll::Ready(Err(Cause::Cancelled)) };
        match self.shared.core.poll(ticket, cx.waker()) {
            Some(standing) => self.answer(standing).map_err(|_| Cause::Cancelled).map_or(Poll::Pending, Poll::Ready),
            None => Poll::Pending,
        }
    }

    /// The time is over: a place after all, or why there is none, or until when it waits on.
    pub(super) fn due(&mut self, now: Duration) -> Result<Result<Permit, Cause>, Duration> {
        let Some(ticket) = self.ticket else { return Ok(Err(Cause::Cancelled)) };
        let shared = &self.shared;
        let standing = shared.core.due(now, ticket, &|changes| shared.tell(changes));
        self.answer(standing)
    }

    fn answer(&mut self, standing: Standing) -> Result<Result<Permit, Cause>, Duration> {
        match standing {
            Standing::Waiting(until) => Err(until),
            Standing::Given(since) => {
                self.ticket = None;
                Ok(Ok(Permit::of(Arc::clone(&self.shared), Some((since, self.class)))))
            }
            Standing::Shed(cause) => {
                self.ticket = None;
                Ok(Err(cause))
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && let Some(since) = self.shared.core.leave(ticket)
        {
            drop(Permit::of(Arc::clone(&self.shared), Some((since, self.class))));
        }
    }
}
