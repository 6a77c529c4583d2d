//! Rate limiter: limits how many calls are let through in a period.
mod core;
pub mod cycles;
mod future;
mod gcra;
mod handle;
mod layer;
#[cfg(feature = "redis")]
pub mod redis;
mod service;
mod settings;
pub mod shared;
mod store;
mod turn;

pub use self::{
    future::ResponseFuture,
    handle::{RateLimitEvent, RateLimitHandle, RateLimitSnapshot},
    layer::{RateLimitBuilder, RateLimitLayer, RateLimits},
    service::RateLimit,
    settings::{Mode, RateLimitSettings},
    shared::{SharedRateLimit, SharedRateLimitLayer},
    store::{Decision, Question, Store, StoreError, StoreFailure},
};
