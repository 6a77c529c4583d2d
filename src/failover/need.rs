//! What a request needs of the endpoint that it is sent to.

use std::time::Duration;

/// What a request needs of the endpoint that it is sent to. Which role an endpoint has is known from its probe's
/// [`Report`](super::probe::Report)s.
///
/// Without such reports every endpoint may be the primary, but for those that have just answered a call that they are
/// not; the one that took such a call last is preferred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Need {
    /// Any endpoint. The default.
    #[default]
    Any,
    /// The primary, as for writes. Never one that is known to have been demoted: one with a lower epoch than has been
    /// seen anywhere, or one that has said since that it is not the primary.
    Primary,
    /// A replica, however far behind.
    Replica,
    /// A replica, or else the primary.
    ReplicaPreferred {
        /// How far the replica may have lagged behind when it was asked last. One that does not say, or follows an older
        /// primary, does not do.
        max_lag: Duration,
    },
}
