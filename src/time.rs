//! The only module that reads a clock or sleeps. All of it is `tokio::time`, so paused time governs the crate.
#![allow(clippy::disallowed_methods)]

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

pub(crate) use tokio::time::Instant;

/// Reads the clock. Works outside of a runtime too, where it is the system's monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// `start + wait`, or `None` where that is beyond what the clock can express: never.
pub(crate) fn after(start: Instant, wait: Duration) -> Option<Instant> {
    start.checked_add(wait)
}

/// Time since an origin, which is how the pure decisions see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { origin: now() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.at(now())
    }

    pub(crate) fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.origin)
    }

    pub(crate) fn instant(&self, at: Duration) -> Option<Instant> {
        self.origin.checked_add(at)
    }
}

/// A wait until an instant. Registers with the timer when first polled.
#[pin_project::pin_project]
#[derive(Debug)]
pub(crate) struct Sleep(#[pin] tokio::time::Sleep);

impl Sleep {
    pub(crate) fn until(instant: Instant) -> Self {
        Self(tokio::time::sleep_until(instant))
    }

    /// Whether the time has come. Unlike `poll` it is not put off by a call that has used up its share of the
    /// executor's cooperative budget: a call that is always busy must time out too.
    pub(crate) fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let mut sleep = self.project().0;
        sleep.as_mut().poll(cx).is_ready() || sleep.is_elapsed()
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().0.poll(cx)
    }
}
