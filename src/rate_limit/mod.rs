//! Rate limiter: limits how many calls are let through in a period.
mod core;
pub mod cycles;
mod future;
mod gcra;
mod handle;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_core;
mod service;
mod settings;
mod turn;

pub use self::{
    future::ResponseFuture,
    handle::{RateLimitEvent, RateLimitHandle, RateLimitSnapshot},
    layer::{RateLimitBuilder, RateLimitLayer, RateLimits},
    service::RateLimit,
    settings::{Mode, RateLimitSettings},
};
