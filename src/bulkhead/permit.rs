//! A place in a bulkhead, as a guard, and a turn in its queue.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use super::layer::Shared;
use crate::queue::Place;

/// A place in a bulkhead. Dropping it gives the place to the next in line.
#[must_use = "a permit that is dropped gives its place back at once"]
pub struct Permit {
    shared: Arc<Shared>,
}

impl Permit {
    /// Wraps a place that has been taken.
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.places.give_back(|| self.shared.clock.now());
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("bulkhead", &self.shared.name).finish()
    }
}

/// A turn in the queue. Dropping it leaves the queue; a place that it had been given already goes to the next.
#[derive(Debug)]
pub(super) struct Turn {
    shared: Arc<Shared>,
    /// `None` once the place has become a permit.
    place: Option<Place>,
}

impl Turn {
    pub(super) fn of(shared: Arc<Shared>, place: Place) -> Self {
        Self { shared, place: Some(place) }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Permit> {
        match self.place {
            Some(place) if !self.shared.places.poll(place, cx.waker()) => Poll::Pending,
            _ => {
                self.place = None;
                Poll::Ready(Permit::of(Arc::clone(&self.shared)))
            }
        }
    }

    /// Stops waiting; a place that was given in the meantime is taken.
    pub(super) fn give_up(&mut self) -> Option<Permit> {
        let place = self.place.take()?;
        (!self.shared.places.leave(place)).then(|| Permit::of(Arc::clone(&self.shared)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.give_up();
    }
}
