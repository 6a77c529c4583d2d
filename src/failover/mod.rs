//! Failover: one client over several endpoints that do the same job.
#![allow(dead_code)] // Until the client is there.

mod check;
mod endpoint;
pub mod members;
pub mod probe;

pub use self::{
    check::Check,
    endpoint::{Endpoint, Meta},
};
