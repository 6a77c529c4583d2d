//! Degradation: leaves out what can be left out while there is pressure, so that the rest goes on.
//!
//! # When
//! Under overload, or with a dependency gone, a page without recommendations is better than no page. Application code asks
//! before optional work; the answer follows from what limits, queues and breakers say, or from an operator. Work that is
//! left out is load that is not made, so this also helps against the cause, which a [fallback](crate::fallback) of a call
//! that was tried does not.
//!
//! # Example
//! ```
//! use std::time::Duration;
//! use steadfast::{circuit_breaker::CircuitBreakerLayer, degradation::Degradation, stall};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let breaker = CircuitBreakerLayer::default();
//! let shop = Degradation::builder()
//!     .name("shop")
//!     .feature("recommendations", 1) // goes first
//!     .feature("reviews", 2)
//!     .source("inventory", breaker.handle())
//!     .source("stalls", stall::pressure)
//!     .build()?;
//! assert!(shop.allows("recommendations") && shop.allows("reviews"));
//!
//! breaker.handle().force_open();
//! assert!(shop.allows("recommendations")); // not at once: it may be over in a moment
//! for _ in 0..12 {
//!     tokio::time::sleep(Duration::from_millis(100)).await;
//!     shop.allows("recommendations"); // traffic: what nobody looks at is not known to have lasted
//! }
//! assert!(!shop.allows("recommendations"));
//! assert!(shop.allows("reviews"));
//!
//! shop.force(2); // a sale begins in a minute
//! assert!(!shop.allows("reviews"));
//! # Ok(())
//! # }
//! ```
//!
//! # Levels
//! Level 0 leaves nothing out, and at level 2 features of the ranks 1 and 2 are left out. The highest rank is the highest level.
//! The pressure is the highest of all sources, from 0 to 1.
//!
//! ```text
//! pressure  1 |......................... the level rises by 1 after 1 s, and after each further second
//!     rise_at |-------------------------
//!             |                          the level stays
//!     fall_at |-------------------------
//!           0 |......................... the level falls by 1 after 5 s, and after each further 5 s
//! ```
//!
//! So it never rises and falls again within `fall_after`, however the pressure swings.
//!
//! # Sources
//! What implements [`Pressure`]: a [bulkhead](crate::bulkhead::BulkheadHandle) by how much of its places and queue is taken,
//! a [circuit breaker](crate::circuit_breaker::CircuitBreakerHandle) that is open, [`stall::pressure`](crate::stall::pressure),
//! and any function that returns a number from 0 to 1.
//!
//! Not the breaker of what only a feature calls: with the feature left out nobody tries whether the service is back, so the
//! breaker goes on pressing and the feature stays left out. The breaker does that work already.
//!
//! # Defaults
//! | setting | default | meaning |
//! |---|---|---|
//! | [`feature`](DegradationBuilder::feature)`(name, rank)` | at least one | what can be left out, and from which level on |
//! | [`source`](DegradationBuilder::source)`(name, pressure)` | none: by hand only | what the level follows |
//! | [`rise`](DegradationBuilder::rise) | 0.8, 1 s | from which pressure on, and after how long, the level rises |
//! | [`fall`](DegradationBuilder::fall) | 0.5, 5 s | under which pressure, and after how long, it falls |
//! | [`every`](DegradationBuilder::every) | 100 ms | the pressure is read at most so often |
//!
//! Settings [change](Degradation::change) in place; the level stays. [`force`](Degradation::force) sets it by hand, until
//! [`release`](Degradation::release).
//!
//! # Without a task
//! The pressure is read by who asks, when it is due; so it is right after a pause too. Time in which nobody asked proves
//! no pressure, and if it was long and ends quiet it counts as quiet. A subscriber that waits for
//! [events](Degradation::subscribe) has the pressure read without anybody asking.
//!
//! # Dropping
//! Nothing is held. Sources live as long as the last [`Degradation`] and [`Feature`].
//!
//! Cost: to ask is one reading of the clock and two loads, ten times a second a reading of the sources. It allocates nothing.

mod builder;
mod handle;
mod levels;
mod pressure;
mod settings;
mod shared;

pub use self::{
    builder::DegradationBuilder,
    handle::{Degradation, DegradationEvent, DegradationSnapshot, Feature, LevelChange},
    pressure::Pressure,
    settings::DegradationSettings,
};
