//! Storms in users' tests.

use std::{
    fmt,
    future::{Future, IntoFuture},
    panic,
    pin::Pin,
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{Candidate, Report, Scenario, StormError};

/// Puts a stack through a scenario, and asks that it does as well as is said. Await it: in any test, on any runtime, as the
/// run has a thread and a clock of its own. (A paused clock of the test's goes on meanwhile: no `timeout` around it there.)
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use steadfast::{Error, retry::{Budget, Retry}, storm::{self, Scenario, Stack, StormClassify}, timeout::Timeout};
/// use tower::ServiceBuilder;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stack = Stack::new("mine", |upstream: storm::Upstream| {
///     ServiceBuilder::new()
///         .layer(Timeout::builder(upstream.deadline()).build().unwrap())
///         .layer(Retry::builder().classify(StormClassify).budget(Arc::new(Budget::refund())).build().unwrap())
///         .map_err(Error::Inner)
///         .service(upstream)
/// });
/// let brownout = Scenario::named("brownout").expect("it is listed");
/// let reports = storm::check(stack, brownout).goodput(99.0).attempts(1.3).recovery(Duration::ZERO).await?;
/// assert_eq!(reports.len(), 3); // one for each seed
/// # Ok(())
/// # }
/// ```
pub fn check<C: Candidate + 'static>(stack: C, scenario: Scenario) -> Check<C> {
    Check { stack, scenario, seeds: 3, least: Bounds::default() }
}

/// A stack, a scenario, and how well it must do; see [`check`]. Await it for the reports, one for each seed.
///
/// # Errors
/// A [`Shortfall`]: the scenario or what is asked for cannot be, a mean over the seeds is not what was asked for, or a call
/// of the stack panicked.
#[derive(Clone, Debug)]
#[must_use = "nothing is run until it is awaited"]
pub struct Check<C> {
    stack: C,
    scenario: Scenario,
    seeds: u32,
    least: Bounds,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    goodput: Option<f64>,
    attempts: Option<f64>,
    recovery: Option<Duration>,
    p99: Option<Duration>,
    false_rejects: Option<f64>,
}

impl<C> Check<C> {
    /// At least so many percent of the oracle's goodput: 1 to 100.
    pub fn goodput(mut self, percent: f64) -> Self {
        self.least.goodput = Some(percent);
        self
    }

    /// At most so many attempts for each request.
    pub fn attempts(mut self, attempts: f64) -> Self {
        self.least.attempts = Some(attempts);
        self
    }

    /// As good as the oracle (95 %) again so long after the faults at the latest, in each run.
    pub fn recovery(mut self, within: Duration) -> Self {
        self.least.recovery = Some(within);
        self
    }

    /// 99 % of the answers in time take at most so long, in each run.
    pub fn p99(mut self, at_most: Duration) -> Self {
        self.least.p99 = Some(at_most);
        self
    }

    /// At most this share of requests, from 0 to under 1, is refused without having been sent, while all could be served.
    pub fn false_rejects(mut self, share: f64) -> Self {
        self.least.false_rejects = Some(share);
        self
    }

    /// Over so many seeds, from 0; at least 1. Default: 3.
    pub fn seeds(mut self, seeds: u32) -> Self {
        self.seeds = seeds.max(1);
        self
    }
}

impl Bounds {
    /// What cannot be asked for.
    fn nonsense(&self, scenario: &Scenario) -> Option<String> {
        let goodput = self.goodput.filter(|percent| !(1.0..=100.0).contains(percent));
        let attempts = self.attempts.filter(|attempts| !(0.0..=1e9).contains(attempts));
        let rejects = self.false_rejects.filter(|share| !(0.0..1.0).contains(share));
        let last = scenario.window.end.saturating_sub(Duration::from_secs(3));
        let over = scenario.over();
        match (goodput, attempts, rejects) {
            (Some(percent), ..) => Some(format!("a goodput of {percent:?} is asked for; allowed: 1 to 100 percent")),
            (_, Some(attempts), _) => Some(format!("{attempts:?} attempts are asked for; allowed: 0 or more")),
            (.., Some(share)) => Some(format!("false rejects of {share:?} are asked for; allowed: 0 to under 1")),
            _ if self.recovery.is_some() && over.is_none_or(|over| over > last) => Some(format!(
                "a recovery is asked for; the faults of `{}` are not over 3 s before its end at {:?}",
                scenario.name, scenario.window.end
            )),
            _ => None,
        }
    }

    /// What is missed, each in a line.
    fn missed(&self, reports: &[Report]) -> Vec<String> {
        let mean = |of: fn(&Report) -> f64| reports.iter().map(of).sum::<f64>() / reports.len().max(1) as f64;
        let mut missed = Vec::new();
        let panics: u64 = reports.iter().map(|report| report.panics).sum();
        if panics > 0 {
            missed.push(format!("calls that panicked: {panics}; their messages are on standard error"));
        }
        let goodput = mean(|report| report.goodput);
        if let Some(least) = self.goodput.filter(|least| goodput < *least) {
            missed.push(format!("goodput is {goodput:.2} % of the oracle's, {:.2} under {least}", least - goodput));
        }
        let attempts = mean(|report| report.attempts);
        if let Some(most) = self.attempts.filter(|most| attempts > *most) {
            missed.push(format!("{attempts:.3} attempts for each request, {:.3} over {most}", attempts - most));
        }
        let rejects = mean(|report| report.false_rejects);
        if let Some(most) = self.false_rejects.filter(|most| rejects > *most) {
            missed.push(format!("{rejects:.4} of the requests refused for nothing, {:.4} over {most}", rejects - most));
        }
        for report in reports {
            let seed = report.seed;
            match (self.recovery, report.recovery) {
                (Some(within), None) => {
                    missed.push(format!("seed {seed}: it does not recover; {within:?} was asked for"));
                }
                (Some(within), Some(took)) if took > within => {
                    missed.push(format!("seed {seed}: recovers after {took:?}, {:?} over {within:?}", took - within));
                }
                _ => {}
            }
            match (self.p99, report.p99) {
                (Some(most), None) => missed.push(format!("seed {seed}: no answers; a p99 of {most:?} was asked for")),
                (Some(most), Some(p99)) if p99 > most => {
                    missed.push(format!("seed {seed}: p99 is {p99:?}, {:?} over {most:?}", p99 - most));
                }
                _ => {}
            }
        }
        missed
    }
}

/// A stack that did not do as well as was asked: by how much, and the timeline of the worst run. Shown in full by
/// `unwrap` too.
#[derive(Clone, PartialEq)]
pub struct Shortfall {
    message: String,
    reports: Vec<Report>,
}

impl Shortfall {
    /// The runs.
    pub fn reports(&self) -> &[Report] {
        &self.reports
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for Shortfall {}

impl From<StormError> for Shortfall {
    fn from(error: StormError) -> Self {
        Self { message: error.to_string(), reports: Vec::new() }
    }
}

impl<C: Candidate> Check<C> {
    fn run(&self) -> Result<Vec<Report>, Shortfall> {
        self.scenario.check()?;
        if let Some(message) = self.least.nonsense(&self.scenario) {
            return Err(Shortfall { message, reports: Vec::new() });
        }
        let runs = (0..u64::from(self.seeds)).map(|seed| self.stack.run(&self.scenario, seed));
        let reports = runs.collect::<Result<Vec<_>, _>>()?;
        let missed = self.least.missed(&reports);
        if missed.is_empty() {
            return Ok(reports);
        }
        let mut message = format!("`{}` in `{}`:\n", self.stack.name(), self.scenario.name);
        missed.iter().for_each(|line| message += &format!("  {line}\n"));
        let worst = reports.iter().min_by(|one, other| one.goodput.total_cmp(&other.goodput));
        if let Some(worst) = worst {
            message += &format!("the worst run:\n{worst}");
        }
        Err(Shortfall { message, reports })
    }
}

impl<C: Candidate + 'static> IntoFuture for Check<C> {
    type Output = Result<Vec<Report>, Shortfall>;
    type IntoFuture = Checking;

    fn into_future(self) -> Checking {
        let (done, outcome) = oneshot::channel();
        let thread = thread::spawn(move || {
            // Who asked may have gone.
            let _ = done.send(self.run());
        });
        Checking { outcome, thread: Some(thread) }
    }
}

/// Waits for the runs of a [`Check`], which have begun. Dropping it lets them go on to their end.
#[derive(Debug)]
#[must_use = "what it finds is lost unless it is awaited"]
pub struct Checking {
    outcome: oneshot::Receiver<Result<Vec<Report>, Shortfall>>,
    thread: Option<JoinHandle<()>>,
}

impl Future for Checking {
    type Output = Result<Vec<Report>, Shortfall>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(cx).map(|outcome| {
            outcome.unwrap_or_else(|_| {
                // What makes the stack has panicked: so does who asked.
                let ended = self.thread.take().map(JoinHandle::join);
                match ended {
                    Some(Err(panic)) => panic::resume_unwind(panic),
                    _ => Err(Shortfall { message: "the runs have ended without a report".into(), reports: Vec::new() }),
                }
            })
        })
    }
}
