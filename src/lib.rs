//! Resilience patterns as tower middleware.
#![forbid(unsafe_code)]

pub mod backoff;
pub mod boundary;
pub mod circuit_breaker;
pub mod classify;
pub mod context;
mod error;
pub mod fallback;
mod keyed;
pub mod ready;
pub mod retry;
mod rng;
mod run;
mod settings;
mod sync;
pub mod telemetry;
mod time;
pub mod timeout;

pub use self::{
    classify::{Classify, DefaultClassify, Verdict},
    error::{BoxError, Error, IntoLayerError, LayerError, Rejected, RejectedKind},
    run::{Operation, OperationFuture, OperationOnce, Run},
    settings::ConfigError,
};
