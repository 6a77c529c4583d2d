//! A rate limiter over a [`Store`](super::Store): several processes share one limit.
//!
//! Each call asks the store once, and waits or is refused as the store says. A store that does not answer within
//! [`store_timeout`](SharedRateLimitBuilder::store_timeout) is away: from then on the process keeps to its share,
//! `limit / processes`, without asking, and callers get no error for it. Every
//! [`probe_interval`](SharedRateLimitBuilder::probe_interval) one of the calls in passing asks the store again; when it
//! answers, the limit is shared again.
//!
//! ```
//! use std::{future::{Ready, ready}, time::Duration};
//! use steadfast::rate_limit::{Decision, Question, RateLimit, Store, StoreError};
//!
//! # #[derive(Clone, Debug)]
//! # struct MyStore;
//! # impl Store for MyStore {
//! #     type Take = Ready<Result<Decision, StoreError>>;
//! #     fn take(&self, _: Question) -> Self::Take { ready(Ok(Decision::admitted())) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // 100 calls a second for all; 25 for each of four processes while the store is away.
//! let limit = RateLimit::builder(100, Duration::from_secs(1)).store(MyStore, 4).build()?;
//! limit.handle().acquire().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | setting | default |
//! |---|---|
//! | `limit`, `period`, `burst`, `max_wait`, `max_waiting` | as in [`RateLimitSettings`](super::RateLimitSettings); `max_waiting` in each process |
//! | [`store_timeout`](SharedRateLimitBuilder::store_timeout) | 50 ms |
//! | [`probe_interval`](SharedRateLimitBuilder::probe_interval) | 1 s |
//!
//! # What differs from the limiter of one process
//! - A call that waits has its turn reserved in the store. Dropping it leaves the turn unused: given back, it could be
//!   used a second time by those who have reserved theirs behind it. The same goes for a decision that came too late.
//! - At most `limit + burst` in any period, as the store sees it; what the network adds comes on top. Each change
//!   between the store and the share may let one burst more through, and while only some processes have lost the store,
//!   they use their shares on top of what the others get from it.
//! - Only the smooth mode.
mod acquire;
mod builder;
mod future;
mod handle;
mod layer;
mod presence;
mod service;
mod settings;
#[cfg(test)]
mod tests;

pub use self::{
    acquire::Acquire,
    builder::SharedRateLimitBuilder,
    future::SharedResponseFuture,
    handle::{SharedRateLimitHandle, SharedRateLimitSnapshot},
    layer::SharedRateLimitLayer,
    service::SharedRateLimit,
    settings::SharedRateLimitSettings,
};
