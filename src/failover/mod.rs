//! Failover: one client over several endpoints that do the same job.
#![allow(dead_code)] // Until the client is there.

mod endpoint;
mod failback;
pub mod members;
pub mod probe;
mod tiers;

pub use self::{
    endpoint::{Endpoint, Meta},
    failback::Failback,
    tiers::TierPolicy,
};
