//! A rate limiter over a [`Store`](super::Store): several processes share one limit.
//!
//! Each call asks the store once, and waits or is refused as the store says. A store that fails, or is waited for in vain
//! for [`store_timeout`](SharedRateLimitBuilder::store_timeout), is away: from then on the process keeps to its share,
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
//! let limit = RateLimit::builder(100, Duration::from_secs(1)).name("partner").store(MyStore, 4).build()?;
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
//! # When the store is away
//! - It has not answered while calls waited for it, for as long as the timeout: one of them alone, or several that gave
//!   up before, taken together. Any answer begins this anew. So a single slow answer, if no other comes meanwhile, puts
//!   the process on its share for a whole `probe_interval`.
//! - A call with a deadline waits for the store for at most half of the time that it has left, and then takes its turn
//!   from the share. Without a deadline it may wait for `max_wait` and, before that, for the answer.
//! - The store is asked only for turns that come before the deadline even if the answer takes as long as it may, so calls
//!   are refused whose turn would come in the last `store_timeout` before it. Who is past its deadline is refused.
//! - Each limiter finds out for itself: of a [set](SharedRateLimits) each key.
//!
//! # What is let through
//! At most `limit + burst` in any period, as the store sees it; what the network adds comes on top. Around a change it
//! is more, in the period after it:
//! - When the store goes away, one burst (at least one call in each process): the shares begin with theirs. Turns that
//!   the store has reserved are used nevertheless, and taken from the share of the process that has them.
//! - When it comes back, one burst, as it has rested. Calls that wait for turns of the share keep them, so for up to
//!   `max_wait` the shares are used up on top of the limit: twice the limit, where callers wait all the time.
//! - While only some processes have lost it, they use their shares on top of what the others get from it.
//!
//! # What differs from the limiter of one process
//! - A call that waits has its turn reserved in the store. Dropping it leaves the turn unused: given back, it could be
//!   used a second time by those who have reserved theirs behind it. The same goes for a decision that came too late.
//! - It needs a [name](super::RateLimitBuilder::name), under which the store counts.
//! - Only the smooth mode.
//!
//! Cost: two short locks, and no allocation, on top of what the store takes.
mod acquire;
mod builder;
mod future;
mod handle;
mod keyed;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_shared;
mod presence;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod waiting;

pub use self::{
    acquire::Acquire,
    builder::SharedRateLimitBuilder,
    future::SharedResponseFuture,
    handle::{SharedRateLimitHandle, SharedRateLimitSnapshot},
    keyed::SharedRateLimits,
    layer::SharedRateLimitLayer,
    service::SharedRateLimit,
    settings::SharedRateLimitSettings,
};
