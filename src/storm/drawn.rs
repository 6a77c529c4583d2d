//! Worlds drawn at random, and listed scenarios in them.

use std::{fmt::Debug, ops::RangeInclusive, time::Duration};

use super::{
    Backend, FaultKind, Load, Scenario, ServiceTime, StormError, World,
    draw::{About, Draws},
    validate::{self, positive, that, within},
};

/// What worlds are drawn from.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Ranges {
    /// The mean service time, drawn by its logarithm. Default: 5 ms to 100 ms.
    pub service: RangeInclusive<Duration>,
    /// The deviation of its logarithm. Default: 0.2 to 1.
    pub sigma: RangeInclusive<f64>,
    /// How many backends. They are alike. Default: 2 to 20.
    pub backends: RangeInclusive<u32>,
    /// The workers of each backend. Default: 1 to 16.
    pub workers: RangeInclusive<u32>,
    /// How many clients, drawn by its logarithm. Default: 1 to 100.
    pub clients: RangeInclusive<u32>,
    /// The deadline, in mean service times. Default: 10 to 100.
    pub deadline: RangeInclusive<f64>,
    /// The load, as a share of what the backends can do. Default: 0.4 to 0.8.
    pub load: RangeInclusive<f64>,
    /// A round trip. Default: 0.5 ms to 20 ms.
    pub network: RangeInclusive<Duration>,
    /// The queue of each backend, as the time that its workers take for it. Default: 0.5 s to 5 s.
    pub queue: RangeInclusive<Duration>,
}

impl Default for Ranges {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            service: millis(5)..=millis(100),
            sigma: 0.2..=1.0,
            backends: 2..=20,
            workers: 1..=16,
            clients: 1..=100,
            deadline: 10.0..=100.0,
            load: 0.4..=0.8,
            network: Duration::from_micros(500)..=millis(20),
            queue: millis(500)..=millis(5000),
        }
    }
}

impl Ranges {
    /// Checks that every world drawn from them can be.
    ///
    /// # Errors
    /// The first range that cannot be, with what is allowed.
    pub fn check(&self) -> Result<(), StormError> {
        inside("service", &self.service, &validate::SERVICE)?;
        inside("sigma", &self.sigma, &validate::SIGMA)?;
        let (fewest, most) = (*validate::BACKENDS.start() as u32, *validate::BACKENDS.end() as u32);
        inside("backends", &self.backends, &(fewest..=most))?;
        inside("workers", &self.workers, &validate::WORKERS)?;
        inside("clients", &self.clients, &validate::CLIENTS)?;
        forwards("deadline", &self.deadline)?;
        positive("deadline", *self.deadline.start(), 1e9)?;
        positive("deadline", *self.deadline.end(), 1e9)?;
        let of = |service: &Duration, times: &f64| {
            Duration::try_from_secs_f64(service.as_secs_f64() * times).unwrap_or(Duration::MAX)
        };
        let (shortest, longest) =
            (of(self.service.start(), self.deadline.start()), of(self.service.end(), self.deadline.end()));
        let allowed = |time, which| {
            let (least, most) = validate::DEADLINE.into_inner();
            that(validate::DEADLINE.contains(&time), "deadline", || {
                format!("is {time:?} at the {which}; allowed: {least:?} to {most:?}")
            })
        };
        allowed(shortest, "shortest")?;
        allowed(longest, "longest")?;
        forwards("load", &self.load)?;
        positive("load", *self.load.start(), validate::MOST_FACTOR)?;
        positive("load", *self.load.end(), validate::MOST_FACTOR)?;
        let each = f64::from(*self.workers.end()) / self.service.start().as_secs_f64();
        let rate = each * f64::from(*self.backends.end()) * self.load.end();
        that(rate <= validate::MOST_RATE, "load", || {
            format!("comes to {rate:.0} calls/s; allowed: up to {:.0}", validate::MOST_RATE)
        })?;
        inside("network", &self.network, &validate::NETWORK)?;
        forwards("queue", &self.queue)?;
        let (queue, most) = (each * self.queue.end().as_secs_f64(), f64::from(*validate::QUEUE.end()));
        that(queue <= most, "queue", || format!("comes to {queue:.0} calls; allowed: up to {most:.0}"))
    }
}

fn forwards<T: PartialOrd + Debug>(field: &str, range: &RangeInclusive<T>) -> Result<(), StormError> {
    let (start, end) = (range.start(), range.end());
    that(start <= end, field, || format!("ends at {end:?}, before it begins at {start:?}"))
}

fn inside<T: PartialOrd + Debug>(
    field: &str,
    range: &RangeInclusive<T>,
    allowed: &RangeInclusive<T>,
) -> Result<(), StormError> {
    within(field, range.start(), allowed)?;
    within(field, range.end(), allowed)?;
    forwards(field, range)
}

/// The chance of one world.
struct Drawn {
    draws: Draws,
    next: u64,
}

impl Drawn {
    fn unit(&mut self) -> f64 {
        self.next += 1;
        self.draws.unit(About::World, self.next, 0)
    }

    fn uniform(&mut self, range: &RangeInclusive<f64>) -> f64 {
        let (start, end) = (range.start(), range.end());
        (start + self.unit() * (end - start)).clamp(*start, *end)
    }

    fn log_uniform(&mut self, range: &RangeInclusive<f64>) -> f64 {
        let (start, end) = (range.start(), range.end());
        self.uniform(&(start.ln()..=end.ln())).exp().clamp(*start, *end)
    }

    /// Of whole numbers, each as likely as the others.
    fn whole(&mut self, range: &RangeInclusive<u32>) -> u32 {
        let (start, end) = (*range.start(), *range.end());
        (start + (self.unit() * (f64::from(end - start) + 1.0)) as u32).min(end)
    }
}

fn seconds(range: &RangeInclusive<Duration>) -> RangeInclusive<f64> {
    range.start().as_secs_f64()..=range.end().as_secs_f64()
}

/// In whole microseconds, which are easier to read, as far as the range has one there.
fn micros(seconds: f64, range: &RangeInclusive<Duration>) -> Duration {
    Duration::from_micros((seconds * 1e6).round() as u64).clamp(*range.start(), *range.end())
}

impl World {
    /// A world drawn from these ranges: the same for the same seed. What is not in them is as in the default; the load is
    /// Poisson, the service times are lognormal.
    ///
    /// # Errors
    /// The first range that cannot be.
    pub fn drawn(ranges: &Ranges, seed: u64) -> Result<Self, StormError> {
        ranges.check()?;
        let mut drawn = Drawn { draws: Draws::new(seed), next: 0 };
        let mean = micros(drawn.log_uniform(&seconds(&ranges.service)), &ranges.service);
        let service = ServiceTime::LogNormal { mean, sigma: drawn.uniform(&ranges.sigma) };
        let backends = drawn.whole(&ranges.backends);
        let workers = drawn.whole(&ranges.workers);
        let clients = &ranges.clients;
        // Each whole number has the part of the logarithms from itself to the next.
        let (fewest, most) = (f64::from(*clients.start()), f64::from(*clients.end()));
        let clients = (drawn.log_uniform(&(fewest..=most + 1.0)) as u32).min(*clients.end());
        let deadline = mean.as_secs_f64() * drawn.uniform(&ranges.deadline);
        let load = drawn.uniform(&ranges.load);
        let network = micros(drawn.uniform(&seconds(&ranges.network)), &ranges.network);
        let each = f64::from(workers) / mean.as_secs_f64();
        let queue = (each * drawn.uniform(&seconds(&ranges.queue))).floor() as u32;
        let backend = Backend { workers, queue, service, standby: false };
        let mut world = Self { clients, network, backends: vec![backend; backends as usize], ..Self::default() };
        let (shortest, longest) = validate::DEADLINE.into_inner();
        world.deadline = Duration::from_millis((deadline * 1000.0).round() as u64).clamp(shortest, longest);
        world.load = Load::Poisson { rate: (load * world.capacity()).min(validate::MOST_RATE) };
        Ok(world)
    }

    /// The load as a share of what the backends can do; none of traces and users.
    fn utilization(&self) -> Option<f64> {
        match self.load {
            Load::Poisson { rate } => Some(rate / self.capacity()),
            _ => None,
        }
    }

    /// The numbers of the backends that are standbys, or are not.
    fn numbers(&self, standby: bool) -> Vec<usize> {
        (0..self.backends.len()).filter(|backend| self.backends[*backend].standby == standby).collect()
    }

    /// The same capacity at one backend, and another one like it as its standby.
    fn with_standby(mut self) -> Self {
        let first = self.backends[0].clone();
        let alike = Backend { workers: 1, ..first.clone() }.capacity();
        let all: f64 = self.backends.iter().map(Backend::capacity).sum();
        let workers = ((all / alike).round() as u32).clamp(1, *validate::WORKERS.end());
        let queue: u64 = self.backends.iter().map(|backend| u64::from(backend.queue)).sum();
        let queue = queue.min((*validate::QUEUE.end()).into()) as u32;
        let primary = Backend { workers, queue, ..first };
        self.backends = vec![primary.clone(), Backend { standby: true, ..primary }];
        self
    }
}

impl Scenario {
    /// What goes wrong here, in another world.
    ///
    /// - Faults of some backends are of the same share of them there: at least one, and not all.
    /// - A failover needs a standby: where there is none, all backends become one, with one of its kind as its standby.
    /// - The load is that of the other world. If the load here is another share of the capacity than in the default world,
    ///   it becomes so many times as much or as little, but no larger share than here.
    /// - An overload by a [`FaultKind::Load`] is so many times the capacity as here.
    /// - Backends are [`Cold`](FaultKind::Cold) for so many calls that it takes them as long as here.
    /// - [`Latency`](FaultKind::Latency) is added in proportion to the deadline.
    ///
    /// Times, shares and other factors stay.
    #[must_use]
    pub fn in_world(&self, world: World) -> Self {
        let fails_over = self.faults.iter().any(|fault| matches!(fault.kind, FaultKind::Failover { .. }));
        let has_standby = world.backends.iter().any(|backend| backend.standby);
        let mut world =
            if fails_over && !has_standby && !world.backends.is_empty() { world.with_standby() } else { world };
        let usual = World::default().utilization();
        if let (Some(here), Some(usual), Some(there)) = (self.world.utilization(), usual, world.utilization()) {
            let times = here / usual;
            if (times - 1.0).abs() > 1e-9 {
                let share = (there * times).min(here);
                world.load = Load::Poisson { rate: share * world.capacity() };
            }
        }
        let mut scenario = self.clone();
        for fault in &mut scenario.faults {
            fault.kind = fault.kind.in_world(&self.world, &world);
            fault.backends = moved(&fault.backends, &self.world, &world);
        }
        scenario.world = world;
        scenario
    }
}

impl FaultKind {
    fn in_world(self, here: &World, there: &World) -> Self {
        match self {
            Self::Load { factor } => {
                let (Some(here), Some(there)) = (here.utilization(), there.utilization()) else { return self };
                let overload = factor * here;
                Self::Load {
                    factor: if overload > 1.0 { (overload / there).min(validate::MOST_FACTOR) } else { factor },
                }
            }
            Self::Cold { factor, completions } => {
                let each = |world: &World| world.capacity() / world.numbers(false).len().max(1) as f64;
                let completions = (completions as f64 * each(there) / each(here)).round() as u64;
                let (fewest, most) = validate::COMPLETIONS.into_inner();
                Self::Cold { factor, completions: completions.clamp(fewest, most) }
            }
            Self::Latency { extra } => {
                let times = there.deadline.as_secs_f64() / here.deadline.as_secs_f64().max(1e-3);
                let (shortest, longest) = validate::NETWORK.into_inner();
                let extra = Duration::try_from_secs_f64(extra.as_secs_f64() * times).unwrap_or(longest);
                Self::Latency { extra: extra.clamp(shortest, longest) }
            }
            other => other,
        }
    }
}

/// The same share of backends: of those that are standbys, and of those that are not.
fn moved(named: &[usize], here: &World, there: &World) -> Vec<usize> {
    if named.is_empty() {
        return Vec::new();
    }
    let of = |standby: bool| share_of(named, &here.numbers(standby), &there.numbers(standby));
    let mut moved = of(false);
    moved.extend(of(true));
    moved.sort_unstable();
    // None would stand for all.
    if moved.is_empty() { vec![0] } else { moved }
}

/// Of `to`, those that stand where those named stand in `from`.
fn share_of(named: &[usize], from: &[usize], to: &[usize]) -> Vec<usize> {
    let is_named = |at: usize| named.contains(&from[at]);
    let number = (0..from.len()).filter(|at| is_named(*at)).count();
    let Some(first) = (0..from.len()).find(|at| is_named(*at)) else { return Vec::new() };
    // The middle of each, where it is in `from`.
    let place = |at: usize| (2 * at + 1) * from.len() / (2 * to.len());
    let mut moved: Vec<_> = (0..to.len()).filter(|at| is_named(place(*at))).map(|at| to[at]).collect();
    if moved.is_empty() {
        moved.extend(to.get(first * to.len() / from.len()));
    } else if number < from.len() && moved.len() == to.len() && moved.len() > 1 {
        moved.pop();
    }
    moved
}
