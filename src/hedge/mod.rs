//! Hedge: a second attempt of a call that takes long, while the first is still pending, and the first success of the two.
//!
//! # When
//! Where a few attempts take much longer than the others for no reason of the request's: a straggling worker, a lost
//! packet, a pause. Not where everything is slow; there a backup makes it slower, which is why it has a budget of its own.
//! It is a part of [`retry`](crate::retry), and goes where that goes: above the breaker, below the deadline. Below it there
//! should be more than one endpoint, as a backup at the same one is often as slow.
//!
//! # Example
//! ```
//! use std::{sync::{Arc, atomic::{AtomicU32, Ordering}}, time::Duration};
//! use steadfast::{hedge::Hedge, retry::Retry};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // By default when a call takes longer than 95 % of those seen; here after 50 ms.
//! let retry = Retry::builder().hedge(Hedge::after(Duration::from_millis(50))).build()?;
//! let hedge = retry.handle().hedge().expect("it has one");
//!
//! let attempts = Arc::new(AtomicU32::new(0));
//! let service = ServiceBuilder::new().layer(retry).map_err(steadfast::Error::Inner).service(service_fn(move |()| {
//!     let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
//!     async move {
//!         let straggles = if attempt == 1 { 900 } else { 20 };
//!         tokio::time::sleep(Duration::from_millis(straggles)).await;
//!         Ok::<_, std::io::Error>(attempt)
//!     }
//! }));
//! let started = tokio::time::Instant::now();
//! assert_eq!(service.oneshot(()).await?, 2); // the backup was first
//! assert_eq!(started.elapsed(), Duration::from_millis(70));
//! assert_eq!(hedge.snapshot().hedges_won, 1);
//! # Ok(())
//! # }
//! ```
//! [`Hedge::alone`] makes a layer that hedges and does nothing else.
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`after`](Hedge::after), [`percentile`](Hedge::percentile) | 95th percentile | how long the first attempt has to have been pending |
//! | [`medians`](Hedge::medians) | 3 | the least that a percentile is taken for, in medians |
//! | [`minimum_calls`](Hedge::minimum_calls) | 20 | how many must have been seen before there is a percentile |
//! | [`budget`](Hedge::budget) | 0.05, 3 | hedges ≤ 3 + 0.05 × calls, over any history; nothing comes back for one that wins |
//! | [`overload_hold`](Hedge::overload_hold) | 1 s | no backups for so long after the service said that it is overloaded |
//! | [`soft_timeout`](Hedge::soft_timeout) | none | when an attempt, whichever, has a backup out of the *retry's* budget |
//!
//! All of them change in place through the [handle](HedgeHandle::change).
//!
//! # When a backup is sent
//! - **The first attempt takes long**: once, with a token of the hedge's own bucket.
//! - **An attempt takes longer than the soft timeout**: it is not cancelled, which costs everything where the network
//!   slows down; another one is sent under the rules of the retry, without a back-off: attempts left, a token of its budget.
//!   When two are under way and both have passed it, the older one makes room.
//! - **The first attempt fails before its hedge**: at once. That is a retry in all but the back-off; it is counted and paid
//!   for as one. Where nobody was reached, or the service asks for time, the back-off stays.
//!
//! None is sent of what [may not be sent twice](crate::retry::Replay), without an attempt left (they are counted once, over
//! retries and all layers), when the deadline leaves no time for it, and while backups are on hold: a verdict of
//! [`Overloaded`](crate::Verdict::Overloaded), or a refusal by a layer below, stops those of all calls of the layer.
//!
//! One that is found overdue in a [stall](crate::stall) of our own is not sent for that: the attempts have their time anew.
//!
//! # Which answer counts
//! The first success. So does an answer that another try would not change: `Permanent`, `Neutral`. A failure does not win:
//! the other attempt is waited for, and meanwhile the failed one is tried again if the policy says so; a backup
//! that a layer below refuses is let go. If all fail, the last outcome is returned.
//!
//! # Dropping
//! Losers are dropped as soon as there is an answer, with all that they hold. To a breaker below they are abandoned calls: with
//! [slow calls](crate::circuit_breaker::CircuitBreakerBuilder::slow_calls) set they count as slow when they were, and without,
//! as failures once half of the calls end so; an endpoint that is always slow is found out either way. Dropping the
//! response future drops both attempts, and gives back the tokens of what was not sent.
//!
//! # The percentile
//! Of first attempts that were pending, over the last 10 to 20 s, at most a sixteenth too long. One that loses counts as what it
//! had taken by then, or the delay would shrink with every hedge that wins.
//!
//! # Cost
//! A call that is ready at once reads no clock and makes no timer. One that is pending reads the clock twice and has one timer.
//! Nothing is allocated. A retry without a hedge pays nothing: it is of another type ([`NoBackup`](crate::retry::NoBackup)).

mod core;
mod estimate;
mod handle;
mod settings;

pub(crate) use self::core::{Core, Due, Why};
pub use self::{
    handle::{HedgeHandle, HedgeSnapshot},
    settings::{HedgeDelay, HedgeSettings},
};
use crate::{
    DefaultClassify,
    retry::{Backup, CloneRequest, Retry, RetryBuilder},
};

/// When calls have a backup; given to [`RetryBuilder::hedge`], or used [alone](Self::alone). Nothing is checked before
/// that is built.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "a hedge does nothing until it is given to a retry"]
pub struct Hedge {
    pub(crate) settings: HedgeSettings,
}

impl Hedge {
    /// A layer that hedges and does nothing else: one backup for each call, late or after a failure.
    pub fn alone(self) -> RetryBuilder<DefaultClassify, CloneRequest, Backup> {
        Retry::builder().name("hedge").max_attempts(2).hedge(self)
    }
}
