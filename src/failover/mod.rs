//! Failover: one client over several endpoints that do the same job.
#![allow(dead_code)] // Until the client is there.

mod balance;
mod check;
mod endpoint;
mod failback;
mod load;
pub mod members;
pub mod probe;
mod tiers;

pub use self::{
    balance::{Affinity, Balance},
    check::Check,
    endpoint::{Endpoint, Meta},
    failback::Failback,
    tiers::TierPolicy,
};
