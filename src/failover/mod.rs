//! Failover: one client over several endpoints that do the same job.
#![allow(dead_code)] // Until the client is there.

mod balance;
mod endpoint;
mod load;
pub mod members;
pub mod probe;

pub use self::{
    balance::{Affinity, Balance},
    endpoint::{Endpoint, Meta},
};
