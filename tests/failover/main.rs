//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod basics;
mod fault_24;
mod seen_below;
mod support;
mod threads;
