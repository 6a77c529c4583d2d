//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod basics;
mod cold;
mod fault_24;
mod roles;
mod seen_below;
mod statistics;
mod stuck;
mod support;
