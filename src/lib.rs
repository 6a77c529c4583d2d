//! Resilience patterns as tower middleware: circuit breaker, bulkhead, adaptive limit, rate limiter, retry with a budget,
//! hedges, timeout and deadline, fallback, load shedding, coalesced calls, a cache, chaos, and a failover client over several
//! endpoints.
//!
//! # Which layer goes where
//! Outside in, for a client of one service:
//!
//! | | layer | because |
//! |---|---|---|
//! | 1 | [`fallback`] | answers whichever way a call fails below |
//! | 2 | [`timeout`]: the deadline | covers all attempts and waits; everything below sees it |
//! | 3 | [`retry`], with a [`hedge`] where attempts straggle | each attempt passes all that follows; waits for what the breaker says |
//! | 4 | [`circuit_breaker`] | sees every attempt; a refusal costs nothing |
//! | 5 | [`timeout`]: one attempt (optional) | its end is a failure that the breaker counts |
//! | 6 | [`adaptive_limit`], or [`bulkhead`] | a hung call is ended above it and gives its place back; its refusals are no evidence for the breaker |
//! | 7 | [`rate_limit`] | counts only what is really sent |
//! | 8 | `map_err(Error::Inner)` | chooses the error type of the stack |
//! | 9 | [`boundary`] (only around a handler of your own) | a refusal inside of it is not one of this stack |
//!
//! Over several endpoints: [`fallback`], [`timeout`], [`retry`] and [`hedge`], [`adaptive_limit`], [`failover`], which is each
//! endpoint's breaker too.
//!
//! A `cache` goes below the fallback and above the deadline, [`coalesce`] below the deadline and above the retry.
//! Around a handler of your own: [`timeout`], [`shed`], [`boundary`].
//!
//! [`ready`] goes above services of others that wait in `poll_ready`, and [`chaos`], for rehearsals, just above the client.
//! [`Run`] runs code that is no service under any of these. [`degradation`] is no layer: code asks it before optional work.
//!
//! ```
//! use std::time::Duration;
//! use steadfast::{circuit_breaker::CircuitBreakerLayer, retry::RetryLayer, timeout::Timeout};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let client = ServiceBuilder::new()
//!     .layer(Timeout::builder(Duration::from_secs(1)).build()?)
//!     .layer(RetryLayer::default())
//!     .layer(CircuitBreakerLayer::default())
//!     .map_err(steadfast::Error::Inner)
//!     .service(service_fn(|id: u32| async move { Ok::<_, std::io::Error>(id + 1) }));
//! assert_eq!(client.oneshot(41).await?, 42);
//! # Ok(())
//! # }
//! ```
//!
//! # What all layers have in common
//! - **The layer owns the state.** `Layer::layer` may be called once per route, connection or request: all services that
//!   it makes, and all their clones, share one breaker, one budget, one set of counters.
//! - **Readiness.** A service is called only on an instance that has been driven to ready. No layer waits in `poll_ready`
//!   or returns an error of its own from there.
//! - **Cancellation.** Dropping a response future drops the call and gives back what it held.
//! - **Errors.** A layer that ends a call makes a [`Rejected`]; the innermost service chooses the type that carries it
//!   ([`IntoLayerError`]).
//! - **Meaning.** A [`Classify`] says once what outcomes mean; a refusal by a layer below is never evidence.
//! - **Our own stalls** are nobody's fault: what fails because the runtime stood still is not counted; see [`stall`].
//! - **Settings** are checked in `build()`, and changed in place through a handle, keeping state.
//! - **Time** is `tokio::time`, so paused time governs every wait and every window in tests.
//! - **Names, handles, events**: see [`telemetry`].
//!
//! # The stack does not compile
//! - *`MyError` cannot carry the rejection of a layer*, or *the method `oneshot` exists but its trait bounds were not
//!   satisfied* (E0599): the innermost service has an error of its own. Wrap it once, below the innermost layer:
//!   `.map_err(steadfast::Error::Inner)`, or erase it: `.map_err(steadfast::BoxError::from)`.
//! - *`Clone` is not implemented for the request*: a retry copies requests. Give it a function that does:
//!   `Retry::builder().replay(|request: &Request| request.try_clone())`.
//! - *type annotations needed* or *expected closure to take `for<'a>`*: a classifier closure needs its argument's type,
//!   as in [`classify::from_fn`].
//!
//! # The stack compiles and does not work
//! - *Over HTTP nothing opens and nothing is tried again*: by default any response is a success; see [`DefaultClassify`].
//! - *A refusal is taken for a failure* (retry spends tokens on it, an outer breaker opens): a layer of others has boxed
//!   the error. `.map_err(steadfast::Error::<E>::unbox)` above it, or `.map_err(steadfast::BoxError::from)` at the bottom.
//! - *Calls hang for longer than the deadline*: a service of others waits in `poll_ready`; see [`ready`].
//! - *Errors of `poll_ready`* end a call before it begins: no layer sees an outcome, so none counts, retries or answers
//!   it. Services that connect in `poll_ready` belong behind one that connects in the call.
//!
//! # Features
//! | feature | default | adds |
//! |---|---|---|
//! | `cache` | no | `cache`: answers given again, and the last good one when a call fails (moka) |
//! | `probe` | no | [`failover`]: probes that connect, or ask over HTTP |
//! | `discover` | no | endpoints of a [`failover`] client from a `tower::discover::Discover` (1 crate: `futures-core`) |
//! | `dns` | no | endpoints of a [`failover`] client from DNS (hickory-resolver without TLS: 75 crates more on Linux) |
//! | `redis` | no | a store in a Redis server for rate limiters that several processes share |
//! | `storm` | no | `storm`, a simulator that puts your stack through outages, brownouts and overload |
//! | `tracing` | no | changes of state and last resorts as `tracing` events, target `steadfast` |
#![forbid(unsafe_code)]

pub mod adaptive_limit;
pub mod backoff;
pub mod boundary;
pub mod bulkhead;
#[cfg(feature = "cache")]
pub mod cache;
pub mod chaos;
pub mod circuit_breaker;
pub mod classify;
pub mod coalesce;
pub mod context;
pub mod degradation;
mod error;
pub mod failover;
pub mod fallback;
pub mod hedge;
mod keyed;
mod places;
mod priority;
mod queue;
pub mod rate_limit;
pub mod ready;
pub mod retry;
mod rng;
mod run;
mod settings;
pub mod shed;
mod slots;
pub mod stall;
#[cfg(feature = "storm")]
pub mod storm;
mod sync;
pub mod telemetry;
mod time;
pub mod timeout;

pub use self::{
    classify::{Classify, DefaultClassify, Verdict},
    error::{BoxError, Error, IntoLayerError, LayerError, Rejected, RejectedKind},
    priority::Priority,
    run::{Operation, OperationFuture, OperationOnce, Run},
    settings::ConfigError,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
