//! Replays one circuit breaker scenario: recording, model and machine side by side.

use std::{collections::BTreeMap, time::Duration};

use super::{
    model::{Model, Rules},
    report::{Mismatch, Report},
    rules::Rule,
    scenario::{Config, Row, Scenario, Step},
    subject::Subject,
};

/// From so many changes of state in one step on, ours may skip whole rounds of its timers, and does not list those.
const ROUNDS_SKIPPED: usize = 32;

/// Replays `scenario` on the machine that `make` makes, and adds what was found to `report`.
pub(crate) fn replay<S: Subject>(scenario: &Scenario, make: impl Fn(&Config, Duration) -> S, report: &mut Report) {
    let mut replay = Replay::new(scenario, make(&scenario.config, Duration::from_millis(scenario.start_time_ms)));
    replay.begin(report);
    for (at, step) in scenario.steps.iter().enumerate() {
        replay.step(at, step, report);
    }
    report.scenarios += 1;
    report.steps += scenario.steps.len();
    for (rule, times) in replay.used {
        let accepted = report.accepted(rule);
        accepted.scenarios += 1;
        accepted.times += times;
    }
}

struct Replay<'a, S> {
    scenario: &'a Scenario,
    clock: u64,
    /// Resilience4j: has to be what was recorded.
    upstream: Model,
    /// What ours has to be.
    ruled: Model,
    machine: S,
    /// Rules that changed something so far, and the last of them.
    used: BTreeMap<Rule, usize>,
    last: Option<Rule>,
}

impl<'a, S: Subject> Replay<'a, S> {
    fn new(scenario: &'a Scenario, machine: S) -> Self {
        let model = |rules| Model::new(&scenario.config, scenario.start_time_ms, rules);
        Self {
            scenario,
            clock: scenario.start_time_ms,
            upstream: model(Rules::Off),
            ruled: model(Rules::On),
            machine,
            used: BTreeMap::new(),
            last: None,
        }
    }

    fn begin(&mut self, report: &mut Report) {
        let recorded = Answer::plain(self.scenario.initial);
        let model = Answer::plain(self.upstream.row(None));
        let ours = Answer::plain(self.machine.row(Duration::from_millis(self.clock), None));
        self.compare("at first", Mismatch::Model, &recorded, &model, report);
        self.compare("at first", Mismatch::Machine, &recorded, &ours, report);
    }

    fn step(&mut self, at: usize, step: &Step, report: &mut Report) {
        let place = format!("step {at} {step:?}");
        if let Step::Advance { ms } = step {
            self.clock += ms;
        }
        let upstream = self.upstream.step(step, None);
        let ruled = self.ruled.step(step, Some(&upstream));

        // ## The recording and the model without rules
        let model = Answer {
            row: self.upstream.row(upstream.permitted),
            exception: upstream.exception.map(str::to_owned),
            changes: Some(upstream.changes),
        };
        let recorded = Answer {
            row: self.scenario.expected[at],
            exception: self.scenario.exception(at).map(str::to_owned),
            changes: self.scenario.changes(at),
        };
        self.compare(&place, Mismatch::Model, &recorded, &model, report);

        // ## The rules
        for rule in ruled.rules {
            if !rule.applies(self.scenario, step) {
                report.mismatch(Mismatch::Rule, || {
                    format!("{}, {place}: `{}` changes the answer where it may not", self.scenario.name, rule.name())
                });
            }
            *self.used.entry(rule).or_default() += 1;
            self.last = Some(rule);
        }
        let demanded = Answer {
            row: self.ruled.row(ruled.permitted),
            exception: ruled.exception.map(str::to_owned),
            changes: Some(ruled.changes),
        };
        let due = match self.last {
            None => &recorded,
            Some(rule) => {
                if demanded != recorded {
                    report.accepted(rule).steps += 1;
                }
                &demanded
            }
        };

        // ## Ours
        let ours = ask(&mut self.machine, Duration::from_millis(self.clock), step);
        self.compare(&place, Mismatch::Machine, due, &ours, report);
    }

    fn compare(&self, place: &str, kind: Mismatch, due: &Answer, answered: &Answer, report: &mut Report) {
        if due != answered {
            report.mismatch(kind, || {
                let name = &self.scenario.name;
                let after = self.last.map_or(String::new(), |rule| format!(" (after `{}`)", rule.name()));
                format!("{name}, {place}{after}:\n      due      {due:?}\n      answered {answered:?}")
            });
        }
    }
}

/// All that is compared after a step.
#[derive(Debug)]
struct Answer {
    row: Row,
    exception: Option<String>,
    /// `None` if they are not known.
    changes: Option<Vec<String>>,
}

impl Answer {
    const fn plain(row: Row) -> Self {
        Self { row, exception: None, changes: None }
    }
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        let changes = match (&self.changes, &other.changes) {
            (Some(one), Some(two)) => one == two,
            _ => true,
        };
        self.row == other.row && self.exception == other.exception && changes
    }
}

fn ask(machine: &mut impl Subject, now: Duration, step: &Step) -> Answer {
    let (permitted, exception) = machine.step(now, step);
    let row = machine.row(now, permitted);
    let changes = Some(machine.changes()).filter(|changes| changes.len() < ROUNDS_SKIPPED);
    Answer { row, exception: exception.map(str::to_owned), changes }
}

/// Does `steps` on a machine and on the model with its rules on.
///
/// # Errors
/// The first step at which they differ.
#[allow(dead_code, reason = "for generated steps: the tests use it, the command has recorded ones")]
pub(crate) fn agree(config: &Config, start_ms: u64, steps: &[Step], mut machine: impl Subject) -> Result<(), String> {
    let mut model = Model::new(config, start_ms, Rules::On);
    let mut clock = start_ms;
    for (at, step) in steps.iter().enumerate() {
        if let Step::Advance { ms } = step {
            clock += ms;
        }
        let answer = model.step(step, None);
        let exception = answer.exception.map(str::to_owned);
        let due = Answer { row: model.row(answer.permitted), exception, changes: Some(answer.changes) };
        let ours = ask(&mut machine, Duration::from_millis(clock), step);
        if due != ours {
            return Err(format!("step {at} {step:?}:\n  due      {due:?}\n  answered {ours:?}"));
        }
    }
    Ok(())
}
