//! Whether the runner finds what it is there to find: broken machines and waits, over the same files.

use std::fmt;

use super::{
    breaker,
    broken::{Broken, Fault, WAITS},
    broken_limits::{BrokenBulkhead, BrokenLimiter, BulkheadFault, LimiterFault},
    input::File,
    intervals, recorded,
    report::Report,
};

/// How many mismatches each broken machine made.
#[derive(Clone, Debug)]
pub(crate) struct SelfTest {
    /// The machines as they are; there must be none.
    pub(crate) unbroken: usize,
    /// What is broken, and the number of mismatches; there must be some.
    pub(crate) broken: Vec<(String, usize)>,
}

impl SelfTest {
    /// Runs all broken machines over all files.
    pub(crate) fn run(files: &[File]) -> Self {
        let mut broken = Vec::new();
        if files.iter().any(|file| !file.breaker.is_empty()) {
            broken.extend(
                Fault::ALL.map(|fault| (format!("breaker: {}", fault.sentence()), Self::breakers(files, fault))),
            );
        }
        if files.iter().any(|file| !file.intervals.is_empty()) {
            for (sentence, waits) in WAITS {
                let mut report = Report::default();
                let scenarios = files.iter().flat_map(|file| &file.intervals);
                scenarios.for_each(|scenario| intervals::check(scenario, &waits, &mut report));
                broken.push((format!("intervals: {sentence}"), report.machine));
            }
        }
        if files.iter().any(|file| !file.limiter.is_empty()) {
            for fault in LimiterFault::ALL {
                let mut report = Report::default();
                for scenario in files.iter().flat_map(|file| &file.limiter) {
                    recorded::replay(scenario, |config| BrokenLimiter::new(fault, config), &mut report);
                }
                broken.push((format!("limiter: {}", fault.sentence()), report.machine));
            }
        }
        if files.iter().any(|file| !file.bulkhead.is_empty()) {
            for fault in BulkheadFault::ALL {
                let mut report = Report::default();
                for scenario in files.iter().flat_map(|file| &file.bulkhead) {
                    recorded::replay(scenario, |config| BrokenBulkhead::new(fault, config), &mut report);
                }
                broken.push((format!("bulkhead: {}", fault.sentence()), report.machine));
            }
        }
        let unbroken = files.iter().map(|file| super::run(file).mismatches()).sum();
        Self { unbroken, broken }
    }

    fn breakers(files: &[File], fault: Fault) -> usize {
        let mut report = Report::default();
        for scenario in files.iter().flat_map(|file| &file.breaker) {
            breaker::replay(scenario, |config, now| Broken::new(fault, config, now), &mut report);
        }
        report.machine
    }

    /// Whether all broken ones were found, and only those.
    pub(crate) fn passed(&self) -> bool {
        self.unbroken == 0 && !self.broken.is_empty() && self.broken.iter().all(|(_, mismatches)| *mismatches > 0)
    }
}

impl fmt::Display for SelfTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { unbroken, broken } = self;
        writeln!(f, "{unbroken:>7} mismatches: nothing is broken{}", if *unbroken > 0 { "  <-- WRONG" } else { "" })?;
        for (what, mismatches) in broken {
            writeln!(
                f,
                "{mismatches:>7} mismatches: {what}{}",
                if *mismatches == 0 { "  <-- GETS THROUGH" } else { "" }
            )?;
        }
        let found = broken.iter().filter(|(_, mismatches)| *mismatches > 0).count();
        writeln!(f, "self-test: {found} of {} broken machines found", broken.len())
    }
}
