//! Faults seen in the field, in libraries that people use: each is a test here, named after the fault. The number in a
//! comment is the fault's, so that tests of one fault are found in several files.

#[path = "../support/mod.rs"]
mod support;

mod axum_routes;
mod boundary;
mod breaker;
mod callbacks;
mod extremes;
mod failover_extremes;
mod half_open;
mod memory;
mod readiness;
mod retry;
mod settings_table;
mod time;
mod wakeups;
