//! What is simulated while nothing is wrong, as data.

use std::time::Duration;

use super::draw::{About, Draws};

/// Services, those who call them, and what is between them.
///
/// The default is five backends of four workers, 20 ms a call (lognormal, σ 0.5) and so 1,000 calls/s; a queue of 500 at
/// each; 2 ms a round trip; ten clients with 600 calls/s in all, and a deadline of 1 s.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct World {
    /// When who asked no longer waits; 1 ms to 1 hour. Default: 1 s.
    pub deadline: Duration,
    /// A round trip between client and backend, in whole milliseconds, of which 1 is the least; up to 1 minute. Default:
    /// 2 ms.
    pub network: Duration,
    /// Independent clients, each with a stack of its own; 1 to 10,000. Default: 10.
    pub clients: u32,
    /// Who asks when. Default: Poisson, 600/s in all.
    pub load: Load,
    /// The services that are called, 1 to 1,000. Default: five of the default.
    pub backends: Vec<Backend>,
    /// The kinds of requests, each with its share; at least one. Default: one.
    pub classes: Vec<Class>,
}

/// A service with workers and a queue. A call that has been accepted is worked on whether or not somebody still waits
/// for it, and at what it costs when it is accepted.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Backend {
    /// Calls worked on at once, 1 to 10,000. Default: 4.
    pub workers: u32,
    /// Calls that wait for a worker, first come first served; more are refused. Up to 1,000,000. Default: 500.
    pub queue: u32,
    /// How long a worker takes. Default: lognormal, mean 20 ms, σ 0.5.
    pub service: ServiceTime,
    /// Refuses work until it is promoted. Default: no.
    pub standby: bool,
}

/// How long a worker takes for a call. Whole milliseconds, rounded without bias.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ServiceTime {
    /// Always so long.
    Fixed(Duration),
    /// Exponential.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// Lognormal.
    LogNormal {
        /// The mean.
        mean: Duration,
        /// The deviation of the logarithm, 0 to 3.
        sigma: f64,
    },
    /// As it was recorded: each time with how often it was seen.
    Recorded(Vec<(Duration, u64)>),
}

/// Who asks when.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Load {
    /// Independent of each other and of the answers: so many a second, in all.
    Poisson {
        /// Calls a second; over 0, up to 1,000,000.
        rate: f64,
    },
    /// At these times since the beginning, in order.
    Trace(Vec<Duration>),
    /// Users who ask, wait for the answer, think (exponential), and ask again. What comes depends on what is answered, so
    /// stacks cannot be compared by their goodput.
    Closed {
        /// How many; 1 to 100,000.
        users: u32,
        /// The mean time between an answer and the next question.
        think: Duration,
    },
}

/// A kind of request.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Class {
    /// What it is called.
    pub name: String,
    /// Its part of all requests, in proportion to the parts of the others; over 0. Default: 1.
    pub share: f64,
    /// The higher, the less it may be shed. Default: 0. Layers see it as a [`Priority`](crate::Priority): where classes
    /// differ, the lowest is `Sheddable`, the highest `Critical`; all else is `Normal`.
    pub priority: u8,
    /// Its deadline, if it has one of its own.
    pub deadline: Option<Duration>,
    /// How much work it is, compared with others; over 0, up to 1,000. Default: 1.
    pub work: f64,
    /// Whether it may be sent twice. Default: yes.
    pub idempotent: bool,
}

impl Default for World {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(1),
            network: Duration::from_millis(2),
            clients: 10,
            load: Load::Poisson { rate: 600.0 },
            backends: vec![Backend::default(); 5],
            classes: vec![Class::default()],
        }
    }
}

impl Default for Backend {
    fn default() -> Self {
        let service = ServiceTime::LogNormal { mean: Duration::from_millis(20), sigma: 0.5 };
        Self { workers: 4, queue: 500, service, standby: false }
    }
}

impl Default for Class {
    fn default() -> Self {
        Self { name: "request".into(), share: 1.0, priority: 0, deadline: None, work: 1.0, idempotent: true }
    }
}

impl World {
    /// What the backends can do, in calls a second.
    pub fn capacity(&self) -> f64 {
        let serving = self.backends.iter().filter(|backend| !backend.standby);
        serving.map(Backend::capacity).sum::<f64>() / self.mean_work()
    }

    fn mean_work(&self) -> f64 {
        let all: f64 = self.classes.iter().map(|class| class.share).sum();
        self.classes.iter().map(|class| class.share * class.work).sum::<f64>() / all
    }
}

impl Backend {
    /// Calls a second of the usual work.
    pub(super) fn capacity(&self) -> f64 {
        f64::from(self.workers) / self.service.mean().as_secs_f64().max(1e-6)
    }
}

impl ServiceTime {
    /// The mean.
    pub fn mean(&self) -> Duration {
        match self {
            Self::Fixed(time) => *time,
            Self::Exponential { mean } | Self::LogNormal { mean, .. } => *mean,
            Self::Recorded(times) => {
                let calls: u64 = times.iter().map(|(_, calls)| calls).sum();
                let all: f64 = times.iter().map(|(time, calls)| time.as_secs_f64() * *calls as f64).sum();
                Duration::from_secs_f64(all / calls.max(1) as f64)
            }
        }
    }

    /// In milliseconds.
    pub(super) fn draw(&self, draws: &Draws, request: u64, attempt: u64) -> f64 {
        let millis = |time: &Duration| time.as_secs_f64() * 1000.0;
        match self {
            Self::Fixed(time) => millis(time),
            Self::Exponential { mean } => millis(mean) * draws.exponential(About::Service, request, attempt),
            Self::LogNormal { mean, sigma } => {
                millis(mean) * (sigma * draws.normal(request, attempt) - sigma * sigma / 2.0).exp()
            }
            Self::Recorded(times) => {
                let calls: u64 = times.iter().map(|(_, calls)| calls).sum();
                let mut at = (draws.unit(About::Service, request, attempt) * calls as f64) as u64;
                for (time, calls) in times {
                    if at < *calls {
                        return millis(time);
                    }
                    at -= calls;
                }
                times.last().map_or(0.0, |(time, _)| millis(time))
            }
        }
    }
}
