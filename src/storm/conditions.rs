//! What holds at a moment: the faults of a scenario, looked up.

use std::time::Duration;

use crate::Priority;

use super::{
    FaultKind, Load, Scenario,
    draw::{About, Draws, LONGEST},
};

/// Milliseconds since the beginning of a run. Everything happens at whole ones: the timers know no others.
pub(super) type Millis = u64;

pub(super) fn millis(time: Duration) -> Millis {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A scenario and its chance, as clients, backends and the oracle see it.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    pub(super) scenario: Scenario,
    pub(super) draws: Draws,
    faults: Vec<Active>,
    /// When the name of each client follows a promotion.
    names_follow: Vec<Option<Millis>>,
}

#[derive(Clone, Debug)]
struct Active {
    kind: FaultKind,
    from: Millis,
    until: Millis,
    /// Whether each backend is hit.
    hits: Vec<bool>,
}

/// How a backend is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Health {
    pub(super) up: Up,
    /// So many times the time of a call.
    pub(super) factor: f64,
    /// As `factor`, until so many calls more have ended, since then.
    pub(super) cold: Option<(f64, u64, Millis)>,
    /// The shares of attempts that fail, after work and at once.
    pub(super) fails: f64,
    pub(super) fails_at_once: f64,
    /// The share of attempts that takes longer, and by how many times.
    pub(super) stragglers: (f64, f64),
}

/// Whether a backend takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up {
    Yes,
    /// It is a standby.
    NotPrimary,
    Refuses,
    Swallows,
}

/// What an attempt meets, beyond the state of the backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Lot {
    /// The work, once everything that makes it longer but cold has.
    pub(super) work: f64,
    pub(super) fails: bool,
    pub(super) fails_at_once: bool,
}

impl Conditions {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let draws = Draws::new(seed);
        let backends = scenario.world.backends.len();
        let faults: Vec<_> = scenario.faults.iter().map(|fault| Active::of(fault, backends)).collect();
        let clients = u64::from(scenario.world.clients);
        let follows = |client: u64| {
            scenario.faults.iter().find_map(|fault| match fault.kind {
                FaultKind::Failover { promoted_after, name_follows_within } => {
                    // Spread evenly, whoever is when.
                    let place = (client as f64 + draws.unit(About::Name, client, 0)) / clients as f64;
                    let late = name_follows_within.as_secs_f64() * place;
                    Some(millis(fault.at + promoted_after + Duration::from_secs_f64(late)))
                }
                _ => None,
            })
        };
        let names_follow = (0..clients).map(follows).collect();
        Self { scenario: scenario.clone(), draws, faults, names_follow }
    }

    fn active(&self, now: Millis) -> impl Iterator<Item = &Active> {
        self.faults.iter().filter(move |fault| fault.from <= now && now < fault.until)
    }

    /// How `backend` is.
    pub(super) fn health(&self, now: Millis, backend: usize) -> Health {
        let standby = self.scenario.world.backends[backend].standby;
        let up = if standby { Up::NotPrimary } else { Up::Yes };
        let mut health = Health { up, factor: 1.0, cold: None, fails: 0.0, fails_at_once: 0.0, stragglers: (0.0, 1.0) };
        // Who is primary first; what else is wrong with it comes on top.
        for fault in self.active(now) {
            if let FaultKind::Failover { promoted_after, .. } = fault.kind {
                if fault.hits[backend] {
                    health.up = Up::Refuses;
                } else if standby && now >= fault.from + millis(promoted_after) {
                    health.up = Up::Yes;
                }
            }
        }
        for fault in self.active(now).filter(|fault| fault.hits[backend]) {
            match fault.kind {
                FaultKind::Refuse => health.up = Up::Refuses,
                FaultKind::Swallow => health.up = Up::Swallows,
                FaultKind::Slow { factor } => health.factor = (health.factor * factor).min(LONGEST as f64),
                FaultKind::Cold { factor, completions } => health.cold = Some((factor, completions, fault.from)),
                FaultKind::Fail { share } => health.fails = 1.0 - (1.0 - health.fails) * (1.0 - share),
                FaultKind::FailAtOnce { share } => {
                    health.fails_at_once = 1.0 - (1.0 - health.fails_at_once) * (1.0 - share);
                }
                FaultKind::Stragglers { share, factor } => health.stragglers = (share, factor),
                _ => {}
            }
        }
        health
    }

    /// What becomes of an attempt at a backend in such health.
    pub(super) fn lot(&self, health: &Health, backend: usize, request: &super::Request, attempt: u64) -> Lot {
        let (draws, id) = (&self.draws, request.id);
        let (share, factor) = health.stragglers;
        let mut work = self.scenario.world.backends[backend].service.draw(draws, id, attempt);
        work *= self.scenario.world.classes[usize::from(request.class)].work * health.factor;
        if draws.unit(About::Straggler, id, attempt) < share {
            work *= factor;
        }
        let failure = draws.unit(About::Failure, id, attempt);
        Lot { work, fails: failure < health.fails, fails_at_once: failure < health.fails_at_once }
    }

    /// Half a round trip, there and back: whole milliseconds, and one at least in all, or who asks again at once would do
    /// so for ever.
    pub(super) fn ways(&self, now: Millis) -> (Millis, Millis) {
        let extra = |fault: &Active| match fault.kind {
            FaultKind::Latency { extra } => millis(extra),
            _ => 0,
        };
        let network = (self.scenario.world.network.as_micros() as u64 + 500) / 1000;
        let round = (network + self.active(now).map(extra).sum::<u64>()).max(1);
        (round / 2, round - round / 2)
    }

    /// So many times the load.
    pub(super) fn load(&self, now: Millis) -> f64 {
        let factor = |fault: &Active| match fault.kind {
            FaultKind::Load { factor } => factor,
            _ => 1.0,
        };
        self.active(now).map(factor).product()
    }

    /// The share of requests that is invalid.
    pub(super) fn invalid(&self, now: Millis) -> f64 {
        let share = |fault: &Active| match fault.kind {
            FaultKind::Invalid { share } => share,
            _ => 0.0,
        };
        1.0 - self.active(now).map(|fault| 1.0 - share(fault)).product::<f64>()
    }

    /// Whether the name that a client resolves stands for this backend.
    pub(super) fn is_named(&self, now: Millis, client: u32, backend: usize) -> bool {
        let follows = self.names_follow.get(client as usize).copied().flatten();
        let standby = self.scenario.world.backends[backend].standby;
        match follows {
            Some(follows) if now >= follows => standby,
            _ => !standby,
        }
    }

    /// When something changes.
    pub(super) fn changes(&self) -> Vec<Millis> {
        let mut changes: Vec<_> = self
            .faults
            .iter()
            .flat_map(|fault| match fault.kind {
                FaultKind::Failover { promoted_after, .. } => [fault.from, fault.from + millis(promoted_after)],
                _ => [fault.from, fault.until],
            })
            .collect();
        changes.sort_unstable();
        changes.dedup();
        changes
    }

    /// The time that is judged.
    pub(super) fn window(&self) -> std::ops::Range<Millis> {
        millis(self.scenario.window.start)..millis(self.scenario.window.end)
    }

    /// The requests that come of themselves, in order.
    pub(super) fn arrivals(&self) -> Vec<(Millis, super::Request)> {
        let end = self.window().end;
        let mut arrivals = Vec::new();
        match &self.scenario.world.load {
            Load::Poisson { rate } => {
                let (mut from, mut at) = (0, 0.0);
                let mut gap = self.draws.exponential(About::Gap, 0, 0);
                // The rate is the same from one change to the next.
                for until in self.changes().into_iter().filter(|change| (1..end).contains(change)).chain([end]) {
                    let rate = rate * self.load(from) / 1000.0;
                    while at + gap / rate < until as f64 {
                        at += gap / rate;
                        arrivals.push((at as Millis, self.request(arrivals.len() as u64, at as Millis)));
                        gap = self.draws.exponential(About::Gap, arrivals.len() as u64, 0);
                    }
                    gap -= (until as f64 - at) * rate;
                    (from, at) = (until, until as f64);
                }
            }
            Load::Trace(times) => {
                for time in times.iter().map(|time| millis(*time)).take_while(|time| *time < end) {
                    arrivals.push((time, self.request(arrivals.len() as u64, time)));
                }
            }
            Load::Closed { .. } => {}
        }
        arrivals
    }

    /// How important a request is, next to the other classes.
    pub(super) fn priority(&self, request: &super::Request) -> Priority {
        let classes = &self.scenario.world.classes;
        let all = || classes.iter().map(|class| class.priority);
        match (all().min(), all().max()) {
            (Some(least), Some(most)) if least < most && request.priority == least => Priority::Sheddable,
            (Some(least), Some(most)) if least < most && request.priority == most => Priority::Critical,
            _ => Priority::Normal,
        }
    }

    /// For how long those wait who ask for this class.
    pub(super) fn waits(&self, class: usize) -> Millis {
        let world = &self.scenario.world;
        millis(world.classes[class].deadline.unwrap_or(world.deadline))
    }

    /// The request of this number, if it is made now.
    pub(super) fn request(&self, id: u64, now: Millis) -> super::Request {
        let classes = &self.scenario.world.classes;
        let mut at = self.draws.unit(About::Class, id, 0) * classes.iter().map(|class| class.share).sum::<f64>();
        let class = classes.iter().position(|class| {
            at -= class.share;
            at < 0.0
        });
        let class = class.unwrap_or(classes.len() - 1);
        let waits = self.waits(class);
        super::Request {
            id,
            client: self.draws.one_of(About::Client, id, 0, self.scenario.world.clients as usize) as u32,
            class: class as u16,
            priority: classes[class].priority,
            idempotent: classes[class].idempotent,
            by: now + waits,
            waits: waits as u32,
            invalid: self.draws.unit(About::Invalid, id, 0) < self.invalid(now),
        }
    }
}

impl Active {
    fn of(fault: &super::Fault, backends: usize) -> Self {
        let hits = (0..backends).map(|backend| fault.backends.is_empty() || fault.backends.contains(&backend));
        let until = match fault.kind {
            // Who is dead stays dead.
            FaultKind::Failover { .. } => Millis::MAX,
            _ => millis(fault.at.saturating_add(fault.lasts)),
        };
        Self { kind: fault.kind, from: millis(fault.at), until, hits: hits.collect() }
    }
}
