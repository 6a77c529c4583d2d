//! Fallback: answers instead of a service that fails.
//!
//! # When
//! Outermost, where a degraded answer is better than none: a list price, an empty list of recommendations, a cache.
//!
//! # Example
//! ```
//! use steadfast::{Rejected, RejectedKind, fallback::Fallback};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Rejected> {
//! let layer = Fallback::value(Vec::<u32>::new()).name("recommendations").build();
//! let handle = layer.handle();
//! let service = ServiceBuilder::new()
//!     .layer(layer)
//!     .service(service_fn(|()| async { Err::<Vec<u32>, _>(Rejected::new(RejectedKind::CircuitOpen, "recommendations")) }));
//!
//! assert!(service.oneshot(()).await?.is_empty());
//! assert_eq!(handle.taken(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Kinds
//! | constructor | answers with | asks for |
//! |---|---|---|
//! | [`Fallback::value`] | a copy of a value | `Res: Clone` |
//! | [`Fallback::from_outcome`] | what a function makes of the outcome | |
//! | [`Fallback::from_request`] | what a function makes of outcome and request | `Req: Clone`, or [`copy_with`](FallbackBuilder::copy_with) |
//! | [`Fallback::service`] | what another service answers | the same, and `S: Clone` |
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | [`when`](FallbackBuilder::when) | every rejection and every failure | by [`Verdict`](crate::Verdict) or [kind of rejection](crate::RejectedKind) |
//! | [`classify`](FallbackBuilder::classify) | any error fails | what outcomes mean |
//! | [`name`](FallbackBuilder::name) | `fallback` | in events |
//!
//! A [`Neutral`](crate::Verdict::Neutral) answer is an answer: no fallback by default. When a fallback was taken, the
//! [handle](FallbackHandle) counts it and subscribers hear of it. What a fallback itself fails with is returned.
//!
//! # Dropping
//! Dropping the future drops the call, or the fallback's.

mod future;
mod layer;
mod recover;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{FallbackBuilder, FallbackEvent, FallbackHandle, FallbackLayer, Trigger},
    recover::{FromOutcome, FromRequest, FromService, Recover, ServiceAnswer, Value},
    service::Fallback,
};
