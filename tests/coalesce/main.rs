//! Coalesced calls: who makes them, who goes on with them, and that all that wait for them get an outcome.

// The ban on sleeping is for the crate.
#![allow(clippy::disallowed_methods)]

mod ends;
mod handing_on;
mod property;
mod sharing;
mod support;
