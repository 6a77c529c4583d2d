//! The command line.

use std::{num::NonZero, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::require::Requirement;

pub(crate) const EXAMPLES: &str = "\
Examples, after `cargo run --release --features storm --example storm --`:
  suite                                    the built-in stack `steadfast` in all listed scenarios
  suite --stack naive --stack mine.toml --require 'mine:min>=50'
  suite --stack server --worlds 20         and in 20 worlds drawn at random
  run gray --stack naive                   one run with its timeline, as text, CSV and SVG
  run gray --world 7                       the same in the eighth of the drawn worlds
  sweep world.load.rate=400..1600:7 --scenario steady --stack none --stack steadfast
  sweep retry.max_attempts=1..6            over the suite: min and geomean
  boundary --scenario brownout             the load at which goodput falls under 95 %
  compare naive steadfast                  both, scenario by scenario
  tune retry.max_attempts=1..6 circuit_breaker.failure_rate=0.1..0.9

A stack is `none`, `naive`, `steadfast`, `failover`, `server`, `shed`, or a TOML file: a name, `[[layers]]` of each client,
`[failover]` between them and the backends, and `[[server]]` layers of each backend (bulkhead, shed, timeout, rate_limit),
from outside in.
A scenario is one of `Scenario::listed`, or a TOML file.
A knob is a path into the scenario (world.load.rate, world.backends.*.workers, world.deadline, faults.0.factor, until)
or into the stack (retry.max_attempts, timeout.1.total, failover.penalty, server.bulkhead.max_waiting): by the kind or name of the layer.
KNOB=1..3 is of whole numbers, KNOB=1.0..3.0 is not, and KNOB=10ms..2s is of durations; `:7` is for seven steps, `:log` for
steps of equal factors.

Goodput is in percent of what an oracle answers, which may be less than what is offered.
Exit status: 1 if a requirement was missed, 2 if what was given makes no sense.";

/// Puts stacks of layers through storms, on a paused clock.
#[derive(Debug, Parser)]
#[command(name = "storm", after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Runs at once; what comes out is the same. Default: one for each core
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<NonZero<usize>>,
    /// Where files are written
    #[arg(long, global = true, value_name = "DIR", default_value = "target/storm")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Stacks in all scenarios: a table for each, and its least and geometric mean
    Suite(Suite),
    /// One run, with its timeline
    Run(Run),
    /// What comes out for the values of a knob
    Sweep(Sweep),
    /// The value of a knob at which goodput falls under a figure
    Boundary(Boundary),
    /// Two stacks, scenario by scenario
    Compare(Compare),
    /// Searches for the settings with the greatest geometric mean, then the greatest least
    Tune(Tune),
}

/// Which stacks.
#[derive(Debug, Args)]
pub(crate) struct Stacks {
    /// A built-in stack or a TOML file; may be repeated. Default: steadfast
    #[arg(long = "stack", value_name = "NAME|FILE")]
    pub(crate) stacks: Vec<String>,
}

/// Which scenarios, and how often.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// A listed scenario or a TOML file; may be repeated. Default: all that are listed
    #[arg(long = "scenario", value_name = "NAME|FILE")]
    pub(crate) scenarios: Vec<String>,
    /// Figures are means over so many seeds, from 0
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
}

/// Other worlds.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Worlds {
    /// Besides, each scenario in worlds drawn at random, with the seeds 0 to N-1; one run in each
    #[arg(long = "worlds", value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=1000))]
    pub(crate) number: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Suite {
    #[command(flatten)]
    pub(crate) stacks: Stacks,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) worlds: Worlds,
    /// What each stack must reach: min>=X, geomean>=X, SCENARIO>=X, or STACK:min>=X for one only; may be repeated
    #[arg(long, value_name = "REQUIREMENT")]
    pub(crate) require: Vec<Requirement>,
    /// JSON instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A listed scenario or a TOML file
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) stacks: Stacks,
    /// The seed of all chance
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// In the world drawn with this seed, as `--worlds` has them
    #[arg(long, value_name = "SEED")]
    pub(crate) world: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// KNOB=a..b[:steps][:log]
    #[arg(value_name = "KNOB=a..b")]
    pub(crate) knob: String,
    #[command(flatten)]
    pub(crate) stacks: Stacks,
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, Args)]
pub(crate) struct Boundary {
    /// The knob; KNOB=a..b looks between these only
    #[arg(default_value = "world.load.rate")]
    pub(crate) knob: String,
    /// The figure, in percent of the oracle
    #[arg(long, value_name = "PERCENT", default_value_t = 95.0, value_parser = percent)]
    pub(crate) goodput: f64,
    /// A listed scenario or a TOML file
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) scenario: String,
    #[command(flatten)]
    pub(crate) stacks: Stacks,
    /// Figures are means over so many seeds, from 0
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Compare {
    /// A built-in stack or a TOML file
    pub(crate) one: String,
    /// A built-in stack or a TOML file
    pub(crate) other: String,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) worlds: Worlds,
}

#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// KNOB=a..b, of settings of the stack
    #[arg(required = true, value_name = "KNOB=a..b")]
    pub(crate) knobs: Vec<String>,
    /// A built-in stack or a TOML file to begin with
    #[arg(long, value_name = "NAME|FILE", default_value = "steadfast")]
    pub(crate) stack: String,
    #[command(flatten)]
    pub(crate) which: Which,
    #[command(flatten)]
    pub(crate) worlds: Worlds,
    /// So many settings are tried, of which the first third by chance
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) rounds: u32,
}

fn percent(text: &str) -> Result<f64, &'static str> {
    let percent = text.parse().ok().filter(|percent| *percent > 0.0 && *percent <= 100.0);
    percent.ok_or("allowed: over 0, up to 100")
}
