//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod basics;
mod cold;
mod roles;
mod statistics;
mod support;
