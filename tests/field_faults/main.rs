//! Every fault of `field-faults.md` that concerns breaker, retry, timeout, fallback and the shared parts, as a test
//! named after the fault. The number in a comment is the fault's there.

#[path = "../support/mod.rs"]
mod support;

mod axum_routes;
mod boundary;
mod breaker;
mod callbacks;
mod extremes;
mod half_open;
mod memory;
mod readiness;
mod retry;
mod settings_table;
mod time;
mod wakeups;
