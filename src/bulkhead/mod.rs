//! Bulkhead: limits how many calls run at once.
mod core;
mod future;
mod handle;
mod hold;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_core;
mod permit;
mod service;
mod settings;

pub use self::{
    future::ResponseFuture,
    handle::{BulkheadEvent, BulkheadHandle, BulkheadSnapshot, Refused},
    hold::{Hold, UntilResponse},
    layer::{BulkheadBuilder, BulkheadLayer, Bulkheads},
    permit::Permit,
    service::Bulkhead,
    settings::{BulkheadSettings, Order},
};
