//! Failover: one client over several endpoints that do the same job.
#![allow(dead_code)] // Until the client is there.

mod balance;
mod check;
mod endpoint;
mod failback;
mod load;
pub mod members;
mod need;
mod outlier;
pub mod probe;
mod roles;
mod tiers;

pub use self::{
    balance::{Affinity, Balance},
    check::Check,
    endpoint::{Endpoint, Meta},
    failback::Failback,
    need::Need,
    outlier::{CountedErrors, FailurePercentage, Outliers, SuccessRate},
    tiers::TierPolicy,
};
