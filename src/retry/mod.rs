//! Retry: tries failed calls again, within a budget that keeps retries from becoming the outage.
//!
//! # When
//! Above everything that makes a single attempt (breaker, attempt timeout), below the deadline of the whole call and the
//! fallback. Only where a request may be sent twice; see [`Replay`].
//!
//! # Example
//! ```
//! use std::{sync::Arc, time::Duration};
//! use steadfast::{backoff::Backoff, retry::{Budget, Retry}};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let budget = Arc::new(Budget::refund()); // may be shared by several layers
//! let retry = Retry::builder()
//!     .name("inventory")
//!     .max_attempts(3)
//!     .backoff(Backoff::exponential(Duration::from_millis(25)).max(Duration::from_secs(2)))
//!     .budget(budget.clone())
//!     .build()?;
//!
//! let attempt = Arc::new(std::sync::atomic::AtomicU32::new(0));
//! let service = ServiceBuilder::new()
//!     .layer(retry)
//!     .map_err(steadfast::Error::Inner)
//!     .service(service_fn(move |()| {
//!         let first = attempt.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
//!         async move { if first { Err(std::io::Error::other("connection reset")) } else { Ok("42 left") } }
//!     }));
//! assert_eq!(service.oneshot(()).await?, "42 left");
//! assert_eq!(budget.tokens(), 50.0); // the retry succeeded, so its token came back
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`max_attempts`](RetryBuilder::max_attempts) | 3 | the first included, and counted once over all attempt engines of a stack |
//! | [`backoff`](RetryBuilder::backoff) | 25 ms × 2 up to 2 s, full jitter | the wait between attempts; the cap first, then the jitter |
//! | [`max_retry_after`](RetryBuilder::max_retry_after) | 10 s | how long a wait that the service asks for is obeyed; and, without a deadline, how long a call is held for a breaker that is open |
//! | [`budget`](RetryBuilder::budget) | [`Budget::ratio`], its own | bounds the load that retries add |
//! | [`classify`](RetryBuilder::classify) | any error is transient | what outcomes mean |
//! | [`replay`](RetryBuilder::replay) | everything, by `Clone` | what may be sent twice |
//! | [`hedge`](RetryBuilder::hedge) | none | a second attempt while the first is pending; see [`hedge`](crate::hedge) |
//! | [`soft_timeout`](RetryBuilder::soft_timeout) | none | the same for an attempt that takes this long, out of the retry's budget |
//!
//! # What is tried again
//! | outcome | again? |
//! |---|---|
//! | success, [`Permanent`](crate::Verdict::Permanent), [`Neutral`](crate::Verdict::Neutral) | no |
//! | [`Transient`](crate::Verdict::Transient), [`Overloaded`](crate::Verdict::Overloaded) | after the back-off, or what the service asked for |
//! | refused by a layer below, which says when to come back | then, if at least as much time is left for the attempt as the wait takes; costs no token |
//! | refused by a layer below, which does not | no |
//! | the service may have seen it, and it may not be sent twice | no |
//! | failed because our own runtime stood still ([`stall`](crate::stall)) | no; costs no token |
//!
//! A wait that would end after the [deadline](crate::context::deadline) is not begun. Out of attempts, budget or time, the
//! last outcome is returned untouched; the [events](RetryEvent) tell how many attempts there were and why no more. The
//! request is copied before an attempt that may be followed by another, never for the last. A back-off of zero touches
//! no timer.
//!
//! # Dropping
//! Dropping the future drops the attempts in progress; a token taken for an attempt that was not sent goes back.
//!
//! # Differences
//! Unlike tower's `Retry` this one has a budget without a floor per second (a floor defeats it for many small clients), knows
//! deadlines, `Retry-After` and its own breaker's refusals, and counts attempts once over nested retries.

mod backup;
mod budget;
mod call;
mod future;
mod lane;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_budget;
mod plan;
mod policy;
mod replay;
mod service;
mod settings;

pub use self::{
    backup::{Backup, Backups, NoBackup},
    budget::{Budget, BudgetMode},
    future::ResponseFuture,
    layer::{RetryBuilder, RetryEvent, RetryHandle, RetryLayer},
    policy::Finish,
    replay::{CloneRequest, OnlyUnsentUnless, Replay, only_unsent_unless},
    service::Retry,
    settings::RetrySettings,
};
