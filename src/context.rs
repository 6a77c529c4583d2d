//! The call in progress: its deadline and how often it has been attempted, seen by every layer below.
//!
//! A [`Timeout`](crate::timeout::Timeout) sets the deadline, a [`Retry`](crate::retry::Retry) counts attempts. Both
//! enter the context around `call` and at each poll of the response future, so it follows the call through every
//! layer and through a `tower::buffer::Buffer`, without a bound on the request type and without an allocation.
//! Spawned tasks do not inherit it; carry it over with [`scope`]:
//!
//! ```
//! # async fn lookup() {}
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use steadfast::context;
//!
//! tokio::spawn(context::scope(context::current(), async {
//!     lookup().await; // sees the deadline of the call that spawned it
//! }));
//! # }
//! ```

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use crate::time::{self, Instant};

/// The facts of a call, copied as it goes down through the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallContext {
    limit: Option<Limit>,
    attempts: Option<Attempts>,
}

/// When the call must be over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    At(Instant),
    /// From the first reading of the clock on: a call that is ready at once never reads it.
    Within(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Attempts {
    made: u32,
    allowed: u32,
}

thread_local! {
    static CURRENT: Cell<CallContext> = const { Cell::new(CallContext::EMPTY) };
}

impl CallContext {
    const EMPTY: Self = Self { limit: None, attempts: None };

    /// When the call must be over (a `tokio::time::Instant`), if a layer above has said so and its clock runs.
    pub fn deadline(&self) -> Option<Instant> {
        match self.limit? {
            Limit::At(deadline) => Some(deadline),
            Limit::Within(_) => None,
        }
    }

    /// The number of the attempt in progress; the first is 1.
    pub fn attempt(&self) -> u32 {
        self.attempts.map_or(1, |attempts| attempts.made)
    }

    /// A context whose deadline is `deadline`, or the one it has if that is earlier.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        let earlier = self.deadline().map_or(deadline, |present| present.min(deadline));
        self.limit = Some(Limit::At(earlier));
        self
    }
}

/// The context of the call that is being polled here; empty outside of one.
///
/// Starts the deadline's clock if that has not started yet.
pub fn current() -> CallContext {
    deadline();
    CURRENT.get()
}

/// When the call being polled here must be over, if a layer above has said so.
///
/// ```
/// assert_eq!(steadfast::context::deadline(), None); // outside of any call
/// ```
pub fn deadline() -> Option<Instant> {
    let mut context = CURRENT.get();
    let deadline = match context.limit? {
        Limit::At(deadline) => deadline,
        Limit::Within(total) => {
            let deadline = time::after(time::now(), total)?;
            context.limit = Some(Limit::At(deadline));
            CURRENT.set(context);
            deadline
        }
    };
    Some(deadline)
}

/// The number of the attempt being polled here; the first is 1.
pub fn attempt() -> u32 {
    CURRENT.get().attempt()
}

/// Runs `future` as part of the call that `context` belongs to.
pub fn scope<F: Future>(context: CallContext, future: F) -> Scope<F> {
    Scope { context, future }
}

/// See [`scope`]. Dropping it drops the future.
#[pin_project::pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Scope<F> {
    context: CallContext,
    #[pin]
    future: F,
}

impl<F: Future> Future for Scope<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _outside = Restore(CURRENT.replace(*this.context));
        let poll = this.future.poll(cx);
        *this.context = CURRENT.get();
        poll
    }
}

/// Runs `poll` as a call of its own: the deadline holds, the attempts of the calls above are not its own.
pub(crate) fn without_attempts<T>(poll: impl FnOnce() -> T) -> T {
    let outside = CURRENT.get();
    let restore = Restore(outside);
    CURRENT.set(CallContext { attempts: None, ..outside });
    let value = poll();
    let limit = CURRENT.get().limit;
    drop(restore);
    CURRENT.set(CallContext { limit, ..outside });
    value
}

/// Puts a context back, on unwinding too.
struct Restore(CallContext);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0);
    }
}

/// A time limit that one layer puts on a call, combined with those above it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeLimit(Limit);

impl TimeLimit {
    pub(crate) fn within(total: Duration) -> Self {
        Self(Limit::Within(total))
    }

    /// Runs `poll` under this limit and those above, and carries back what was learned: a clock that started below
    /// has started for all of them.
    pub(crate) fn enter<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        let mut outside = CURRENT.get();
        if let (Limit::Within(_), Some(Limit::At(_))) = (self.0, outside.limit) {
            // The clock above runs already; the two can be compared only when both do.
            self.deadline();
        }
        let effective = match (self.0, outside.limit) {
            (Limit::At(own), Some(Limit::At(above))) => Limit::At(own.min(above)),
            (Limit::Within(own), Some(Limit::Within(above))) => Limit::Within(own.min(above)),
            // Our own end is beyond what the clock can express.
            (Limit::Within(_), Some(above @ Limit::At(_))) => above,
            (own, _) => own,
        };
        let restore = Restore(outside);
        CURRENT.set(CallContext { limit: Some(effective), ..outside });
        let value = poll();
        let inside = CURRENT.get();
        drop(restore);
        if let (Limit::Within(total), Some(Limit::At(deadline))) = (effective, inside.limit)
            && let Some(start) = deadline.checked_sub(total)
        {
            self.0 = self.0.started(start);
            outside.limit = outside.limit.map(|above| above.started(start));
        }
        CURRENT.set(CallContext { attempts: inside.attempts, ..outside });
        value
    }

    /// The instant at which this limit ends, `None` for never. Starts its clock, and those above, if need be.
    pub(crate) fn deadline(&mut self) -> Option<Instant> {
        if let Limit::Within(_) = self.0 {
            let start = time::now();
            self.0 = self.0.started(start);
            let mut above = CURRENT.get();
            above.limit = above.limit.map(|limit| limit.started(start));
            CURRENT.set(above);
        }
        match self.0 {
            Limit::At(deadline) => Some(deadline),
            Limit::Within(_) => None,
        }
    }
}

impl Limit {
    /// This limit with its clock started at `start`; as it is if that runs already, or ends beyond what the clock
    /// can express.
    fn started(self, start: Instant) -> Self {
        match self {
            Self::Within(total) => time::after(start, total).map_or(self, Self::At),
            Self::At(_) => self,
        }
    }
}

/// One layer's count of attempts, which it shares with every other attempt engine above and below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptCount(Attempts);

impl AttemptCount {
    /// The count of a call that arrives here: what a layer above has begun, or a new one of `allowed`.
    pub(crate) fn begin(allowed: u32) -> Self {
        Self(CURRENT.get().attempts.map_or(Attempts { made: 1, allowed }, |above| Attempts {
            made: above.made,
            allowed: above.allowed.min(above.made.saturating_sub(1).saturating_add(allowed)),
        }))
    }

    /// How many attempts have been made in all, by this layer and those above and below it.
    pub(crate) fn made(&self) -> u32 {
        self.0.made
    }

    /// Whether there may be a further attempt.
    pub(crate) fn left(&self) -> bool {
        self.0.made < self.0.allowed
    }

    /// Counts a further attempt.
    pub(crate) fn take(&mut self) {
        self.0.made += 1;
    }

    /// Runs `poll` with this count in the context, and carries back the attempts that were made below.
    pub(crate) fn enter<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        let outside = CURRENT.get();
        let restore = Restore(outside);
        CURRENT.set(CallContext { attempts: Some(self.0), ..outside });
        let value = poll();
        let inside = CURRENT.get();
        drop(restore);
        if let Some(below) = inside.attempts {
            self.0.made = below.made.max(self.0.made);
        }
        let attempts = outside.attempts.map(|above| Attempts { made: self.0.made.max(above.made), ..above });
        CURRENT.set(CallContext { limit: inside.limit, attempts });
        value
    }
}
