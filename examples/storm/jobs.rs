//! Many runs on all cores. What comes out does not depend on how many there are.

use std::{
    io::IsTerminal,
    num::NonZero,
    panic::resume_unwind,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use steadfast::storm::{Candidate, Report, Scenario};

use crate::problem::Problem;

/// One run.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) stack: Arc<dyn Candidate>,
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) seed: u64,
}

/// How many runs at once: as many as there are cores, unless said otherwise.
pub(crate) fn threads(given: Option<NonZero<usize>>) -> usize {
    given.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get)
}

/// The reports, in the order of the jobs.
pub(crate) fn run(jobs: &[Job], threads: usize) -> Result<Vec<Report>, Problem> {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(jobs.len() as u64), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {eta} left  {msg}") {
        bar.set_style(style);
    }
    let reports: Vec<OnceLock<_>> = jobs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((job, report)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(at).zip(reports.get(at))
        } {
            bar.set_message(format!("{} {}", job.stack.name(), job.scenario.name));
            let _ = report.set(job.stack.run(&job.scenario, job.seed));
            bar.inc(1);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(jobs.len())).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    bar.finish_and_clear();
    let wrong = |job: &Job, error| Problem::new("", format!("{error}")).of(&job.scenario.name);
    let reports = reports
        .into_iter()
        .zip(jobs)
        .map(|(report, job)| report.into_inner().expect("every job was taken").map_err(|error| wrong(job, error)));
    reports.collect()
}
