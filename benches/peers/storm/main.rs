//! `storm`: steadfast and its peers in the listed scenarios of `steadfast::storm`.
//!
//! `cargo bench -p steadfast-bench --bench storm -- [--seeds N] [--only NAME] [--scenario NAME]` prints the tables and
//! writes `target/storm/peers.csv`. What was measured, and how: `benches/README.md`.
// Each peer has a clock of its own; which one is what `clock` is about.
#![allow(clippy::disallowed_methods)]

mod clock;
mod options;
mod peers;
mod table;

use std::{
    io::Write as _,
    num::NonZero,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use steadfast::storm::{Report, Scenario};

use crate::{options::Options, peers::Peer};

fn main() -> ExitCode {
    let options = match Options::from_arguments(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("storm: {problem}\nusage: storm [--seeds N] [--only NAME] [--scenario NAME]");
            return ExitCode::from(2);
        }
    };
    let mut peers = peers::all();
    peers.retain(|peer| options.only.as_ref().is_none_or(|only| peer.name().contains(only)));
    match clock::check() {
        Ok(()) => println!("virtual time: 10 s of tokio's paused clock are 10 s of std::time::Instant, +- 1 ms"),
        Err(problem) => {
            println!("no virtual time: {problem}");
            peers.retain(|peer| {
                if peer.reads_system_clock {
                    println!("{:<28} NOT RUN: it reads the system's clock", peer.name());
                }
                !peer.reads_system_clock
            });
        }
    }
    for peer in &peers {
        let clock = if peer.reads_system_clock { "virtual system clock" } else { "tokio's paused clock" };
        println!("{:<28} {clock}; {}", peer.name(), peer.configuration);
    }
    let mut scenarios = Scenario::listed();
    scenarios.retain(|scenario| options.scenario.as_ref().is_none_or(|name| scenario.name == *name));
    if peers.is_empty() || scenarios.is_empty() {
        eprintln!("storm: nothing of that name");
        return ExitCode::from(2);
    }
    let reports = run(&peers, &scenarios, options.seeds);
    for peer in &peers {
        let mut of_peer = reports.iter().filter(|report| report.stack == peer.name());
        if peer.reads_system_clock && !of_peer.all(clock::went_together) {
            eprintln!("storm: the clocks of `{}` went apart; its figures mean nothing", peer.name());
            return ExitCode::FAILURE;
        }
    }
    // Whoever reads it may have seen enough.
    let _ = std::io::stdout().write_all(table::text(&peers, &scenarios, &reports).as_bytes());
    match table::write(&reports) {
        Ok(path) => eprintln!("storm: {}", path.display()),
        Err(error) => {
            eprintln!("storm: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// All runs, as many at a time as there are processors.
fn run(peers: &[Peer], scenarios: &[Scenario], seeds: u64) -> Vec<Report> {
    let runs: Vec<_> = peers
        .iter()
        .flat_map(|peer| scenarios.iter().flat_map(move |scenario| (1..=seeds).map(move |seed| (peer, scenario, seed))))
        .collect();
    let (next, reports) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                while let Some((peer, scenario, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = peer.stack.run(scenario, *seed).expect("the listed scenarios can be");
                    reports.lock().unwrap_or_else(PoisonError::into_inner).push(report);
                }
            });
        }
    });
    reports.into_inner().unwrap_or_else(PoisonError::into_inner)
}
