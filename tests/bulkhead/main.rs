//! The bulkhead: who gets a place, who waits, who is refused, and that no place is ever lost or made.

mod changes;
mod config;
mod faults;
mod model;
mod queue;
mod support;
