//! Which worlds and scenarios can be.

use std::{
    fmt::{Debug, Display},
    ops::RangeInclusive,
    time::Duration,
};

use super::{Class, Fault, FaultKind, Load, Scenario, ServiceTime, StormError, World};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) const CLIENTS: RangeInclusive<u32> = 1..=10_000;
pub(super) const BACKENDS: RangeInclusive<usize> = 1..=1000;
pub(super) const WORKERS: RangeInclusive<u32> = 1..=10_000;
pub(super) const QUEUE: RangeInclusive<u32> = 0..=1_000_000;
pub(super) const USERS: RangeInclusive<u32> = 1..=100_000;
pub(super) const COMPLETIONS: RangeInclusive<u64> = 1..=1_000_000_000;
pub(super) const SERVICE: RangeInclusive<Duration> = MILLISECOND..=HOUR;
pub(super) const DEADLINE: RangeInclusive<Duration> = MILLISECOND..=HOUR;
pub(super) const NETWORK: RangeInclusive<Duration> = Duration::ZERO..=MINUTE;
pub(super) const SIGMA: RangeInclusive<f64> = 0.0..=3.0;
/// Calls a second.
pub(super) const MOST_RATE: f64 = 1_000_000.0;
/// So many times as long, or as many.
pub(super) const MOST_FACTOR: f64 = 1000.0;
/// In one run: all of them are kept.
const MOST_REQUESTS: f64 = 10_000_000.0;
/// Each attempt looks through all of them.
const MOST_FAULTS: usize = 1000;

pub(super) fn within<T: PartialOrd + Debug>(
    field: impl Display,
    value: &T,
    allowed: &RangeInclusive<T>,
) -> Result<(), StormError> {
    if allowed.contains(value) {
        return Ok(());
    }
    let (least, most) = (allowed.start(), allowed.end());
    Err(StormError::new(field.to_string(), format!("is {value:?}; allowed: {least:?} to {most:?}")))
}

pub(super) fn positive(field: impl Display, value: f64, most: f64) -> Result<(), StormError> {
    if value > 0.0 && value <= most {
        return Ok(());
    }
    Err(StormError::new(field.to_string(), format!("is {value:?}; allowed: over 0, up to {most:?}")))
}

pub(super) fn that(holds: bool, field: impl Display, problem: impl FnOnce() -> String) -> Result<(), StormError> {
    if holds { Ok(()) } else { Err(StormError::new(field.to_string(), problem())) }
}

impl World {
    /// Checks that there can be such a world.
    ///
    /// # Errors
    /// The first field that cannot be, with what is allowed.
    pub fn check(&self) -> Result<(), StormError> {
        within("deadline", &self.deadline, &DEADLINE)?;
        within("network", &self.network, &NETWORK)?;
        within("clients", &self.clients, &CLIENTS)?;
        self.load.check()?;
        within("backends", &self.backends.len(), &BACKENDS)?;
        for (at, backend) in self.backends.iter().enumerate() {
            within(format_args!("backends[{at}].workers"), &backend.workers, &WORKERS)?;
            within(format_args!("backends[{at}].queue"), &backend.queue, &QUEUE)?;
            backend.service.check(&format!("backends[{at}].service"))?;
        }
        let serving = self.backends.iter().any(|backend| !backend.standby);
        that(serving, "backends", || "all are standbys; at least one must not be".into())?;
        within("classes", &self.classes.len(), &(1..=1000))?;
        self.classes.iter().enumerate().try_for_each(|(at, class)| class.check(at))
    }
}

impl Load {
    fn check(&self) -> Result<(), StormError> {
        match self {
            Self::Poisson { rate } => positive("load.rate", *rate, MOST_RATE),
            Self::Trace(times) => {
                that(!times.is_empty(), "load.trace", || "is empty".into())?;
                let unordered = times.windows(2).position(|pair| pair[0] > pair[1]);
                that(unordered.is_none(), "load.trace", || {
                    let at = unordered.unwrap_or_default();
                    format!("goes back in time: {:?} after {:?}", times[at + 1], times[at])
                })
            }
            Self::Closed { users, think } => {
                within("load.users", users, &USERS)?;
                within("load.think", think, &(MILLISECOND..=HOUR))
            }
        }
    }
}

impl ServiceTime {
    fn check(&self, field: &str) -> Result<(), StormError> {
        match self {
            Self::Fixed(time) => within(format_args!("{field}.fixed"), time, &SERVICE),
            Self::Exponential { mean } => within(format_args!("{field}.exponential"), mean, &SERVICE),
            Self::LogNormal { mean, sigma } => {
                within(format_args!("{field}.mean"), mean, &SERVICE)?;
                within(format_args!("{field}.sigma"), sigma, &SIGMA)
            }
            Self::Recorded(times) => {
                let field = format_args!("{field}.recorded");
                let calls = times.iter().try_fold(0_u64, |sum, (_, calls)| sum.checked_add(*calls));
                that(calls.is_some_and(|calls| calls > 0), field, || "has no calls, or too many".into())?;
                let longest = times.iter().map(|(time, _)| *time).max().unwrap_or_default();
                within(field, &longest, &(Duration::ZERO..=HOUR))?;
                within(field, &self.mean(), &(MILLISECOND / 10..=HOUR))
            }
        }
    }
}

impl Class {
    fn check(&self, at: usize) -> Result<(), StormError> {
        positive(format_args!("classes[{at}].share"), self.share, 1e9)?;
        positive(format_args!("classes[{at}].work"), self.work, 1000.0)?;
        match &self.deadline {
            Some(deadline) => within(format_args!("classes[{at}].deadline"), deadline, &DEADLINE),
            None => Ok(()),
        }
    }
}

impl Scenario {
    /// Checks that this can happen.
    ///
    /// # Errors
    /// The first field that cannot be, with what is allowed.
    pub fn check(&self) -> Result<(), StormError> {
        self.world.check().map_err(|error| error.within("world"))?;
        within("until", &self.window.end, &(MILLISECOND..=DAY))?;
        within("faults", &self.faults.len(), &(0..=MOST_FAULTS))?;
        self.faults.iter().enumerate().try_for_each(|(at, fault)| fault.check(at, self))?;
        that(self.window.start.as_millis() < self.window.end.as_millis(), "from", || {
            format!("is {:?}, which is not before the end at {:?}", self.window.start, self.window.end)
        })?;
        if let Some(over) = &self.over {
            that(*over < self.window.end, "over", || {
                format!("is {over:?}, which is not before the end at {:?}", self.window.end)
            })?;
        }
        self.check_requests()
    }

    /// Checks that there are not too many requests.
    fn check_requests(&self) -> Result<(), StormError> {
        let (field, requests) = match &self.world.load {
            Load::Poisson { rate } => ("world.load.rate", rate * self.seconds_of_load()),
            Load::Trace(times) => ("world.load.trace", times.partition_point(|time| *time < self.window.end) as f64),
            Load::Closed { users, think } => {
                // As many as there are if all are answered at once. Users think for whole milliseconds, rounded down.
                let thinks = 0.001 / (0.001 / think.as_secs_f64()).exp_m1();
                ("world.load.users", f64::from(*users) * self.window.end.as_secs_f64() / thinks)
            }
        };
        that(requests <= MOST_REQUESTS, field, || {
            format!("comes to {requests:.0} requests; allowed: up to {MOST_REQUESTS:.0}")
        })
    }

    /// How long the load would take to bring as many requests without faults.
    fn seconds_of_load(&self) -> f64 {
        let end = self.window.end;
        let loads: Vec<_> = self
            .faults
            .iter()
            .filter_map(|fault| match fault.kind {
                FaultKind::Load { factor } => Some((fault.at, fault.at.saturating_add(fault.lasts).min(end), factor)),
                _ => None,
            })
            .collect();
        let mut changes: Vec<_> = loads.iter().flat_map(|(from, until, _)| [*from, *until]).collect();
        changes.extend([Duration::ZERO, end]);
        changes.sort_unstable();
        let of = |between: &[Duration]| {
            let active = loads.iter().filter(|(from, until, _)| *from <= between[0] && between[0] < *until);
            let factor: f64 = active.map(|(.., factor)| factor).product();
            (between[1] - between[0]).as_secs_f64() * factor
        };
        changes.windows(2).map(of).sum()
    }
}

impl Fault {
    fn check(&self, at: usize, scenario: &Scenario) -> Result<(), StormError> {
        let field = |name: &str| format!("faults[{at}].{name}");
        let end = scenario.window.end;
        that(self.at < end, field("at"), || format!("is {:?}, after the end at {end:?}", self.at))?;
        that(!self.lasts.is_zero(), field("lasts"), || "is 0; allowed: over 0".into())?;
        let backends = scenario.world.backends.len();
        let beyond = self.backends.iter().find(|backend| **backend >= backends);
        that(beyond.is_none(), field("backends"), || {
            format!("names backend {}; there are {backends}, from 0", beyond.copied().unwrap_or_default())
        })?;
        let of_backends =
            !matches!(self.kind, FaultKind::Latency { .. } | FaultKind::Load { .. } | FaultKind::Invalid { .. });
        that(of_backends || self.backends.is_empty(), field("backends"), || {
            "is not for a fault of the network or of requests".into()
        })?;
        let rated = matches!(scenario.world.load, Load::Poisson { .. });
        that(rated || !matches!(self.kind, FaultKind::Load { .. }), field("kind"), || {
            "is `load`, but the load of the world is not a rate".into()
        })?;
        let share = |share: f64| within(field("share"), &share, &(0.0..=1.0));
        let factor = |factor: f64| positive(field("factor"), factor, MOST_FACTOR);
        match self.kind {
            FaultKind::Refuse | FaultKind::Swallow => Ok(()),
            FaultKind::Fail { share: some }
            | FaultKind::FailAtOnce { share: some }
            | FaultKind::Invalid { share: some } => share(some),
            FaultKind::Slow { factor: some } | FaultKind::Load { factor: some } => factor(some),
            FaultKind::Cold { factor: some, completions } => {
                factor(some)?;
                within(field("completions"), &completions, &COMPLETIONS)
            }
            FaultKind::Stragglers { share: some, factor: times } => {
                share(some)?;
                factor(times)
            }
            FaultKind::Latency { extra } => within(field("extra"), &extra, &(Duration::ZERO..=MINUTE)),
            FaultKind::Failover { promoted_after, name_follows_within } => {
                within(field("promoted_after"), &promoted_after, &(Duration::ZERO..=DAY))?;
                within(field("name_follows_within"), &name_follows_within, &(Duration::ZERO..=DAY))?;
                let standby = scenario.world.backends.iter().any(|backend| backend.standby);
                that(standby, field("kind"), || "is `failover`, but no backend is a standby".into())?;
                let hit = |backend: usize| self.backends.is_empty() || self.backends.contains(&backend);
                let standby_dies =
                    (0..backends).any(|backend| scenario.world.backends[backend].standby && hit(backend));
                that(!standby_dies, field("backends"), || "a standby dies; name those that are not".into())
            }
        }
    }
}
