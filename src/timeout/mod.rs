//! Timeout: a call that takes too long is dropped.
mod future;
mod layer;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{TimeoutBuilder, TimeoutEvent, TimeoutHandle, TimeoutLayer},
    service::{SameForAll, Timeout, TimeoutOf},
};
