//! Checks one recorded interval function: its waits, their bounds, single draws, and what it refuses.

use serde::Deserialize;
use steadfast::circuit_breaker::CircuitBreaker;

use super::{
    report::{Mismatch, Report},
    rules::Rule,
    waits::{ILLEGAL, Interval, Kind, LARGEST_DRAW},
};

/// An interval function and what Resilience4j answered for each attempt.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Scenario {
    name: String,
    function: Interval,
    attempts: Vec<i64>,
    expected_ms: Option<Vec<Recorded<i64>>>,
    expected_bounds_ms: Option<Vec<Recorded<(i64, i64)>>>,
    #[serde(default)]
    draws: Vec<(i64, f64, i64)>,
    creation_exception: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Recorded<T> {
    Value(T),
    Exception(String),
}

impl<T: Copy> Recorded<T> {
    fn result(&self) -> Result<T, &str> {
        match self {
            Self::Value(value) => Ok(*value),
            Self::Exception(class) => Err(class),
        }
    }
}

/// An implementation of interval functions: the wait in milliseconds of an attempt, for a draw.
pub(crate) type Waits<'a> = &'a dyn Fn(&Interval, i64, f64) -> Option<i64>;

/// Checks `waits`, and what our builders refuse, against one recorded function.
pub(crate) fn check(scenario: &Scenario, waits: Waits<'_>, report: &mut Report) {
    let mut check = Check { scenario, waits, used: Vec::new(), report };
    check.creation();
    if scenario.creation_exception.is_none() {
        check.waits();
    }
    let used = check.used;
    report.scenarios += 1;
    for rule in used {
        report.accepted(rule).scenarios += 1;
    }
}

struct Check<'a> {
    scenario: &'a Scenario,
    waits: Waits<'a>,
    used: Vec<Rule>,
    report: &'a mut Report,
}

impl<'a> Check<'a> {
    fn function(&self) -> &'a Interval {
        &self.scenario.function
    }

    /// What is refused when it is made.
    fn creation(&mut self) {
        self.report.steps += 1;
        let function = self.function();
        let recorded = self.scenario.creation_exception.as_deref();
        let model = function.refused_at_creation().then_some(ILLEGAL);
        if recorded != model {
            self.mismatch(Mismatch::Model, "creation", &recorded, &model);
        }

        let late = (function.refused_at_use(), Rule::CheckedWhenBuilt);
        let factor = (function.multiplier() <= 0.0, Rule::FactorOverZero);
        let shrinks = (function.multiplier() < 1.0, Rule::ShrinkingOpenWait);
        let max = (function.max().is_some_and(|max| max < function.first()), Rule::MaxUnderFirstWait);
        let rules: Vec<_> =
            [late, factor, shrinks, max].into_iter().filter(|(refused, _)| *refused).map(|(_, rule)| rule).collect();
        let due = recorded.is_some() || !rules.is_empty();
        let refused = CircuitBreaker::builder().wait_open(function.backoff()).build().is_err();
        if refused != due {
            self.mismatch(Mismatch::Machine, "refused when built", &due, &refused);
        }
        if let (None, Some(rule)) = (recorded, rules.first()) {
            self.accept(*rule);
        }
    }

    fn waits(&mut self) {
        let scenario = self.scenario;
        let random = matches!(scenario.function.kind, Kind::Randomized | Kind::ExponentialRandom);
        let values = scenario.expected_ms.as_deref().unwrap_or_default();
        let bounds = scenario.expected_bounds_ms.as_deref().unwrap_or_default();
        let answers = if random { bounds.len() } else { values.len() };
        if answers != scenario.attempts.len() {
            self.mismatch(Mismatch::Model, "number of answers", &scenario.attempts.len(), &answers);
        }
        for (attempt, value) in scenario.attempts.iter().zip(values) {
            self.wait(*attempt, 0.0, value.result());
        }
        for (attempt, bounds) in scenario.attempts.iter().zip(bounds) {
            self.wait(*attempt, 0.0, bounds.result().map(|(lowest, _)| lowest));
            self.wait(*attempt, LARGEST_DRAW, bounds.result().map(|(_, highest)| highest));
        }
        for (attempt, draw, ms) in &scenario.draws {
            self.wait(*attempt, *draw, Ok(*ms));
        }
    }

    /// One wait: recorded, as modelled, and ours.
    fn wait(&mut self, attempt: i64, draw: f64, recorded: Result<i64, &str>) {
        self.report.steps += 1;
        let function = self.function();
        let place = format!("attempt {attempt}, draw {draw}");
        let model = function.upstream(attempt, draw);
        if recorded != model {
            self.mismatch(Mismatch::Model, &place, &recorded, &model);
        }
        if attempt >= 1 && function.refused_at_use() {
            return; // ours is refused when it is built: there is nothing to use
        }
        let due = match recorded {
            Ok(_) => function.expected(attempt, draw),
            Err(_) => None,
        };
        let ours = (self.waits)(function, attempt, draw);
        if ours != due {
            self.mismatch(Mismatch::Machine, &place, &due, &ours);
        }
        if due != recorded.ok() {
            match function.rule(attempt) {
                Some(rule) => self.accept(rule),
                None => self.mismatch(Mismatch::Rule, &place, &recorded, &due),
            }
        }
    }

    fn accept(&mut self, rule: Rule) {
        let accepted = self.report.accepted(rule);
        accepted.steps += 1;
        accepted.times += 1;
        if !self.used.contains(&rule) {
            self.used.push(rule);
        }
    }

    fn mismatch(&mut self, kind: Mismatch, place: &str, due: &dyn std::fmt::Debug, answered: &dyn std::fmt::Debug) {
        let name = &self.scenario.name;
        self.report.mismatch(kind, || format!("{name}, {place}: due {due:?}, answered {answered:?}"));
    }
}

impl Interval {
    /// The rule by which our wait of this attempt may differ.
    fn rule(&self, attempt: i64) -> Option<Rule> {
        let base = self.base(attempt);
        if base < 0 {
            Some(Rule::NeverNegative)
        } else if self.headroom().is_some_and(|room| base > room) {
            Some(Rule::CapThenJitter)
        } else {
            None
        }
    }
}
