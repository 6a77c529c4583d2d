//! Replays recorded behaviour of Resilience4j against the pure machines of this crate.
//!
//! Three answers meet at every step: the *recorded* one; that of a plain [model] of Resilience4j, which with
//! all rules off must be the recorded one; and that of *our* machine, which must be the model's with the
//! [rules](rules::Rule) on. As long as no rule has changed anything, that is the recorded answer itself.

mod answer;
pub(crate) mod breaker;
pub(crate) mod broken;
pub(crate) mod broken_limits;
pub(crate) mod bulkhead;
mod bulkhead_model;
mod calls;
pub(crate) mod input;
pub(crate) mod intervals;
pub(crate) mod limiter;
mod limiter_model;
pub(crate) mod model;
pub(crate) mod recorded;
pub(crate) mod report;
pub(crate) mod rules;
pub(crate) mod scenario;
pub(crate) mod self_test;
pub(crate) mod subject;
pub(crate) mod waits;

use self::{input::File, report::Report, subject::Real, waits::ours};

/// Runs all scenarios of a file against the machines of this crate.
pub(crate) fn run(file: &File) -> Report {
    let mut report = Report::new(&file.name);
    for scenario in &file.breaker {
        breaker::replay(scenario, Real::new, &mut report);
    }
    for scenario in &file.intervals {
        intervals::check(scenario, &ours, &mut report);
    }
    for scenario in &file.limiter {
        recorded::replay(scenario, limiter::Real::new, &mut report);
    }
    for scenario in &file.bulkhead {
        recorded::replay(scenario, bulkhead::Real::new, &mut report);
    }
    report
}
