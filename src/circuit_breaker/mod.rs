//! Circuit breaker: stops calling a service that fails, and tries again step by step.
//!
//! # When
//! Around every client of a service that can fail or hang as a whole. It saves callers the wait for what will fail
//! anyway, and the service the load while it is down. It does not make a single call more likely to succeed: that is
//! what [retry](crate::retry) is for, and it goes *above* the breaker.
//!
//! ```text
//!            failure rate, slow calls,                    wait is over
//!            or failures in a row                         (and a call comes)
//!   closed ---------------------------> open ------------------------------> half-open
//!      ^                                 ^                                    |    |
//!      |                                 '------ trial calls failed ----------'    |
//!      '------------------------- trial calls succeeded ----------------------------'
//! ```
//!
//! By hand, through the [handle](CircuitBreakerHandle): *forced open* (refuses all), *disabled* (lets all through,
//! records nothing), *metrics only* (lets all through, records, never opens).
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use steadfast::{RejectedKind, Rejected, circuit_breaker::{CircuitBreaker, State}};
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let breaker = CircuitBreaker::builder()
//!     .name("inventory")
//!     .consecutive_failures(3)
//!     .half_open_calls(1)
//!     .build()?;
//!
//! let mut service = ServiceBuilder::new()
//!     .layer(breaker.clone())
//!     .map_err(steadfast::Error::Inner)
//!     .service(service_fn(|up: bool| async move { if up { Ok("42 left") } else { Err(std::io::Error::other("no route to host")) } }));
//!
//! for _ in 0..3 {
//!     service.ready().await?.call(false).await.unwrap_err();
//! }
//! let refused = service.ready().await?.call(true).await.unwrap_err();
//! let refused = refused.rejected().expect("the breaker refused");
//! assert_eq!(refused.kind(), RejectedKind::CircuitOpen);
//!
//! tokio::time::sleep(refused.retry_after().expect("it knows when")).await;
//! assert_eq!(service.ready().await?.call(true).await?, "42 left");
//! assert_eq!(breaker.handle().state(), State::Closed);
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//! | setting | default | [`resilience4j`](CircuitBreaker::resilience4j) | meaning |
//! |---|---|---|---|
//! | [`time_window`](CircuitBreakerBuilder::time_window), [`count_window`](CircuitBreakerBuilder::count_window) | the last 10 s | the last 100 calls | which calls the rates are about |
//! | [`minimum_calls`](CircuitBreakerBuilder::minimum_calls) | 20 | 100 | no rate below it; capped by a count window |
//! | [`failure_rate`](CircuitBreakerBuilder::failure_rate) | 0.5 | 0.5 | opens at this share or more |
//! | [`slow_calls`](CircuitBreakerBuilder::slow_calls) | off | 1.0 over 60 s | opens at this share or more of calls that took longer |
//! | [`consecutive_failures`](CircuitBreakerBuilder::consecutive_failures) | 10 | off | opens after so many in a row, next to the rates |
//! | [`wait_open`](CircuitBreakerBuilder::wait_open) | 250 ms × 2 up to 5 s, ± 20 % | 60 s | how long it stays open |
//! | [`half_open_calls`](CircuitBreakerBuilder::half_open_calls) | 5 | 10 | trial calls, in all |
//! | [`half_open_max_wait`](CircuitBreakerBuilder::half_open_max_wait) | 10 s, then judge | without limit | how long half-open lasts at most |
//! | [`automatic_half_open`](CircuitBreakerBuilder::automatic_half_open) | off | off | half-open without waiting for a call |
//! | [`abandoned`](CircuitBreakerBuilder::abandoned) | judged | ignored | what a dropped call means |
//! | [`overloaded_is_failure`](CircuitBreakerBuilder::overloaded_is_failure) | yes | yes | whether [`Verdict::Overloaded`](crate::Verdict::Overloaded) counts |
//! | [`ramp`](CircuitBreakerBuilder::ramp) | off | off | after closing, admit a growing share |
//! | [`classify`](CircuitBreakerBuilder::classify) | any error fails | any error fails | what outcomes mean |
//!
//! Short open waits are on purpose: in simulated outages, breakers that stay open for 5 to 60 s lose most of what the
//! outage costs after it is over.
//!
//! # What is recorded
//! - [`Success`](crate::Verdict::Success) and the failing verdicts are outcomes.
//!   [`Neutral`](crate::Verdict::Neutral), and a refusal by a layer below, are not: they give their place back.
//! - What fails, is slow or is dropped because our own runtime stood still is no outcome; see [`stall`](crate::stall).
//! - The rates are looked at on every outcome, a success included. Half-open decides after
//!   min(`minimum_calls`, `half_open_calls`) outcomes.
//! - A call that is **dropped** without a result gives its place back. Past its deadline it is a failure; longer than a
//!   slow call, it is slow; else it is kept apart, until such calls are half of all in the window. It never closes a
//!   breaker. A call that **panics** is a failure.
//! - An outcome of an earlier state (a call let through before the breaker opened, ending after it closed again) changes
//!   nothing but a counter: every call carries the generation of the state that let it through.
//! - Nothing waits for ever: half-open ends after `half_open_max_wait`. It is then judged by the outcomes there are, with
//!   trial calls that are still out as failures, so a service with little traffic is not kept from closing.
//!
//! # One layer, one breaker
//! All services that a layer makes share its breaker, so it works where `layer()` is called per route, per connection or
//! per request. Clones of the layer are the same breaker. For one per host or tenant, see
//! [`build_keyed`](CircuitBreakerBuilder::build_keyed).
//!
//! # Without a service
//! [`Run::run`](crate::Run::run) for asynchronous code; [`CircuitBreakerHandle::acquire`] for consumers, streams and
//! synchronous code.
//!
//! # Differences
//! tower has no breaker. From Resilience4j's this differs where that one is stuck or wrong: late outcomes, timers after a
//! reset and unmatched releases change nothing; at exactly the end of the wait a call is let through; opening by hand
//! works from every state. Everything else agrees step by step with recordings of the real library (`tests/conformance.rs`).
//!
//! Cost: while closed, a call is admitted by one atomic load and recorded under one short lock; a time window keeps a sum
//! per second, whatever the rate.

mod core;
mod event;
mod future;
mod handle;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_core;
pub mod machine;
mod permit;
mod service;
mod settings;
mod state;
mod window;

pub use self::{
    event::CircuitBreakerEvent,
    future::ResponseFuture,
    handle::CircuitBreakerHandle,
    layer::{CircuitBreakerBuilder, CircuitBreakerLayer, CircuitBreakers},
    permit::Permit,
    service::CircuitBreaker,
    settings::{Abandoned, CircuitBreakerSettings, HalfOpenEnd, SlowCalls, Window},
    state::{Cause, Snapshot, State, StateChange},
};
