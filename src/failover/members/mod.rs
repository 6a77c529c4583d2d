//! Where the set of endpoints comes from, and how it changes.

use std::task::{Context, Poll};

use super::Endpoint;
use crate::telemetry::Name;

/// A change of the set of endpoints.
#[derive(Debug)]
#[non_exhaustive]
pub enum Change<S> {
    /// These are all there are. One whose key was there before keeps its service and what is known of it, and takes over
    /// tier, weight and zone; those that are missing are drained and dropped.
    Set(Vec<Endpoint<S>>),
    /// One more; if its key was there, its service is replaced.
    Insert(Endpoint<S>),
    /// One less: drained and dropped.
    Remove(Name),
}

/// A source of changes. Polled by the one task of a failover client.
pub trait Membership<S>: Send + 'static {
    /// The next change; `None` when there will be no more, which leaves the set as it is.
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<S>>>;

    /// Calls to an endpoint fail to connect: what is known of the set may be out of date. At most called once in a
    /// second. Default: nothing.
    fn look_again(&mut self) {}
}
