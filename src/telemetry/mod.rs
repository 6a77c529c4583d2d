//! What operators see: named components, and typed events to subscribers and to `tracing`.
//!
//! Every layer has a name and a handle. A call costs at most a relaxed counter; a change of state makes one event
//! with everything an operator asks. With no subscriber (and without the feature `tracing`) an event costs one load.
//!
//! ```
//! use steadfast::{circuit_breaker::{CircuitBreaker, CircuitBreakerEvent}, telemetry::Received};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), steadfast::ConfigError> {
//! let breaker = CircuitBreaker::builder().name("inventory").build()?;
//! let mut events = breaker.handle().subscribe();
//! breaker.handle().force_open();
//! let Some(Received::Event(CircuitBreakerEvent::StateChanged(change))) = events.recv().await else { panic!() };
//! assert_eq!(change.to_string(), "closed -> forced open (by hand)");
//! # Ok(())
//! # }
//! ```

mod events;
mod name;

pub(crate) use self::events::{Emitter, Timers};
pub use self::{
    events::{Events, Received},
    name::Name,
};
