//! Fallback: answers instead of a service that fails.
mod future;
mod layer;
mod recover;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::{FallbackBuilder, FallbackEvent, FallbackHandle, FallbackLayer, Trigger},
    recover::{FromOutcome, FromRequest, FromService, Recover, ServiceAnswer, Value},
    service::Fallback,
};
