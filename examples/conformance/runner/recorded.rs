//! Replays recorded scenarios of one subject: recording, model and machine side by side.

use std::{collections::BTreeMap, fmt::Debug};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    model::Rules,
    report::{Mismatch, Report},
    rules::Rule,
};

/// What scenarios are about.
pub(crate) trait Subject: Sized {
    type Config: DeserializeOwned + Clone + Debug;
    type Step: DeserializeOwned + Clone + Debug;
    /// What can be seen after a step.
    type Row: DeserializeOwned + Clone + Debug + PartialEq;
    /// A plain model of Resilience4j's.
    type Model: Model<Self>;

    /// Whether the rule may change an answer of this scenario at this step, or before the first.
    fn applies(rule: Rule, scenario: &Scenario<Self>, step: Option<&Self::Step>) -> bool;
}

/// With its rules off it answers as Resilience4j does, defects included; with them on, as ours has to.
pub(crate) trait Model<S: Subject> {
    fn new(config: &S::Config, rules: Rules) -> Self;

    /// What there is to see before the first step.
    fn begin(&mut self) -> Answer<S>;

    /// Does one step. `upstream` is what the model with its rules off answered to it, if that is known.
    fn step(&mut self, step: &S::Step, upstream: Option<&Answer<S>>) -> Answer<S>;
}

/// What a model says of one step.
#[derive(Clone, Debug)]
pub(crate) struct Answer<S: Subject> {
    pub(crate) row: S::Row,
    /// The rules that changed this answer.
    pub(crate) rules: Vec<Rule>,
    /// Resilience4j did something at this step that a rule is about.
    pub(crate) unlike_ours: bool,
}

/// What is put to the test: the machine of this crate, or a broken one.
pub(crate) trait Machine<S: Subject> {
    fn row(&mut self) -> S::Row;

    fn step(&mut self, step: &S::Step) -> S::Row;
}

/// A configuration, what was done, and what Resilience4j answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(bound(deserialize = ""))]
pub(crate) struct Scenario<S: Subject> {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    pub(crate) config: S::Config,
    pub(crate) steps: Vec<S::Step>,
    pub(crate) initial: S::Row,
    pub(crate) expected: Vec<S::Row>,
}

impl<S: Subject> Scenario<S> {
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.features.iter().any(|feature| feature == tag)
    }
}

/// Replays `scenario` on the machine that `make` makes, and adds what was found to `report`.
pub(crate) fn replay<S: Subject, M: Machine<S>>(
    scenario: &Scenario<S>,
    make: impl Fn(&S::Config) -> M,
    report: &mut Report,
) {
    let mut replay = Replay {
        scenario,
        upstream: S::Model::new(&scenario.config, Rules::Off),
        ruled: S::Model::new(&scenario.config, Rules::On),
        machine: make(&scenario.config),
        used: BTreeMap::new(),
        last: None,
        report,
    };
    replay.begin();
    for (at, (step, recorded)) in scenario.steps.iter().zip(&scenario.expected).enumerate() {
        replay.step(at, step, recorded);
    }
    let used = replay.used;
    report.scenarios += 1;
    report.steps += scenario.steps.len();
    for (rule, times) in used {
        let accepted = report.accepted(rule);
        accepted.scenarios += 1;
        accepted.times += times;
    }
}

struct Replay<'a, S: Subject, M> {
    scenario: &'a Scenario<S>,
    /// Resilience4j: has to be what was recorded.
    upstream: S::Model,
    /// What ours has to be.
    ruled: S::Model,
    machine: M,
    /// Rules that changed something so far, and the last of them.
    used: BTreeMap<Rule, usize>,
    last: Option<Rule>,
    report: &'a mut Report,
}

impl<S: Subject, M: Machine<S>> Replay<'_, S, M> {
    fn begin(&mut self) {
        let (upstream, ruled, ours) = (self.upstream.begin(), self.ruled.begin(), self.machine.row());
        self.judge("at first", None, &self.scenario.initial, &upstream.row, ruled, &ours);
    }

    fn step(&mut self, at: usize, step: &S::Step, recorded: &S::Row) {
        let upstream = self.upstream.step(step, None);
        let ruled = self.ruled.step(step, Some(&upstream));
        let ours = self.machine.step(step);
        self.judge(&format!("step {at} {step:?}"), Some(step), recorded, &upstream.row, ruled, &ours);
    }

    fn judge(
        &mut self,
        place: &str,
        step: Option<&S::Step>,
        recorded: &S::Row,
        upstream: &S::Row,
        ruled: Answer<S>,
        ours: &S::Row,
    ) {
        self.compare(place, Mismatch::Model, recorded, upstream);
        for rule in ruled.rules {
            if !S::applies(rule, self.scenario, step) {
                let name = &self.scenario.name;
                self.report.mismatch(Mismatch::Rule, || {
                    format!("{name}, {place}: `{}` changes the answer where it may not", rule.name())
                });
            }
            *self.used.entry(rule).or_default() += 1;
            self.last = Some(rule);
        }
        // As long as no rule has changed anything, ours has to be what was recorded.
        let due = match self.last {
            None => recorded,
            Some(rule) => {
                if ruled.row != *recorded {
                    self.report.accepted(rule).steps += 1;
                }
                &ruled.row
            }
        };
        self.compare(place, Mismatch::Machine, due, ours);
    }

    fn compare(&mut self, place: &str, kind: Mismatch, due: &S::Row, answered: &S::Row) {
        if due != answered {
            let after = self.last.map_or(String::new(), |rule| format!(" (after `{}`)", rule.name()));
            let name = &self.scenario.name;
            self.report.mismatch(kind, || {
                format!("{name}, {place}{after}:\n      due      {due:?}\n      answered {answered:?}")
            });
        }
    }
}

/// Does `steps` on a machine and on the model with its rules on.
///
/// # Errors
/// The first step at which they differ.
#[allow(dead_code, reason = "for generated steps: the tests use it, the command has recorded ones")]
pub(crate) fn agree<S: Subject>(
    config: &S::Config,
    steps: &[S::Step],
    mut machine: impl Machine<S>,
) -> Result<(), String> {
    let mut model = S::Model::new(config, Rules::On);
    if model.begin().row != machine.row() {
        return Err("they differ before the first step".to_owned());
    }
    for (at, step) in steps.iter().enumerate() {
        let (due, ours) = (model.step(step, None).row, machine.step(step));
        if due != ours {
            return Err(format!("step {at} {step:?}:\n  due      {due:?}\n  answered {ours:?}"));
        }
    }
    Ok(())
}
