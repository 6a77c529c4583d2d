//! The call in progress: its deadline, how often it has been attempted and how important it is, seen by every layer below.
//!
//! A [`Timeout`](crate::timeout::Timeout) sets the deadline, a [`Retry`](crate::retry::Retry) counts attempts. Both
//! enter the context around `call` and at each poll of the response future, so it follows the call through every
//! layer and through a `tower::buffer::Buffer`, without a bound on the request type and without an allocation.
//! Spawned tasks do not inherit it (those of a `LocalSet` that is driven within a call see that call's); carry it over
//! with [`scope`]:
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

mod attempts;

pub(crate) use self::attempts::AttemptCount;
use crate::{
    Priority,
    time::{self, Instant},
};

/// The facts of a call, copied as it goes down through the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallContext {
    limit: Option<Limit>,
    attempts: Option<Attempts>,
    priority: Priority,
    /// Whether whoever sent the call here had sent it before.
    repeated: bool,
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
    /// The address of the budget that the call has been deposited into, or zero.
    budget: usize,
    tried: Tried,
}

/// The endpoints that a call has been sent to, by number, the latest last; zero is none. Where there are more, the oldest
/// is forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tried([u32; 6]);

impl Tried {
    /// Whether it has been sent nowhere yet.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0[5] == 0
    }

    #[inline]
    pub(crate) fn contains(&self, endpoint: u32) -> bool {
        self.0.contains(&endpoint)
    }

    /// These, and one more.
    pub(crate) fn with(mut self, endpoint: u32) -> Self {
        self.add(endpoint);
        self
    }

    fn add(&mut self, endpoint: u32) {
        if !self.contains(endpoint) {
            let [_, second, third, fourth, fifth, last] = self.0;
            self.0 = [second, third, fourth, fifth, last, endpoint];
        }
    }
}

thread_local! {
    static CURRENT: Cell<CallContext> = const { Cell::new(CallContext::EMPTY) };
}

impl CallContext {
    const EMPTY: Self = Self { limit: None, attempts: None, priority: Priority::Normal, repeated: false };

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

    /// How important the call is. Default: [`Priority::Normal`].
    pub fn priority(&self) -> Priority {
        self.priority
    }

    /// Whether this is a later attempt: a retry or a hedge, of a layer above or of who sent the call to this process.
    pub fn is_repeated(&self) -> bool {
        self.repeated || self.attempt() > 1
    }

    /// A context of this importance.
    #[must_use]
    pub fn with_priority(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }

    /// A context that says whether who sent the call here had sent it before: for servers, which learn it from the request.
    #[must_use]
    pub fn with_repeated(self, repeated: bool) -> Self {
        Self { repeated, ..self }
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

/// How important the call being polled here is.
pub fn priority() -> Priority {
    CURRENT.get().priority()
}

/// Whether the call being polled here is a later attempt: a retry or a hedge.
pub fn is_repeated() -> bool {
    CURRENT.get().is_repeated()
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

#[cfg(test)]
mod tests {
    use super::*;

    const SEC: Duration = Duration::from_secs(1);

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn limits_that_start_together_start_at_the_same_reading_of_the_clock() {
        let (mut outer, mut inner) = (TimeLimit::within(3 * SEC), TimeLimit::within(SEC));
        pass(SEC).await; // before anything asks: not counted
        let start = time::now();
        let seen = outer.enter(|| inner.enter(deadline));
        assert_eq!(seen, Some(start + SEC));
        pass(SEC).await;
        assert_eq!(inner.deadline(), Some(start + SEC));
        assert_eq!(outer.deadline(), Some(start + 3 * SEC));
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_limit_is_cut_to_what_is_left_of_the_earlier() {
        let mut outer = TimeLimit::within(2 * SEC);
        let end = outer.deadline();
        pass(SEC).await;
        let mut inner = TimeLimit::within(5 * SEC);
        assert_eq!(outer.enter(|| inner.enter(deadline)), end);
        assert_eq!(inner.deadline(), Some(time::now() + 5 * SEC));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_has_to_wait_starts_those_above() {
        let (mut outer, mut inner) = (TimeLimit::within(3 * SEC), TimeLimit::within(SEC));
        let start = time::now();
        assert_eq!(outer.enter(|| inner.deadline()), Some(start + SEC));
        pass(SEC).await;
        assert_eq!(outer.deadline(), Some(start + 3 * SEC));
    }

    #[test]
    fn no_limit_outlives_its_call_even_if_that_panics() {
        let mut limit = TimeLimit::within(SEC);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| limit.enter(|| panic!("on purpose"))));
        assert!(panic.is_err());
        assert_eq!(CURRENT.get(), CallContext::EMPTY);
    }

    #[test]
    fn a_limit_beyond_the_clock_never_ends_and_is_cut_like_any_other() {
        let mut endless = TimeLimit::within(Duration::MAX);
        assert_eq!(endless.enter(deadline), None);
        let mut outer = TimeLimit::within(SEC);
        let end = outer.deadline();
        assert_eq!(outer.enter(|| endless.enter(deadline)), end);
    }
}
