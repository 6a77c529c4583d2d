//! Rate limiter: limits how many calls are let through in a period.
//!
//! # When
//! Around a client of a service that allows so many calls per second, and around your own handler, per tenant or address,
//! for what one caller may ask of it. It bounds how often, a [bulkhead](crate::bulkhead) bounds how many at once: against a
//! service that becomes slow, the bulkhead helps. Innermost, just above the client: only what is really sent should be
//! counted.
//!
//! # Example
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::{RejectedKind, rate_limit::RateLimit};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limit = RateLimit::builder(10, Duration::from_secs(1)) // one every 100 ms
//!     .name("geocoder")
//!     .burst(2)
//!     .max_wait(Duration::from_millis(150))
//!     .build()?;
//!
//! let service = ServiceBuilder::new()
//!     .layer(limit)
//!     .service(service_fn(|place: &'static str| async move { Ok::<_, Infallible>(place.len()) }));
//!
//! let call = |place| service.clone().oneshot(place);
//! let (first, second, third, fourth) = tokio::join!(call("Bonn"), call("Rome"), call("Oslo"), call("Cork"));
//! assert_eq!((first?, second?), (4, 4)); // the burst
//! assert_eq!(third?, 4); // has waited for 100 ms
//! let refused = fourth.unwrap_err(); // would have had to wait for 200 ms
//! assert_eq!(refused.kind(), RejectedKind::RateLimited);
//!
//! tokio::time::sleep(refused.retry_after().expect("it knows when")).await;
//! assert_eq!(call("Cork").await?, 4);
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`builder`](RateLimit::builder)`(limit, period)` | – | so many calls per period: one every `period / limit` |
//! | [`burst`](RateLimitBuilder::burst) | a tenth of the limit, at least 1 | how many may come at once after a pause |
//! | [`max_wait`](RateLimitBuilder::max_wait) | zero: refused | the longest that a call waits for its turn, if its deadline is not earlier |
//! | [`max_waiting`](RateLimitBuilder::max_waiting) | 1,024 | how many calls may wait |
//! | [`mode`](RateLimitBuilder::mode) | [`Smooth`](Mode::Smooth) | spread evenly, or in fixed periods as Resilience4j does |
//!
//! All of them but the mode change in place through the [handle](RateLimitHandle::change): what has been used up stays
//! used up, who waits goes on waiting, at the new rate.
//!
//! # Smooth
//! At most `limit + burst` calls in *any* period. Waiting calls go in the order in which they came; the first in line
//! is woken, and all that are due go at its wake-up, so the rate is kept though timers are rounded to milliseconds. If it
//! is not polled then, whoever comes next lets them go, and none waits longer than `max_wait`.
//!
//! # What is refused
//! A call whose turn would come after `max_wait` or its [deadline](crate::context::deadline) is refused *at once*, with
//! [`RateLimited`](crate::RejectedKind::RateLimited) and the exact
//! [`retry_after`](crate::Rejected::retry_after): a call at that time is let through if nobody else comes before. It has
//! not reached the service, so a retry above waits just so long and tries again, without a token.
//!
//! # Dropping
//! Dropping the future of a call that waits leaves the queue, and its turn passes on. A call that was made has used its
//! turn, whatever becomes of it.
//!
//! # One layer, one limiter
//! All services that a layer makes share its count and its queue. For one per tenant or address, see
//! [`build_keyed`](RateLimitBuilder::build_keyed).
//!
//! # Without a service
//! [`Run::run`](crate::Run::run) for asynchronous code; [`RateLimitHandle::try_acquire`] to ask for a turn.
//! [`cycles::Cycles`] is the decision of the mode `Cycles` alone: `now` is an argument, and nothing in it waits.
//!
//! # Differences
//! Unlike tower's `RateLimit` this one is `Clone` and its clones share one count; it waits in the future and not in
//! `poll_ready`, so a deadline above covers the wait; it can refuse, and says when to come back; and around the end of a
//! period it does not let twice the limit through (in the mode [`Cycles`](Mode::Cycles) it may). From Resilience4j's it
//! differs, in that mode, where `drain` left permissions over or forgave debts, and where a call that could not succeed
//! was made to wait before it was told; everything else agrees step by step with recordings of the real library
//! (`tests/conformance.rs`).
//!
//! Cost: one short lock, and no allocation, for a call that is let through or refused.

mod core;
pub mod cycles;
mod future;
mod gcra;
mod handle;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_core;
#[cfg(feature = "redis")]
pub mod redis;
mod service;
mod settings;
pub mod shared;
mod store;
mod turn;

pub use self::{
    future::ResponseFuture,
    handle::{RateLimitEvent, RateLimitHandle, RateLimitSnapshot},
    layer::{RateLimitBuilder, RateLimitLayer, RateLimits},
    service::RateLimit,
    settings::{Mode, RateLimitSettings},
    shared::{SharedRateLimit, SharedRateLimitLayer, SharedRateLimits},
    store::{Decision, Question, Store, StoreError, StoreFailure},
};
