//! Cache: gives answers again while they are fresh, and the last good one when the service does not answer. Needs the
//! feature `cache`.
//!
//! # When
//! For what is asked often and changes seldom; and where an old answer is better than none. Outermost, below a fallback: above
//! the deadline, so that a call that is late is answered too. With a [`coalesce`](crate::coalesce) below it, many callers that
//! miss the same answer make one call.
//!
//! # Example
//! ```
//! use std::{io, sync::{Arc, atomic::{AtomicBool, Ordering}}, time::Duration};
//! use steadfast::{Error, cache::Cache};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cache = Cache::builder(Duration::from_secs(60), |product: &u32| Some(*product))
//!     .stale_if_error(Duration::from_secs(3600))
//!     .build()?;
//! let handle = cache.handle();
//!
//! let up = Arc::new(AtomicBool::new(true));
//! let is_up = Arc::clone(&up);
//! let prices = ServiceBuilder::new().layer(cache).map_err(Error::Inner).service(service_fn(move |product: u32| {
//!     let up = is_up.load(Ordering::Relaxed);
//!     async move { if up { Ok(product * 100) } else { Err(io::Error::other("down")) } }
//! }));
//!
//! assert_eq!(prices.clone().oneshot(7).await?, 700);
//! assert_eq!(prices.clone().oneshot(7).await?, 700); // stored
//! up.store(false, Ordering::Relaxed);
//! tokio::time::advance(Duration::from_secs(120)).await;
//! assert_eq!(prices.clone().oneshot(7).await?, 700); // two minutes old
//! assert!(prices.clone().oneshot(8).await.is_err());
//!
//! let snapshot = handle.snapshot();
//! assert_eq!((snapshot.hits, snapshot.misses, snapshot.stale_if_error), (1, 3, 1));
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`builder`](Cache::builder)`(ttl, key)` | | for how long answers are fresh, and the key of a request; `None`: not cached |
//! | [`max_entries`](CacheBuilder::max_entries) | 10,000 | how many answers are stored; beyond that, those used least are forgotten, or the new one is not kept |
//! | [`stale_if_error`](CacheBuilder::stale_if_error) | off | for how long after the `ttl` an answer replaces a failure |
//! | [`stale_while_revalidate`](CacheBuilder::stale_while_revalidate) | off | for how long after the `ttl` it is given at once, and renewed in the background |
//! | [`revalidate_timeout`](CacheBuilder::revalidate_timeout) | 10 s | the longest that such a renewal takes |
//! | [`classify`](CacheBuilder::classify) | [`DefaultClassify`](crate::DefaultClassify) | what outcomes mean |
//! | [`copy_with`](CacheBuilder::copy_with) | [`CloneAnswer`] | how answers are copied: asks for `Res: Clone` |
//! | [`mark`](CacheBuilder::mark) | [`Unmarked`] | shows on an answer that it was stored, how old it is, and why it is given |
//!
//! The times change in place through the [handle](CacheHandle::change), which also throws out the answer of a
//! [key](CacheHandle::invalidate), or [all](CacheHandle::clear); an answer that is on its way at that moment is not stored.
//! The names are those of [RFC 5861](https://www.rfc-editor.org/rfc/rfc5861).
//!
//! # What is stored
//! Answers that are a [`Success`](crate::Verdict::Success), as of when they came. One that is
//! [`Neutral`](crate::Verdict::Neutral) (a 404) or is not copied is passed on, and takes what was stored with it: the service
//! has answered otherwise since. Failures and refusals leave it as it is.
//!
//! # The last good answer
//! With [`stale_if_error`](CacheBuilder::stale_if_error), whenever a call fails or a layer below has ended it (a timeout, an
//! open breaker), the caller gets the answer from before, if there is one that is not too old. A
//! [`Permanent`](crate::Verdict::Permanent) failure is a failure: judge what is the caller's own fault (a 401) as `Neutral`. A `ttl` of zero makes that all
//! that it does: every call goes to the service.
//!
//! # In the background
//! With [`stale_while_revalidate`](CacheBuilder::stale_while_revalidate), the caller that finds an answer stale gets it at once,
//! and its request goes on in a task of its own to renew it: one task for each key, at the
//! [least priority](crate::Priority::Sheddable), with a deadline of its own. If it fails, the next caller begins another. It
//! needs a tokio runtime around the call; where there is none, the call is made.
//!
//! # Time
//! Answers age by tokio's clock. What is too old for anything stays until it is asked for again and replaced, or until its place
//! is needed: the store is bounded by entries and not by time.
//!
//! # Dropping
//! Dropping the response future drops the call; nothing is stored. A renewal in the background goes on.
//!
//! # Cost
//! A lookup in [moka](https://docs.rs/moka), a reading of the clock, and a copy of the answer, which allocates what that
//! allocates. Storing an answer allocates.

mod freshness;
mod future;
mod handle;
mod layer;
mod parts;
mod service;
mod settings;
mod store;

pub use self::{
    future::{ResponseFuture, Revalidation, RevalidationFuture},
    handle::{CacheEvent, CacheHandle, CacheSnapshot},
    layer::{CacheBuilder, CacheLayer},
    parts::{CloneAnswer, CopyAnswer, Given, InBackground, InCall, Mark, Renew, Unmarked},
    service::Cache,
    settings::CacheSettings,
};
