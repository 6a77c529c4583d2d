//! The bulkhead for blocking work, on real threads.

mod contract;
mod runs;
mod stuck;
mod support;
