//! Adaptive limit: lets as many calls be in progress as the service answers in good time, and finds out how many that are.
//!
//! # When
//! Around a client of a service that others use too, whose capacity nobody can tell in advance: it is halved by a bad
//! deploy, doubled by its autoscaler, gone during an outage, cold after it. Below the retry and the circuit breaker. A
//! [bulkhead](crate::bulkhead) with the right number of places does the same as long as that number is right.
//!
//! # Example
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::adaptive_limit::AdaptiveLimit;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let limit = AdaptiveLimit::builder(Duration::from_secs(1)).name("inventory").build()?;
//! let handle = limit.handle();
//!
//! // One call after the other: each takes as long as all before it.
//! let queue = tower::limit::ConcurrencyLimit::new(service_fn(|id: u32| async move {
//!     tokio::time::sleep(Duration::from_millis(50)).await;
//!     Ok::<_, Infallible>(id)
//! }), 1);
//! let client = ServiceBuilder::new().layer(limit).layer(steadfast::ready::ReadyLayer).service(queue);
//!
//! assert_eq!(handle.limit(), 50); // would take 2.5 s
//! let calls = (0..400).map(|id| client.clone().oneshot(id));
//! futures::future::join_all(calls).await;
//! assert!(handle.limit() <= 10, "those take half a second");
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`builder`](AdaptiveLimit::builder)`(deadline)` | | how long who asks waits: the limit of the timeout above |
//! | [`algorithm`](AdaptiveLimitBuilder::algorithm) | [`Deadline`](Algorithm::Deadline) | how the limit moves |
//! | [`slow_after`](AdaptiveLimitBuilder::slow_after) | 0.5 | the share of the deadline after which a call counts as slow |
//! | [`initial`](AdaptiveLimitBuilder::initial) | 50 | the limit to begin with |
//! | [`min`](AdaptiveLimitBuilder::min), [`max`](AdaptiveLimitBuilder::max) | 1, 10,000 | it stays between these |
//! | [`max_waiting`](AdaptiveLimitBuilder::max_waiting) | 1,000 | how many calls may wait for a place |
//! | [`max_wait`](AdaptiveLimitBuilder::max_wait) | 0.6 | the share of the deadline that a call waits at most |
//! | [`order`](AdaptiveLimitBuilder::order) | last come, first served | who of those that wait is next |
//! | [`classify`](AdaptiveLimitBuilder::classify) | [`DefaultClassify`](crate::DefaultClassify) | what outcomes mean |
//! | [`hold`](AdaptiveLimitBuilder::hold) | [`UntilResponse`](crate::bulkhead::UntilResponse) | when the place of a call is given back |
//!
//! All but the last two change in place through the [handle](AdaptiveLimitHandle::change). The defaults are those that came
//! out best in the storms of the simulator, in the listed world and in worlds drawn at random (`tests/storm/limits.rs`).
//!
//! # How the limit moves
//! What has ended within a quarter of the deadline is judged together, as soon as it is ten calls, or twice the limit if
//! that is less. What has not come to so many in two deadlines is forgotten.
//!
//! ```text
//! good     answered, and not slow
//! late     answered slowly; or Overloaded (429, 503), however fast
//! lost     failed slowly, timed out, or dropped by the caller when it was slow or its own deadline was over
//! failed   failed fast
//!
//! late + lost over 6/10 of all but the failed    limit = calls that end in a slow call's time,
//!                                                between 3/10 and 8/10 of those that were in progress
//! neither good nor late ones                     at most 5, until something is answered
//! as slow as ever, three deadlines after half    what it was before, for 20 deadlines, and twice as long each time
//! of the calls have gone
//! limit in use, and under what was in            twice the limit, up to that; also at the beginning, until it is
//! progress before an outage                      cut for the first time
//! late + lost at most 1/10, most calls good,     a tenth more
//! and limit in use
//! otherwise                                      as it is
//! ```
//!
//! The first line is Little's law. There is no baseline ("as fast as it once was") that could be wrong or drift: as long as
//! most calls are answered in good time, the limit never goes down. Refusals of layers below say nothing, nor do late ends
//! that are excused by a [stall](crate::stall) of our own runtime, nor calls
//! that the caller dropped early. [`Aimd`](Algorithm::Aimd) is moved by the same windows, down by a fixed share and up by a
//! fixed number: simpler to foresee, and slower to follow.
//!
//! # What is refused
//! With [`LimitReached`](crate::RejectedKind::LimitReached), and never having reached the service: as by a
//! [bulkhead](crate::bulkhead#what-is-refused) of as many places. Calls wait in the future, not in `poll_ready`. Under
//! overload who came last is served first: the others would be late anyway.
//!
//! # Dropping
//! Dropping the response future leaves the queue, or drops the call; its place goes to the next in line. A call that was slow
//! by then, or whose deadline was over, counts as lost; so does one that panics then.
//!
//! # Differences
//! Unlike the limits of Netflix's concurrency-limits and Envoy's gradient this one compares with what the caller can bear,
//! not with the lowest latency seen. Vegas and gradient take a load that has grown slowly for an overload, and the latency
//! under an overload for a healthy one.
//!
//! # What it is not for
//! - **Services that take over half of the deadline by themselves**, overloaded or not: now and then it tries fewer calls, for
//!   three deadlines, and goes back. Give them a longer deadline, or a larger `slow_after`.
//! - **Long polls and streams** take long by themselves. Give them a bulkhead of their own, or classify them as
//!   [`Neutral`](crate::Verdict::Neutral), which counts for nothing here.
//! - **Services that wait in `poll_ready`** (tower's `Buffer` and `ConcurrencyLimit`) hold a call back before it begins, where
//!   nothing is measured: put a [`ReadyLayer`](crate::ready::ReadyLayer) between, as in the example.
//! - **Errors that say nothing about the service**, if all calls end in them: to a [`DefaultClassify`](crate::DefaultClassify)
//!   that is an outage.
//!
//! Cost: two atomic operations for the place, one for the count; two readings of the clock for a call that has to wait, none
//! for one that is ready at once. Nothing is allocated but, at most once in a window, new settings of the places.

mod doubt;
mod future;
mod handle;
mod layer;
mod limiter;
mod measured;
mod service;
mod settings;
mod state;

pub use self::{
    future::ResponseFuture,
    handle::{AdaptiveLimitEvent, AdaptiveLimitHandle, AdaptiveLimitSnapshot},
    layer::{AdaptiveLimitBuilder, AdaptiveLimitLayer, AdaptiveLimits},
    limiter::Cause,
    service::AdaptiveLimit,
    settings::{AdaptiveLimitSettings, Algorithm},
};
