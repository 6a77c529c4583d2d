//! What a run found, and how it is told.

use std::{collections::BTreeMap, fmt};

use super::rules::Rule;

/// So many mismatches of a file are shown; all are counted.
const SHOWN: usize = 20;

/// What the run of one file found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) file: String,
    pub(crate) scenarios: usize,
    pub(crate) steps: usize,
    /// Steps where the model of Resilience4j is not what was recorded.
    pub(crate) model: usize,
    /// Steps where our machine is not what it has to be.
    pub(crate) machine: usize,
    /// Rules that changed an answer where they have no business.
    pub(crate) rule: usize,
    pub(crate) accepted: BTreeMap<Rule, Accepted>,
    pub(crate) shown: Vec<String>,
}

/// What was accepted under one rule.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Accepted {
    /// Scenarios in which it changed something.
    pub(crate) scenarios: usize,
    /// How often it changed an answer itself.
    pub(crate) times: usize,
    /// Steps that differ from the recorded ones since, up to the next rule: each is what the rules demand.
    pub(crate) steps: usize,
}

/// Whose answer is wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mismatch {
    Model,
    Machine,
    Rule,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    pub(crate) fn mismatches(&self) -> usize {
        self.model + self.machine + self.rule
    }

    pub(crate) fn mismatch(&mut self, kind: Mismatch, what: impl FnOnce() -> String) {
        let (count, kind) = match kind {
            Mismatch::Model => (&mut self.model, "model"),
            Mismatch::Machine => (&mut self.machine, "machine"),
            Mismatch::Rule => (&mut self.rule, "rule"),
        };
        *count += 1;
        if self.shown.len() < SHOWN {
            self.shown.push(format!("{kind}: {}", what()));
        }
    }

    pub(crate) fn accepted(&mut self, rule: Rule) -> &mut Accepted {
        self.accepted.entry(rule).or_default()
    }

    /// Adds another file's counts to this one's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.scenarios += other.scenarios;
        self.steps += other.steps;
        self.model += other.model;
        self.machine += other.machine;
        self.rule += other.rule;
        for (rule, more) in &other.accepted {
            let accepted = self.accepted(*rule);
            accepted.scenarios += more.scenarios;
            accepted.times += more.times;
            accepted.steps += more.steps;
        }
    }

    /// One line of counts.
    fn counts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted: usize = self.accepted.values().map(|accepted| accepted.steps).sum();
        let Self { file, scenarios, steps, .. } = self;
        let mismatches = self.mismatches();
        writeln!(
            f,
            "{file}: {scenarios} scenarios, {steps} steps, {mismatches} mismatches, {accepted} accepted differences"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts(f)?;
        for (rule, accepted) in &self.accepted {
            let Accepted { scenarios, times, steps } = accepted;
            writeln!(
                f,
                "  {}: {steps} steps differ (the rule was used {times} times in {scenarios} scenarios)",
                rule.name()
            )?;
            writeln!(f, "      {}", rule.sentence())?;
        }
        if self.mismatches() > 0 {
            writeln!(f, "  mismatches: {} model, {} machine, {} rule", self.model, self.machine, self.rule)?;
        }
        for mismatch in &self.shown {
            writeln!(f, "  {mismatch}")?;
        }
        if self.mismatches() > self.shown.len() && !self.shown.is_empty() {
            writeln!(f, "  ... and {} more", self.mismatches() - self.shown.len())?;
        }
        Ok(())
    }
}
