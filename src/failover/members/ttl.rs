//! DNS, the pure part: when to ask next, and what set of endpoints the answers make.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use crate::{
    backoff::{Backoff, Jitter},
    telemetry::Name,
};

/// Nobody asks more often than this because somebody wants it.
const AGAIN: Duration = Duration::from_secs(1);

/// The first wait after a failure, and the longest.
const FAILED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What an SRV weight of 0 stands for next to others.
const HARDLY_ANY: f64 = 0.01;

/// The largest weight of an endpoint.
const MAX_WEIGHT: f64 = 1000.0;

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    pub(super) floor: Duration,
    pub(super) ceiling: Duration,
    pub(super) keep: Duration,
    pub(super) timeout: Duration,
}

/// An address, as it is in the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) priority: u16,
    pub(super) weight: u16,
}

/// The answer to one of the questions that make a lookup.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    /// Which question, in any words that are the same each time.
    pub(super) of: String,
    /// `None` if there was no answer, so what was known holds.
    pub(super) targets: Option<Vec<Target>>,
}

/// How a lookup ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// Something was found.
    Found { parts: Vec<Part>, ttl: Duration },
    /// There is no such name, or nothing under it: NXDOMAIN or an empty answer.
    Nothing,
    /// Nobody knows: SERVFAIL, a timeout, no name server. With what was said.
    Failed(Name),
}

/// An address, as the client is to use it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) address: SocketAddr,
    pub(super) tier: u32,
    pub(super) weight: f64,
}

/// What is known of a name, and when to ask again.
#[derive(Debug)]
pub(super) struct Ttl {
    limits: Limits,
    backoff: Backoff,
    /// The last good answers, by question.
    parts: Vec<Part>,
    /// What was published last.
    set: Vec<Placed>,
    /// Lookups in a row that left something unanswered.
    failures: u32,
    /// What was wrong with the last one, if it was one of those.
    failing: Option<Name>,
    /// Since when every answer has been that there is nothing.
    nothing_since: Option<Duration>,
    /// When the last lookup ended.
    ended: Option<Duration>,
    asking: bool,
    due: Duration,
}

impl Ttl {
    /// To be asked at once.
    pub(super) fn new(limits: Limits) -> Self {
        let (first, longest) = FAILED;
        Self {
            limits,
            backoff: Backoff::exponential(first).max(longest).jitter(Jitter::Around(0.2)),
            parts: Vec::new(),
            set: Vec::new(),
            failures: 0,
            failing: None,
            nothing_since: None,
            ended: None,
            asking: false,
            due: Duration::ZERO,
        }
    }

    /// When to ask; while somebody asks, when that has taken too long.
    pub(super) fn due(&self) -> Duration {
        self.due
    }

    /// Why what is known may be out of date, if the last lookup left something open, or said that there is nothing.
    pub(super) fn failing(&self) -> Option<&Name> {
        self.failing.as_ref()
    }

    /// What is to be said of a lookup that takes too long.
    pub(super) fn too_late(&self) -> Name {
        format!("no answer within {:?}", self.limits.timeout).into()
    }

    /// Somebody asks.
    pub(super) fn ask(&mut self, now: Duration) {
        self.asking = true;
        self.due = now.saturating_add(self.limits.timeout);
    }

    /// What is known may be out of date.
    pub(super) fn look_again(&mut self, now: Duration) {
        let earliest = self.ended.map_or(now, |ended| now.max(ended.saturating_add(AGAIN)));
        // What is being asked right now is new enough.
        if !self.asking {
            self.due = self.due.min(earliest);
        }
    }

    /// A lookup has ended. What it returns is to be published: it differs from what was published last.
    pub(super) fn answered(&mut self, now: Duration, outcome: Outcome, random: f64) -> Option<&[Placed]> {
        self.asking = false;
        self.ended = Some(now);
        let after = match self.known(outcome) {
            Outcome::Found { parts, ttl } => {
                let ttl = ttl.clamp(self.limits.floor, self.limits.ceiling);
                self.nothing_since = None;
                match unanswered(&parts) {
                    Some(why) => ttl.min(self.failed(why, random)),
                    None => {
                        (self.failures, self.failing) = (0, None);
                        ttl
                    }
                }
            }
            Outcome::Nothing => self.nothing(now, random),
            Outcome::Failed(why) => self.failed(why, random),
        };
        self.due = now.saturating_add(after);
        let set = placed(&self.parts);
        if set == self.set {
            return None;
        }
        self.set = set;
        Some(&self.set)
    }

    /// Takes over what was found, and what was known before of what was not answered. What is empty in the end is no find.
    fn known(&mut self, outcome: Outcome) -> Outcome {
        let Outcome::Found { parts, ttl } = outcome else { return outcome };
        let all: Vec<Part> = parts
            .iter()
            .map(|part| Part { of: part.of.clone(), targets: part.targets.clone().or_else(|| self.before(&part.of)) })
            .collect();
        if all.iter().any(|part| part.targets.as_ref().is_some_and(|targets| !targets.is_empty())) {
            self.parts = all;
            return Outcome::Found { parts, ttl };
        }
        unanswered(&parts).map_or(Outcome::Nothing, Outcome::Failed)
    }

    fn before(&self, of: &str) -> Option<Vec<Target>> {
        self.parts.iter().find(|part| part.of == of).and_then(|part| part.targets.clone())
    }

    /// One more that left something open. Until when to wait.
    fn failed(&mut self, why: Name, random: f64) -> Duration {
        (self.failures, self.failing) = (self.failures.saturating_add(1), Some(why));
        self.backoff.endless(self.failures, random)
    }

    /// One more that said that there is nothing: believed once it has been said for long enough, so it is asked then.
    fn nothing(&mut self, now: Duration, random: f64) -> Duration {
        let wait = self.failed(Name::from_static("there is no such name, or nothing under it"), random);
        let since = *self.nothing_since.get_or_insert(now);
        let left = since.saturating_add(self.limits.keep).saturating_sub(now);
        if left.is_zero() {
            self.parts.clear();
        }
        if self.parts.is_empty() { wait } else { wait.min(left) }
    }
}

/// Which question was not answered, if one was not.
fn unanswered(parts: &[Part]) -> Option<Name> {
    let part = parts.iter().find(|part| part.targets.is_none())?;
    Some(format!("no answer to {}", part.of).into())
}

/// Addresses with their tiers and weights, each once, in their order.
fn placed(parts: &[Part]) -> Vec<Placed> {
    let mut known: BTreeMap<SocketAddr, (u16, u16)> = BTreeMap::new();
    for target in parts.iter().flat_map(|part| part.targets.iter().flatten()) {
        let (priority, weight) = known.entry(target.address).or_insert((target.priority, target.weight));
        // Twice under one name: the better place counts, whichever came first.
        if target.priority < *priority || target.priority == *priority && target.weight > *weight {
            (*priority, *weight) = (target.priority, target.weight);
        }
    }
    let priorities: BTreeSet<u16> = known.values().map(|(priority, _)| *priority).collect();
    let heaviest = |priority: u16| known.values().filter(|(at, _)| *at == priority).map(|(_, weight)| *weight).max();
    let tiers: BTreeMap<u16, (u32, u16)> =
        (0..).zip(&priorities).map(|(tier, at)| (*at, (tier, heaviest(*at).unwrap_or(0)))).collect();
    known
        .into_iter()
        .filter_map(|(address, (priority, weight))| {
            let (tier, heaviest) = *tiers.get(&priority)?;
            Some(Placed { address, tier, weight: share(weight, heaviest) })
        })
        .collect()
}

/// The weight of an endpoint, from that of a record and the heaviest one of its priority.
fn share(weight: u16, heaviest: u16) -> f64 {
    match (weight, heaviest) {
        (_, 0) => 1.0,
        (0, _) => HARDLY_ANY,
        _ => f64::from(weight) * (MAX_WEIGHT / f64::from(heaviest)).min(1.0),
    }
}

#[cfg(test)]
mod tests;
