//! Hedges and soft timeouts: when a second attempt is sent, which answer counts, and what is left of the others.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod attempts;
mod delay;
mod endpoints;
mod faults;
mod limits;
mod overload;
mod readiness;
mod soft;
mod support;
