//! The only module that reads a clock or sleeps. All of it is `tokio::time`, so paused time governs the crate.
#![allow(clippy::disallowed_methods)]

use std::{
    future::Future,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
    time::Duration,
};

use crate::stall;

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

/// Whether the clock is the system's here, not one that is paused or has been: only then is a late timer late. Not a
/// question of how far they are apart, so a thread that is held up in between changes nothing.
pub(crate) fn is_real() -> bool {
    let before = std::time::Instant::now();
    let ours = now().into_std();
    before <= ours && ours <= std::time::Instant::now()
}

/// An instant of the system's clock that is the same for the whole process.
static PROCESS: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);

/// Time since an origin that is the same for the whole process, and years before anything in it.
pub(crate) fn of_process(instant: Instant) -> Duration {
    const BEFORE: Duration = Duration::from_secs(1 << 30);
    let start = Instant::from_std(*PROCESS);
    (BEFORE.saturating_add(instant.saturating_duration_since(start)))
        .saturating_sub(start.saturating_duration_since(instant))
}

/// A wait until an instant. Registers with the timer when first polled. Where its end is found late, the thread was
/// stalled, and `stall` is told.
#[pin_project::pin_project(PinnedDrop)]
#[derive(Debug)]
pub(crate) struct Sleep {
    #[pin]
    sleep: tokio::time::Sleep,
    /// Whether it has been pending, and not been found at its end. One that began at its end is not late.
    pending: bool,
}

impl Sleep {
    pub(crate) fn until(instant: Instant) -> Self {
        Self { sleep: tokio::time::sleep_until(instant), pending: false }
    }

    /// Whether the time has come. Unlike `poll` it is not put off by a call that has used up its share of the
    /// executor's cooperative budget: a call that is always busy must time out too.
    pub(crate) fn poll_elapsed(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let mut this = self.as_mut().project();
        let elapsed = this.sleep.as_mut().poll(cx).is_ready() || this.sleep.is_elapsed();
        self.seen(elapsed);
        elapsed
    }

    /// Tells of a stall that this wait has seen, before anything is judged by what came of it.
    #[inline]
    pub(crate) fn notice(self: Pin<&mut Self>) {
        if self.pending && self.sleep.is_elapsed() {
            self.seen(true);
        }
    }

    /// Nobody waits for it any more, with or without its end.
    #[inline]
    pub(crate) fn done(self: Pin<&mut Self>) {
        *self.project().pending = false;
    }

    #[inline]
    fn seen(self: Pin<&mut Self>, elapsed: bool) {
        let this = self.project();
        if std::mem::replace(this.pending, !elapsed) && elapsed {
            stall::came_due(this.sleep.deadline());
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let poll = self.as_mut().project().sleep.poll(cx);
        self.seen(poll.is_ready());
        poll
    }
}

#[pin_project::pinned_drop]
impl PinnedDrop for Sleep {
    /// Given up: its end may be over without anybody having seen to it.
    #[inline]
    fn drop(self: Pin<&mut Self>) {
        if self.pending {
            self.seen(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_anybody_asked_has_a_time_too() {
        let second = Duration::from_secs(1);
        let now = Instant::from_std(std::time::Instant::now());
        let Some(before) = now.checked_sub(second) else { return };
        let before = of_process(before);
        assert_eq!(of_process(now), before + second);
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_is_not_real() {
        assert!(!is_real());
        assert!(std::thread::spawn(is_real).join().unwrap());
    }
}
