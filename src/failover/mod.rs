//! Failover: one client over several endpoints that do the same job.
#![allow(dead_code)] // Until the client is there.

mod attempt;
mod balance;
mod builder;
mod call;
mod check;
mod elsewhere;
mod endpoint;
mod event;
mod failback;
mod fleet;
mod future;
mod gate;
mod handle;
mod load;
pub mod members;
mod need;
mod outlier;
pub mod probe;
mod roles;
mod route;
mod service;
mod settings;
mod shared;
mod snapshot;
mod task;
mod tiers;
mod view;

pub use self::{
    balance::{Affinity, Balance},
    builder::FailoverBuilder,
    check::Check,
    endpoint::{Endpoint, Meta},
    event::{Cause, FailoverEvent},
    failback::Failback,
    future::ResponseFuture,
    handle::{FailoverHandle, NoSuchEndpoint},
    need::Need,
    outlier::{CountedErrors, FailurePercentage, Outliers, SuccessRate},
    route::{Anywhere, ByAffinity, Route},
    service::Failover,
    settings::FailoverSettings,
    snapshot::{EndpointSnapshot, EndpointState, Snapshot},
    tiers::TierPolicy,
};
