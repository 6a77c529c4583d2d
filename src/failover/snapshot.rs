//! What a failover client knows: of each endpoint, whether it is in or out, and why.

use std::{fmt, time::Duration};

use super::{Cause, Meta, probe::Role};
use crate::telemetry::Name;

/// A failover client at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Snapshot {
    /// All endpoints, those of tier 0 first.
    pub endpoints: Vec<EndpointSnapshot>,
    /// The first tier that gets calls; `None`: no endpoint does.
    pub tier: Option<u32>,
    /// Where all calls go by hand, until [`fail_back`](super::FailoverHandle::fail_back), or until that endpoint is out.
    pub switched_to: Option<Name>,
    /// The primary, if one is known.
    pub primary: Option<Name>,
    /// The highest epoch that any endpoint has ever said, those that are gone included: who says that it is the primary of a
    /// lower one is fenced.
    pub highest_epoch: Option<u64>,
    /// Whether more than one endpoint says that it is the primary.
    pub split_brain: bool,
    /// Since how long all endpoints have been out, if they are.
    pub all_out: Option<Duration>,
    /// Calls that were sent to another endpoint after one.
    pub moved: u64,
    /// Calls that were held because all were out.
    pub held: u64,
    /// Calls that were refused, as there was no endpoint for them.
    pub refused: u64,
    /// Calls of which nobody knows whether they were carried out.
    pub in_doubt: u64,
}

/// One endpoint at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EndpointSnapshot {
    /// Key, tier, weight, zone, address.
    pub meta: Meta,
    /// Whether it gets calls, or why not.
    pub state: EndpointState,
    /// Calls sent to it, trials among them.
    pub calls: u64,
    /// Of those, how many succeeded.
    pub successes: u64,
    /// Of those, how many failed: errors as answers, no answer, no connection.
    pub failures: u64,
    /// Of those, how many were dropped before they had ended.
    pub abandoned: u64,
    /// Calls of an earlier state of the endpoint that ended too late to say anything of it.
    pub late: u64,
    /// Failures in a row.
    pub in_row: u32,
    /// Calls that are under way.
    pub in_flight: u32,
    /// What its calls take, as the balancing sees it; `None`: not known, or not of late.
    pub latency: Option<Duration>,
    /// The part it plays, as far as is known. This, epoch and lag are only noted where calls ask for roles.
    pub role: Option<Role>,
    /// Its epoch, as it said last.
    pub epoch: Option<u64>,
    /// How far it lags behind, as it said last.
    pub lag: Option<Duration>,
    /// How often its service has been made, where it is made on use.
    pub times_made: u32,
    /// How often that has failed.
    pub make_failures: u32,
}

/// Whether an endpoint gets calls, and if not why.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EndpointState {
    /// It can be called.
    In,
    /// It has recovered, and is not gone back to yet.
    Held {
        /// For how long; `None`: until it is said by hand, or nothing else is left.
        wait: Option<Duration>,
    },
    /// It gets no calls for a while.
    Ejected {
        /// Why.
        cause: Cause,
        /// For how long; after that one call tries it.
        wait: Duration,
    },
    /// One call is to try it, or tries it.
    Trial {
        /// Why it had been ejected.
        cause: Cause,
    },
    /// Probes or reports say that it is down: what the last one said.
    Down(Name),
    /// No probe has passed yet.
    Unproven,
    /// It gets no new calls: it has asked for it, or was told to.
    Draining,
    /// It is being worked on.
    Maintenance,
    /// A cold standby that has not been started.
    Cold,
    /// A cold standby that is starting.
    Starting,
    /// It was the primary, and another one has been promoted.
    Fenced,
}

impl EndpointState {
    /// Whether it can be called.
    pub const fn is_in(&self) -> bool {
        matches!(self, Self::In)
    }
}

impl fmt::Display for EndpointState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In => write!(f, "in"),
            Self::Held { wait: Some(wait) } => write!(f, "recovered, in hold for {wait:.1?}"),
            Self::Held { wait: None } => write!(f, "recovered, in hold"),
            Self::Ejected { cause, wait } => write!(f, "ejected for {wait:.1?}: {cause}"),
            Self::Trial { cause } => write!(f, "on trial after {cause}"),
            Self::Down(why) => write!(f, "down: {why}"),
            Self::Unproven => write!(f, "not proven yet"),
            Self::Draining => write!(f, "draining"),
            Self::Maintenance => write!(f, "in maintenance"),
            Self::Cold => write!(f, "cold"),
            Self::Starting => write!(f, "starting"),
            Self::Fenced => write!(f, "fenced: it is no longer the primary"),
        }
    }
}

impl Snapshot {
    /// The endpoint with this key; not one that drains as another one has replaced it.
    pub fn endpoint(&self, key: &str) -> Option<&EndpointSnapshot> {
        let of_key = self.endpoints.iter().filter(|endpoint| *endpoint.meta.key() == *key);
        of_key.max_by_key(|endpoint| endpoint.state != EndpointState::Draining)
    }

    /// Of each endpoint, why it is out, as it is said in an error.
    pub(crate) fn write_reasons(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        if self.endpoints.is_empty() {
            return write!(f, ": there are none");
        }
        for (index, endpoint) in self.endpoints.iter().take(SHOWN).enumerate() {
            let separator = if index == 0 { ": " } else { ", " };
            let EndpointSnapshot { meta, state, role, in_row, .. } = endpoint;
            write!(f, "{separator}`{}` ", meta.key())?;
            match (state, role) {
                (EndpointState::In, _) if *in_row > 0 => write!(f, "has failed {in_row} times in a row")?,
                (EndpointState::In, Some(Role::Replica)) => write!(f, "is a replica")?,
                (EndpointState::In, Some(Role::Primary)) => write!(f, "is the primary")?,
                _ => write!(f, "{state}")?,
            }
        }
        match self.endpoints.len().checked_sub(SHOWN) {
            None | Some(0) => Ok(()),
            Some(more) => write!(f, ", and {more} more"),
        }
    }
}
