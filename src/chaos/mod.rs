//! Chaos: lets calls fail, wait, hang or panic, by chance: a rehearsal of what the other layers are there for.
//!
//! # When
//! In tests, and in production for marked requests or a small share of the traffic, to see that fallbacks answer, breakers
//! open and failover moves on. Innermost, where the client is: what it does looks to all layers above as if the
//! service had done it.
//!
//! # Example
//! ```
//! use std::{io, time::Duration};
//! use steadfast::{Error, chaos::Chaos, circuit_breaker::{CircuitBreaker, State}};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let chaos = Chaos::builder()
//!     .failures(0.9, |_: &u32| Err(io::Error::other("rehearsed")))
//!     .delays(0.5, Duration::from_millis(10)..=Duration::from_millis(50))
//!     .seed(7)
//!     .build()?;
//! let (switch, breaker) = (chaos.handle(), CircuitBreaker::builder().build()?);
//! let handle = breaker.handle();
//!
//! let mut client = ServiceBuilder::new()
//!     .layer(breaker)
//!     .map_err(Error::Inner)
//!     .layer(chaos)
//!     .service(service_fn(|id: u32| async move { Ok::<_, io::Error>(id) }));
//!
//! for id in 0..40 {
//!     let _ = client.ready().await?.call(id).await;
//! }
//! assert_eq!(handle.state(), State::Open);
//!
//! switch.disable(); // the rehearsal is over
//! handle.reset();
//! assert_eq!(client.ready().await?.call(7).await?, 7);
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`failures`](ChaosBuilder::failures) | none | the share of calls that ends as a function of yours says: an error, or a response that is none |
//! | [`delays`](ChaosBuilder::delays) | none | the share that waits first, for how long |
//! | [`hangs`](ChaosBuilder::hangs) | none | the share that is never answered |
//! | [`panics`](ChaosBuilder::panics) | none | the share that panics |
//! | [`traffic`](ChaosBuilder::traffic) | 1 | the share of calls that may be hit at all |
//! | [`only`](ChaosBuilder::only) | all calls | which requests may be hit |
//! | [`enabled`](ChaosBuilder::enabled) | yes | whether it begins switched on |
//! | [`seed`](ChaosBuilder::seed) | from the system | makes it repeatable |
//!
//! All but the functions and the seed change in place through the [handle](ChaosHandle::change), which also switches it
//! [off](ChaosHandle::disable) and [on](ChaosHandle::enable).
//!
//! A call either fails, hangs or panics, so these shares add up to 1 at most; a delay may come before any of it. What is hit
//! and does not pass never reaches the service.
//!
//! # Dropping
//! Dropping the future of a call that is delayed or hangs ends it, and the request with it. What has been counted stays
//! counted.
//!
//! # Cost
//! Switched off, one load. Switched on, one short lock for the draws; nothing is allocated but what the function of yours
//! allocates.

mod fate;
mod future;
mod handle;
mod layer;
mod service;
mod settings;

pub use self::{
    future::ResponseFuture,
    handle::{ChaosEvent, ChaosHandle, ChaosSnapshot, Injected},
    layer::{AllCalls, ChaosBuilder, ChaosLayer, FailWith, Marked, NoFailure},
    service::Chaos,
    settings::ChaosSettings,
};
