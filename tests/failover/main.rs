//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod basics;
mod stuck;
mod support;
