//! Scenarios in worlds drawn at random: what a stack is worth where its settings do not fit so well.

use std::{ops::Range, sync::Arc};

use serde_json::{Value, json};
use steadfast::storm::{Candidate, Ranges, Scenario, World};

use crate::{
    figures::{Row, Summary},
    output::Output,
    problem::Problem,
};

/// One run in each world: with the seed that `run` takes if none is given, so that it shows the same.
const SEED: Range<u64> = 0..1;

/// One stack in one scenario: goodput over the worlds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) scenario: String,
    pub(crate) least: f64,
    pub(crate) tenth: f64,
    pub(crate) median: f64,
    /// The seed of the first world with the least.
    pub(crate) worst: u64,
}

/// One stack in all scenarios in all worlds.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    pub(crate) stack: String,
    pub(crate) spreads: Vec<Spread>,
    pub(crate) summary: Summary,
    /// Of each scenario and world, with the world's seed.
    pub(crate) rows: Vec<(u64, Row)>,
    number: usize,
}

/// This scenario in the world drawn with this seed.
pub(crate) fn place(scenario: &Scenario, seed: u64) -> Result<Scenario, Problem> {
    let world = World::drawn(&Ranges::default(), seed);
    Ok(scenario.in_world(world.map_err(|error| Problem::new("", error.to_string()).of(&format!("world {seed}")))?))
}

/// Runs each pair in the worlds of these seeds, of which there is at least one. The pairs of a stack, one for each of so many
/// scenarios, follow each other.
pub(crate) fn run(
    pairs: &[(Arc<dyn Candidate>, Arc<Scenario>)],
    scenarios: usize,
    worlds: Range<u64>,
    output: &mut Output,
) -> Result<Vec<Drawn>, Problem> {
    let mut placed = Vec::new();
    for (stack, scenario) in pairs {
        for seed in worlds.clone() {
            placed.push((Arc::clone(stack), Arc::new(place(scenario, seed)?)));
        }
    }
    let seeds = worlds.clone().cycle();
    let rows = output.runs(&placed, SEED)?.into_iter().map(|cell| cell.row);
    let rows: Vec<(u64, Row)> = seeds.zip(rows).collect();
    let number = worlds.count();
    Ok(rows.chunks(number * scenarios).map(|rows| Drawn::of(rows, number)).collect())
}

impl Spread {
    fn of(rows: &[(u64, Row)]) -> Self {
        let mut sorted: Vec<_> = rows.iter().map(|(seed, row)| (row.goodput, *seed)).collect();
        sorted.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        // The nearest rank.
        let quantile = |quantile: f64| sorted[((quantile * sorted.len() as f64).ceil() as usize).max(1) - 1].0;
        let (least, worst) = sorted[0];
        let scenario = rows[0].1.scenario.clone();
        Self { scenario, least, tenth: quantile(0.1), median: quantile(0.5), worst }
    }

    pub(crate) const COLUMNS: [&str; 5] = ["scenario", "least %", "10th percentile %", "median %", "worst world"];

    /// In the order of [`COLUMNS`](Self::COLUMNS), as text.
    pub(crate) fn cells(&self) -> [String; 5] {
        let percent = |figure: f64| format!("{figure:.1}");
        let [least, tenth, median] = [self.least, self.tenth, self.median].map(percent);
        [self.scenario.clone(), least, tenth, median, self.worst.to_string()]
    }

    fn json(&self) -> Value {
        json!({
            "scenario": self.scenario, "least": self.least, "p10": self.tenth, "median": self.median,
            "worst_world": self.worst,
        })
    }
}

impl Drawn {
    fn of(rows: &[(u64, Row)], number: usize) -> Self {
        Self {
            stack: rows[0].1.stack.clone(),
            spreads: rows.chunks(number).map(Spread::of).collect(),
            summary: Summary::of(rows.iter().map(|(_, row)| row)),
            rows: rows.to_vec(),
            number,
        }
    }

    /// The least and the geometric mean over all.
    pub(crate) fn line(&self) -> String {
        format!("worlds {}: {}", self.number, self.summary)
    }

    pub(crate) fn json(&self) -> Value {
        let spreads: Vec<_> = self.spreads.iter().map(Spread::json).collect();
        json!({
            "worlds": self.number, "min": self.summary.min, "geomean": self.summary.geomean, "scenarios": spreads,
        })
    }
}

/// The columns and rows of a CSV: each run, with the seed of its world.
pub(crate) fn every(drawn: &[Drawn]) -> (Vec<&'static str>, Vec<Vec<String>>) {
    let row = |(seed, row): &(u64, Row)| {
        let mut cells = row.cells().to_vec();
        cells.insert(1, seed.to_string());
        cells
    };
    let rows = drawn.iter().flat_map(|drawn| &drawn.rows).map(row).collect();
    let mut columns = Row::COLUMNS.to_vec();
    columns.insert(1, "world");
    (columns, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Recovery;

    fn row(goodput: f64) -> Row {
        let (stack, scenario) = ("a".to_owned(), "b".to_owned());
        let (oracle, attempts, wasted, false_rejects, degraded) = (100.0, 1.0, 0.0, 0.0, 0.0);
        let (p50, p99, p999, recovery) = (None, None, None, Recovery::NoFaults);
        Row { stack, scenario, goodput, oracle, attempts, p50, p99, p999, recovery, wasted, false_rejects, degraded }
    }

    #[test]
    fn the_spread_is_of_the_nearest_ranks_and_the_first_of_the_worst() {
        // 3 twice: in worlds 5 and 7.
        let goodputs = [20.0, 19.0, 18.0, 17.0, 16.0, 3.0, 15.0, 3.0, 14.0, 13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0];
        let mut rows: Vec<_> = (0_u64..).zip(goodputs.map(row)).collect();
        rows.extend([(16, row(6.0)), (17, row(5.0)), (18, row(4.0)), (19, row(99.0))]);
        let spread = Spread::of(&rows);
        assert_eq!(spread.cells(), ["b", "3.0", "3.0", "11.0", "5"]);
        rows[7].1.goodput = 3.5;
        assert_eq!(Spread::of(&rows).tenth, 3.5);
        assert_eq!(Spread::of(&rows[..1]).cells(), ["b", "20.0", "20.0", "20.0", "0"]);
        let drawn = Drawn::of(&[(0, row(40.0)), (1, row(90.0))], 2);
        assert_eq!(drawn.line(), "worlds 2: min 40.0 geomean 60.0");
    }
}
