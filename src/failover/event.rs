//! What a failover client tells: typed events.

use std::{fmt, time::Duration};

use crate::telemetry::Name;

/// Something has changed in a failover client.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FailoverEvent {
    /// An endpoint can be called again, or for the first time.
    EndpointUp {
        /// Its key.
        key: Name,
        /// For how long it could not be; `None`: it is new.
        after: Option<Duration>,
    },
    /// Probes or reports say that an endpoint is down.
    EndpointDown {
        /// Its key.
        key: Name,
        /// What the last probe said.
        why: Name,
    },
    /// Calls to an endpoint have failed, or a trial has: it gets none for a while.
    EndpointEjected {
        /// Its key.
        key: Name,
        /// Why.
        cause: Cause,
        /// For how long. Then one call tries it.
        wait: Duration,
    },
    /// One call tries an endpoint that had been ejected, or while all are out.
    EndpointProbing {
        /// Its key.
        key: Name,
    },
    /// An endpoint gets no new calls: it has been removed, has asked for it, or was told to.
    EndpointDraining {
        /// Its key.
        key: Name,
    },
    /// An endpoint has said that it is being worked on: it gets no new calls until that is over.
    MaintenanceBegan {
        /// Its key.
        key: Name,
    },
    /// An endpoint has said that it is no longer being worked on. If nothing else speaks against it, it is up again.
    MaintenanceEnded {
        /// Its key.
        key: Name,
    },
    /// The calls go to another tier.
    TierChanged {
        /// The tier they went to; `None`: to none.
        from: Option<u32>,
        /// The tier they go to; `None`: there is no endpoint to call.
        to: Option<u32>,
    },
    /// The calls have gone back to a tier that is preferred.
    FailedBack {
        /// The tier.
        tier: u32,
    },
    /// All endpoints are out. One call at a time tries one of them, the others wait or are refused.
    AllOut,
    /// An endpoint can be called again since all were out: it has answered a call, its probe has passed, or it has been
    /// started.
    Recovered {
        /// That endpoint.
        key: Name,
        /// How long all were out.
        after: Duration,
    },
    /// There is another primary, or none.
    PrimaryChanged {
        /// The one before.
        from: Option<Name>,
        /// The one now.
        to: Option<Name>,
        /// Its epoch, if it has said so.
        epoch: Option<u64>,
    },
    /// An endpoint has been replaced as the primary, by another epoch or by a promotion: it is not used as one.
    Fenced {
        /// Its key.
        key: Name,
    },
    /// More than one endpoint says that it is the primary, at the same epoch. The first one stays.
    SplitBrain {
        /// Their keys.
        keys: Vec<Name>,
    },
    /// The split brain is over.
    SplitBrainEnded,
    /// A cold standby has been started.
    Activated {
        /// Its key.
        key: Name,
        /// How long that took.
        took: Duration,
    },
    /// A cold standby could not be started; after a wait it is tried again.
    ActivationFailed {
        /// Its key.
        key: Name,
        /// What the activator said.
        why: Name,
    },
    /// A cold standby that was not used has been stopped.
    Stopped {
        /// Its key.
        key: Name,
    },
    /// A cold standby could not be stopped. It counts as cold all the same and is not told to stop again, so it may be running.
    StopFailed {
        /// Its key.
        key: Name,
        /// What its stop said.
        why: Name,
    },
    /// The service of an endpoint could not be made.
    MakeFailed {
        /// The key of the endpoint.
        key: Name,
        /// What its maker said.
        why: Name,
    },
    /// A source of members has begun to fail. What it has said of its endpoints holds meanwhile. Told once, however often it
    /// tries again.
    MembersFailed {
        /// What the source is called.
        source: Name,
        /// What it said first.
        why: Name,
    },
    /// A source of members that had failed works again.
    MembersRecovered {
        /// What the source is called.
        source: Name,
    },
    /// A source of members has come to its end: its endpoints stay as they are from now on.
    MembersEnded {
        /// What the source is called.
        source: Name,
        /// What it failed with, if it did.
        why: Option<Name>,
    },
    /// Settings have changed.
    SettingsChanged,
}

/// Why an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// So many connections in a row failed.
    Connect(u32),
    /// So many calls in a row failed, the last one without an answer.
    NoAnswer(u32),
    /// So many calls in a row failed, the last one with an error as answer.
    Errors(u32),
    /// The call that tried it failed.
    Trial,
    /// It answers fewer calls than the others do; the share of its calls that succeeded, and the least that would do.
    SuccessRate(f64, f64),
    /// This share of its calls failed.
    FailurePercentage(f64),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(times) => write!(f, "{times} failed connections in a row"),
            Self::NoAnswer(calls) => write!(f, "{calls} failures in a row, the last without an answer"),
            Self::Errors(calls) => write!(f, "{calls} errors in a row"),
            Self::Trial => write!(f, "the call that tried it failed"),
            Self::SuccessRate(rate, least) => {
                write!(f, "{:.0} % of its calls succeed, of the others at least {:.0} %", rate * 100.0, least * 100.0)
            }
            Self::FailurePercentage(share) => write!(f, "{:.0} % of its calls fail", share * 100.0),
        }
    }
}
