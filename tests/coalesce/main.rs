//! Coalesced calls: who makes them, who goes on with them, and that all that wait for them get an outcome.

mod ends;
mod handing_on;
mod property;
mod sharing;
mod support;
