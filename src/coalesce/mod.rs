//! Coalesce: one call for many equal requests in flight.
//!
//! # When
//! Where many ask for the same at the same time, above all when it is slow or a cache has just lost it: a hundred callers
//! that miss the same entry become one call. For what only reads; what changes something has no key. Below the deadline, so
//! that each caller waits for as long as its own allows, and above the retry, so that attempts are made once for all. Below
//! a cache.
//!
//! # Example
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use steadfast::coalesce::Coalesce;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let coalesce = Coalesce::builder(|id: &u32| Some(*id)).build();
//! let handle = coalesce.handle();
//! let prices = ServiceBuilder::new().layer(coalesce).service(service_fn(|id: u32| async move {
//!     tokio::time::sleep(Duration::from_millis(60)).await;
//!     Ok::<_, Infallible>(id * 100)
//! }));
//!
//! let ask = |id| prices.clone().oneshot(id);
//! assert_eq!(tokio::join!(ask(7), ask(7), ask(8), ask(7)), (Ok(700), Ok(700), Ok(800), Ok(700)));
//! assert_eq!((handle.snapshot().made, handle.snapshot().joined), (2, 2));
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`builder`](Coalesce::builder)`(key)` | | the key of a request: those with equal keys are one call; `None`: not coalesced |
//! | [`share`](CoalesceBuilder::share) | [`CloneOutcome`] | how outcomes are copied: asks for `Res: Clone` and `Err: Clone` |
//! | [`enabled`](CoalesceBuilder::enabled) | yes | whether it begins switched on; the [handle](CoalesceHandle) switches it |
//!
//! A [`BoxError`](crate::BoxError) is not `Clone`: `.share(`[`boxed`]`)`.
//!
//! # Who makes the call
//! The first that is polled: no task is spawned, and a call that is held without having been polled is waited for by nobody.
//! One that *has* been polled and is then held unpolled keeps the others waiting, up to their deadlines, until it is polled
//! again or dropped.
//!
//! The others are polled once to join, and once when there is something to tell; they take a place in a list. All of them
//! get a copy of the outcome, a failure or a refusal by a layer below too. It is not kept: who comes after it makes a new
//! call. The call is made with the deadline and the importance of who makes it.
//!
//! A call that asks for its own key within itself waits for itself, until its deadline. So does a [hedge](crate::hedge) above a
//! coalescer: its backup joins the attempt that it is to back. A hedge goes below.
//!
//! # Dropping
//! If who makes the call goes (its deadline is over, its client has hung up), the next in line goes on with the very call, from
//! where it is; what it has waited for is not lost. If nobody waits, the call is dropped. If the call panics, the panic
//! passes through to who made it, and the next in line makes its own.
//!
//! # Cost
//! One short lock to join and one at the end, for all keys of a layer. The call lies on the heap, so that it can be handed on,
//! in a place that is used again (64 of them are kept); with a key that allocates nothing, nothing is allocated by a call
//! that nobody joins, once warm. Those that wait allocate nothing of their own either; copies for them are put into one vector.

mod core;
mod future;
mod handle;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_coalesce;
mod seat;
mod service;
mod share;

pub use self::{
    future::ResponseFuture,
    handle::{CoalesceEvent, CoalesceHandle, CoalesceSnapshot},
    layer::{CoalesceBuilder, CoalesceLayer},
    service::Coalesce,
    share::{CloneOutcome, Share, SharedFailure, boxed},
};
