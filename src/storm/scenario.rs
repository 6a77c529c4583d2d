//! What goes wrong, when, and what is looked at.

use std::{ops::Range, time::Duration};

use super::World;

/// A world, the faults in it, and the time that is judged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// The world while nothing is wrong.
    pub world: World,
    /// What goes wrong, in any order; faults may overlap.
    pub faults: Vec<Fault>,
    /// The requests that arrive in this time are judged: the faults, and some time after them.
    pub window: Range<Duration>,
    /// When the faults are over, from where recovery is counted. Default: with the last of them.
    pub over: Option<Duration>,
}

/// Something that goes wrong for a time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Since the beginning of the run.
    pub at: Duration,
    /// For how long.
    pub lasts: Duration,
    /// Which backends, by their number from 0; none stands for all. Faults of the network and of requests have none.
    pub backends: Vec<usize>,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Connections are refused at once.
    Refuse,
    /// Calls are never answered.
    Swallow,
    /// This share of attempts fails after having been worked on in full.
    Fail {
        /// 0 to 1.
        share: f64,
    },
    /// This share of attempts fails as it arrives.
    FailAtOnce {
        /// 0 to 1.
        share: f64,
    },
    /// Work takes so many times as long.
    Slow {
        /// Over 0, up to 1,000.
        factor: f64,
    },
    /// As `Slow`, and for each backend only until it has answered so many calls in time. Work that nobody waits for any
    /// more fills no cache.
    Cold {
        /// Over 0, up to 1,000.
        factor: f64,
        /// Calls, since the fault began.
        completions: u64,
    },
    /// This share of attempts takes so many times as long.
    Stragglers {
        /// 0 to 1.
        share: f64,
        /// Over 0, up to 1,000.
        factor: f64,
    },
    /// A round trip takes so much longer.
    Latency {
        /// Up to 1 minute.
        extra: Duration,
    },
    /// So many times the load, which has to be a rate.
    Load {
        /// Over 0, up to 1,000.
        factor: f64,
    },
    /// This share of requests is invalid: the answer is that it was, after work in full.
    Invalid {
        /// 0 to 1.
        share: f64,
    },
    /// The backends of the fault refuse connections, and never come back, however long it lasts. The standbys are promoted
    /// after a while; then the name that clients resolve follows, for each client at a time of its own.
    Failover {
        /// When the standbys are promoted.
        promoted_after: Duration,
        /// The latest that a client's name follows, after the promotion.
        name_follows_within: Duration,
    },
}

impl Scenario {
    /// A scenario in the default world, without faults, of which the time from 10 s to 70 s is judged.
    pub fn new(name: impl Into<String>) -> Self {
        let window = Duration::from_secs(10)..Duration::from_secs(70);
        Self { name: name.into(), world: World::default(), faults: Vec::new(), window, over: None }
    }

    /// Adds a fault of all backends.
    #[must_use]
    pub fn fault(self, kind: FaultKind, at: Duration, lasts: Duration) -> Self {
        self.fault_of(Vec::new(), kind, at, lasts)
    }

    /// Adds a fault of some backends.
    #[must_use]
    pub fn fault_of(mut self, backends: Vec<usize>, kind: FaultKind, at: Duration, lasts: Duration) -> Self {
        self.faults.push(Fault { kind, at, lasts, backends });
        self
    }

    /// Judges the time from the beginning of the first fault to `after` the end of the last.
    #[must_use]
    pub fn judged_until(mut self, after: Duration) -> Self {
        if let (Some(from), Some(until)) = (self.first_fault(), self.last_fault()) {
            self.window = from..until.saturating_add(after);
        }
        self
    }

    fn first_fault(&self) -> Option<Duration> {
        self.faults.iter().map(|fault| fault.at).min()
    }

    pub(super) fn over(&self) -> Option<Duration> {
        self.over.or_else(|| self.last_fault())
    }

    fn last_fault(&self) -> Option<Duration> {
        self.faults.iter().map(Fault::ends).max()
    }
}

impl Fault {
    /// When it is over: a failover, when the standbys have been promoted.
    pub(super) fn ends(&self) -> Duration {
        self.at.saturating_add(match self.kind {
            FaultKind::Failover { promoted_after, .. } => promoted_after,
            _ => self.lasts,
        })
    }
}
