//! The adaptive limit around services that are slow, hang, fail and refuse, on a paused clock. What a window decides is
//! tested with the decision itself (`src/adaptive_limit/limiter/tests.rs`), what it does to storms in `tests/storm/`.

mod config;
mod ends;
mod places;
mod support;
