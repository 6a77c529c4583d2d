//! Retry: tries failed calls again, within a budget.
mod budget;
mod future;
mod layer;
#[cfg(all(test, steadfast_loom))]
mod loom_budget;
mod policy;
mod replay;
mod service;
mod settings;

pub use self::{
    budget::{Budget, BudgetMode},
    future::ResponseFuture,
    layer::{RetryBuilder, RetryEvent, RetryHandle, RetryLayer},
    policy::Finish,
    replay::{CloneRequest, OnlyUnsentUnless, Replay, only_unsent_unless},
    service::Retry,
    settings::RetrySettings,
};
