//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod basics;
mod made;
mod members;
mod probes;
mod support;
