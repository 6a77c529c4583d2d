//! The rate limiter: exact times, order, and that no turn is ever lost or made.

mod accuracy;
mod changes;
mod config;
mod cycles;
mod model;
mod queue;
mod support;
mod times;
