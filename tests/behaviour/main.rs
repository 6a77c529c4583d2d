//! What the documentation says, as tests: the states of a breaker and its settings, retry, timeout, fallback, code
//! without a service, the call context, telemetry; and every default pinned.

#[path = "../support/mod.rs"]
mod support;

mod breaker_abandoned;
mod breaker_keyed;
mod breaker_live;
mod breaker_states;
mod context;
mod defaults_pinned;
mod fallback;
mod messages;
mod retry;
mod run;
mod stacks;
mod telemetry;
mod timeout;
