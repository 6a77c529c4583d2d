//! What a run came to, next to the oracle.

use std::time::Duration;

use super::{
    conditions::{Conditions, Millis, millis},
    run::{End, Ran},
};

/// What a run came to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Of which stack.
    pub stack: String,
    /// In which scenario.
    pub scenario: String,
    /// With which seed.
    pub seed: u64,
    /// Requests answered in time, in percent of those that the oracle answers; 100 where it answers none. Over 100 where a
    /// stack does what the oracle does not: it sends nothing twice at once. With [`Load::Closed`](super::Load::Closed) what
    /// comes depends on what was answered, so figures of different stacks are not comparable.
    pub goodput: f64,
    /// Requests that came in the time that is judged.
    pub requests: u64,
    /// The share of them that was answered in time.
    pub answered: f64,
    /// The share that the oracle answers.
    pub oracle: f64,
    /// The share that got an answer in time that the stack had made up.
    pub degraded: f64,
    /// The share that failed without having been sent, in seconds in which the oracle answers all.
    pub false_rejects: f64,
    /// Attempts for each request.
    pub attempts: f64,
    /// How long answers in time took: half of them, 99 and 99.9 % at most so long. `None` without any.
    pub p50: Option<Duration>,
    /// See `p50`.
    pub p99: Option<Duration>,
    /// See `p50`.
    pub p999: Option<Duration>,
    /// From the end of the faults to the first of three whole seconds in a row with 95 % of the oracle's. `None`: never, or
    /// there were no faults.
    pub recovery: Option<Duration>,
    /// The share of the servers' time, over the whole run, that went into answers nobody used.
    pub wasted: f64,
    /// Calls of the stack that panicked, over the whole run. Each counts as failed.
    pub panics: u64,
    /// Second by second, from the beginning of the run.
    pub timeline: Vec<Second>,
    /// The figures that the stack showed, by name: their means over all clients, second by second.
    pub gauges: Vec<(String, Vec<f64>)>,
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Second {
    /// Requests that came.
    pub offered: u64,
    /// Those of them that were answered in time.
    pub answered: u64,
    /// Those of them that the oracle answers.
    pub oracle: u64,
    /// Attempts that were sent.
    pub attempts: u64,
}

impl Report {
    pub(super) fn new(stack: &str, seed: u64, conditions: &Conditions, ran: &Ran, oracle: &[bool]) -> Self {
        let window = conditions.window();
        let mut timeline = vec![Second::default(); window.end.div_ceil(1000) as usize];
        for (second, attempts) in timeline.iter_mut().zip(&ran.attempts_in) {
            second.attempts = *attempts;
        }
        for ((at, request), (end, oracle)) in ran.arrivals.iter().zip(ran.ends.iter().zip(oracle)) {
            debug_assert_eq!(ran.arrivals[request.id as usize].0, *at);
            let second = &mut timeline[(*at / 1000) as usize];
            second.offered += 1;
            second.answered += u64::from(matches!(end, End::Answered(_)));
            second.oracle += u64::from(*oracle);
        }
        let mut judged = Judged::default();
        for (at, request) in ran.arrivals.iter().filter(|(at, _)| window.contains(at)) {
            let id = request.id as usize;
            let attempts = ran.attempts.get(id).copied().unwrap_or_default();
            let second = &timeline[(*at / 1000) as usize];
            judged.add(ran.ends[id], oracle[id], attempts, second.oracle == second.offered);
        }
        judged.took.sort_unstable();
        let share = |number: u64| number as f64 / judged.requests.max(1) as f64;
        Self {
            stack: stack.to_owned(),
            scenario: conditions.scenario.name.clone(),
            seed,
            goodput: match judged.oracle {
                0 => 100.0,
                oracle => 100.0 * judged.took.len() as f64 / oracle as f64,
            },
            requests: judged.requests,
            answered: share(judged.took.len() as u64),
            oracle: share(judged.oracle),
            degraded: share(judged.degraded),
            false_rejects: share(judged.false_rejects),
            attempts: share(judged.attempts),
            p50: judged.quantile(0.5),
            p99: judged.quantile(0.99),
            p999: judged.quantile(0.999),
            recovery: conditions.scenario.over().and_then(|over| recovery(millis(over), &timeline)),
            wasted: if ran.worked.is_zero() { 0.0 } else { (1.0 - ran.used.div_duration_f64(ran.worked)).max(0.0) },
            panics: ran.panics,
            timeline,
            gauges: ran.gauges.clone(),
        }
    }
}

#[derive(Default)]
struct Judged {
    requests: u64,
    oracle: u64,
    attempts: u64,
    degraded: u64,
    false_rejects: u64,
    took: Vec<Millis>,
}

impl Judged {
    fn add(&mut self, end: End, oracle: bool, attempts: u32, all_can_be_served: bool) {
        self.requests += 1;
        self.oracle += u64::from(oracle);
        self.attempts += u64::from(attempts);
        match end {
            End::Answered(took) => self.took.push(took),
            End::Degraded => self.degraded += 1,
            End::Failed => self.false_rejects += u64::from(attempts == 0 && all_can_be_served),
        }
    }

    /// The nearest rank, of those sorted.
    fn quantile(&self, quantile: f64) -> Option<Duration> {
        let rank = (quantile * self.took.len() as f64).ceil() as usize;
        self.took.get(rank.max(1) - 1).map(|took| Duration::from_millis(*took))
    }
}

/// From `over` to the first of three seconds in a row that are as good as the oracle's, almost.
fn recovery(over: Millis, timeline: &[Second]) -> Option<Duration> {
    let good = |second: &Second| second.answered as f64 >= 0.95 * second.oracle as f64;
    let from = over.div_ceil(1000) as usize;
    let after = timeline.get(from..)?;
    let some = |three: &[Second]| three.iter().any(|second| second.oracle > 0);
    let first = after.windows(3).position(|three| some(three) && three.iter().all(good))?;
    Some(Duration::from_millis((from + first) as u64 * 1000 - over))
}
