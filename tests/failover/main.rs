//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod all_out;
mod basics;
mod faults;
mod roles;
mod shares;
mod stacked;
mod stuck;
mod support;
