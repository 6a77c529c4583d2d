//! Load shedding.

mod class;
mod core;
mod future;
mod handle;
mod layer;
mod line;
#[cfg(all(test, steadfast_loom))]
mod loom_core;
mod overload;
mod permit;
mod service;
mod settings;
mod slots;

pub use self::{
    class::{FromContext, KeyOf, OneKey, PriorityOf},
    future::ResponseFuture,
    handle::{Cause, ShedEvent, ShedHandle, ShedSnapshot},
    layer::{ShedBuilder, ShedLayer},
    permit::Permit,
    service::Shed,
    settings::ShedSettings,
};
