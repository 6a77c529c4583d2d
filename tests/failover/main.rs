//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod at_first;
mod basics;
mod changes;
mod cold;
mod statistics;
mod support;
