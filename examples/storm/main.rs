//! Puts stacks of layers through storms: `cargo run --release --features storm --example storm -- --help`.
//!
//! A stack is a TOML text ([`stack`]), a scenario one of the simulator's. All runs are on a paused clock, so a minute takes
//! a fraction of a second, and the same seeds give the same figures.
// Reads the clock itself, to say how long it took.
#![allow(clippy::disallowed_methods)]

mod args;
mod chart;
mod command;
mod figures;
mod input;
mod jobs;
mod knob;
mod output;
mod place;
mod problem;
mod require;
mod search;
mod span;
mod stack;
mod worlds;

use std::{process::ExitCode, time::Instant};

use clap::Parser as _;

use args::{Arguments, Command};
use output::Output;
use problem::Problem;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let began = Instant::now();
    let mut output = Output::new(arguments.out, jobs::threads(arguments.threads));
    match obey(&arguments.command, &mut output) {
        Ok(missed) => {
            output.close(began.elapsed());
            for missed in &missed {
                eprintln!("storm: missed: {missed}");
            }
            if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(problem) => {
            eprintln!("storm: {problem}");
            ExitCode::from(2)
        }
    }
}

/// What was missed, if anything was.
fn obey(command: &Command, output: &mut Output) -> Result<Vec<String>, Problem> {
    output.prepare()?;
    match command {
        Command::Suite(args) => command::suite(args, output),
        Command::Run(args) => command::run(args, output),
        Command::Sweep(args) => command::sweep(args, output),
        Command::Boundary(args) => command::boundary(args, output),
        Command::Compare(args) => command::compare(args, output),
        Command::Tune(args) => command::tune(args, output),
    }
}

#[cfg(test)]
mod tests;
