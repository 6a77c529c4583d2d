//! Recorded rate limiter scenarios, as `tests/data/resilience4j/FORMAT.md` describes them, and our machine for them.

use std::time::Duration;

use serde::Deserialize;
use steadfast::rate_limit::cycles::Cycles;

use super::{
    limiter_model::Model,
    recorded::{Machine, Scenario, Subject},
    rules::Rule,
};

/// The rate limiter.
#[derive(Clone, Debug)]
pub(crate) struct Limiter;

impl Subject for Limiter {
    type Config = Config;
    type Step = Step;
    type Row = Row;
    type Model = Model;

    fn applies(rule: Rule, scenario: &Scenario<Self>, step: Option<&Step>) -> bool {
        match rule {
            Rule::DrainTakesThePeriod => matches!(step, Some(Step::Drain)) && scenario.has("drain"),
            Rule::HopelessWaits => matches!(step, Some(Step::Acquire { .. })) && scenario.has("blocking_acquire"),
            _ => false,
        }
    }
}

/// The configuration of a Resilience4j rate limiter.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) limit_for_period: u32,
    pub(crate) limit_refresh_period_ns: u64,
    pub(crate) timeout_duration_ns: u64,
}

/// What is done at one step.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Step {
    Advance { ns: u64 },
    Reserve { permits: u32 },
    Acquire { permits: u32 },
    Drain,
    ChangeLimit { limit_for_period: u32 },
    ChangeTimeout { timeout_duration_ns: u64 },
}

/// What a limiter looks like after a step.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(from = "RawRow")]
pub(crate) struct Row {
    pub(crate) result: Option<Outcome>,
    pub(crate) available: i64,
    pub(crate) wait: i64,
    pub(crate) cycle: i64,
    pub(crate) elapsed: i64,
}

/// What a step answers, if it answers anything.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Outcome {
    Acquired(bool),
    /// Nanoseconds; -1 is a refusal.
    Wait(i64),
}

type RawRow = (Option<Outcome>, i64, i64, i64, i64);

impl From<RawRow> for Row {
    fn from((result, available, wait, cycle, elapsed): RawRow) -> Self {
        Self { result, available, wait, cycle, elapsed }
    }
}

/// The machine of this crate. Its time begins at its creation.
#[derive(Clone, Debug)]
pub(crate) struct Real {
    pub(super) cycles: Cycles,
    pub(super) max_wait: Duration,
    pub(super) now: Duration,
}

impl Real {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            cycles: Cycles::new(config.limit_for_period, Duration::from_nanos(config.limit_refresh_period_ns)),
            max_wait: Duration::from_nanos(config.timeout_duration_ns),
            now: Duration::ZERO,
        }
    }

    pub(super) fn row_with(&self, result: Option<Outcome>) -> Row {
        Row {
            result,
            available: self.cycles.available(self.now),
            wait: nanos(self.cycles.wait(self.now, 1)),
            cycle: self.cycles.cycle(self.now) as i64,
            elapsed: nanos(self.now),
        }
    }

    pub(super) fn reserve(&mut self, permits: u32) -> Option<Duration> {
        self.cycles.reserve(self.now, permits, self.max_wait)
    }

    pub(super) fn outcome(&mut self, step: &Step) -> Option<Outcome> {
        match *step {
            Step::Advance { ns } => self.now += Duration::from_nanos(ns),
            Step::Reserve { permits } => return Some(Outcome::Wait(self.reserve(permits).map_or(-1, nanos))),
            Step::Acquire { permits } => {
                // Who is let through waits for its time; who is refused is so at once.
                let wait = self.reserve(permits);
                self.now += wait.unwrap_or(Duration::ZERO);
                return Some(Outcome::Acquired(wait.is_some()));
            }
            Step::Drain => self.cycles.drain(self.now),
            Step::ChangeLimit { limit_for_period } => self.cycles.change_limit(self.now, limit_for_period),
            Step::ChangeTimeout { timeout_duration_ns } => self.max_wait = Duration::from_nanos(timeout_duration_ns),
        }
        None
    }
}

impl Machine<Limiter> for Real {
    fn row(&mut self) -> Row {
        self.row_with(None)
    }

    fn step(&mut self, step: &Step) -> Row {
        let outcome = self.outcome(step);
        self.row_with(outcome)
    }
}

pub(super) fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
