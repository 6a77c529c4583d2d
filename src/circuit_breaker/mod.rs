//! Circuit breaker: stops calling a service that fails, and tries again step by step.
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
