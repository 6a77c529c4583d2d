//! Bulkhead: limits how many calls run at once, so that one slow dependency does not take everything down with it.
//!
//! # When
//! Around a client of a service that may become slow: calls that hang then take its places, and not all of the
//! process's memory, sockets or worker tasks. And around your own handler, for what it can do at once. Below the circuit
//! breaker: a refusal here is no evidence against the service.
//!
//! # Example
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::{RejectedKind, bulkhead::Bulkhead};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let reports = Bulkhead::builder(1)
//!     .name("reports")
//!     .max_waiting(1)
//!     .max_wait(Duration::from_millis(100))
//!     .build()?;
//!
//! let service = ServiceBuilder::new().layer(reports.clone()).service(service_fn(|id: u32| async move {
//!     tokio::time::sleep(Duration::from_millis(60)).await;
//!     Ok::<_, Infallible>(id)
//! }));
//!
//! let call = |id| service.clone().oneshot(id);
//! let (first, second, third) = tokio::join!(call(1), call(2), call(3));
//! assert_eq!((first?, second?), (1, 2)); // the second has waited for the first
//! assert_eq!(third.unwrap_err().kind(), RejectedKind::BulkheadFull);
//! assert_eq!(reports.handle().snapshot().running, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`builder`](Bulkhead::builder)`(max_concurrent)` | 25 with [`BulkheadLayer::default`] | how many calls run at once |
//! | [`max_waiting`](BulkheadBuilder::max_waiting) | 0 | how many more may wait for a place; 0: who finds none is refused |
//! | [`max_wait`](BulkheadBuilder::max_wait) | 1 s | the longest that a call waits, if its deadline is not earlier |
//! | [`order`](BulkheadBuilder::order) | first come, first served | who of those that wait is next |
//! | [`hold`](BulkheadBuilder::hold) | [`UntilResponse`] | when the place of a call is given back |
//!
//! All but `hold` change in place through the [handle](BulkheadHandle::change), at once: a higher limit lets waiting calls
//! in, a lower one lets nobody in until enough have left. Nobody who runs or waits is put out, and nobody blocks.
//!
//! # What is refused
//! With [`BulkheadFull`](crate::RejectedKind::BulkheadFull), and never having reached the service: a call that finds
//! neither a place nor room in the queue; one that has waited for `max_wait`, or up to its deadline; and, at once, one
//! whose [deadline](crate::context::deadline) would come before its turn, by the pace at which places have been given to
//! those that wait. The pace is known from the first place given on, and forgotten when nobody waits any more or settings
//! change. So the estimate never judges the first in line. Where who came last is next there is none.
//!
//! # Dropping
//! A place is a guard ([`Permit`]). Dropping the response future leaves the queue, or drops the call; its place, or one
//! that had just been given to it, goes to the next in line. So it is when a call panics.
//!
//! # Blocking work
//! [`BulkheadLayer::blocking`] runs closures on threads, in the places of a bulkhead: what nobody waits for any more is
//! not begun, and a place is held until the closure has really ended, or until a thread has seen that nobody wants it:
//! with all threads of the runtime stuck, the bulkhead fills up, and refuses.
//!
//! # One layer, one bulkhead
//! All services that a layer makes share its places and its queue; clones of the layer are the same bulkhead. For one per
//! host or tenant, see [`build_keyed`](BulkheadBuilder::build_keyed).
//!
//! # Without a service
//! [`Run::run`](crate::Run::run) for asynchronous code; [`BulkheadHandle::try_acquire`] for a place as a guard.
//!
//! # Differences
//! Unlike tower's `ConcurrencyLimit` this one waits in the future and not in `poll_ready`, so a deadline above covers the
//! wait, and a service that is ready and not called takes no place. Its queue is bounded, it refuses what cannot be served,
//! and its limit can be changed. From Resilience4j's it differs in that nothing can be given back twice, a lower limit
//! never blocks who sets it, and a limit of 0 is an error; everything else agrees step by step with recordings of the
//! real library (`tests/conformance.rs`).
//!
//! Cost: a place is taken and given back by one atomic operation each, as long as nobody waits.

mod blocking;
mod core;
mod future;
mod handle;
mod hold;
mod job;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_core;
mod pace;
mod permit;
mod service;
mod settings;

pub use self::{
    blocking::{BlockingBulkhead, BlockingFuture},
    future::ResponseFuture,
    handle::{BulkheadEvent, BulkheadHandle, BulkheadSnapshot, Refused},
    hold::{Hold, UntilResponse},
    layer::{BulkheadBuilder, BulkheadLayer, Bulkheads},
    permit::Permit,
    service::Bulkhead,
    settings::{BulkheadSettings, Order},
};
