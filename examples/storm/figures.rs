//! What several seeds come to, as means; and the least and the geometric mean of several scenarios.

use std::time::Duration;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Value, json};
use steadfast::storm::{Report, Scenario};

/// One stack in one scenario: means over the seeds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) stack: String,
    pub(crate) scenario: String,
    /// In percent of the oracle.
    pub(crate) goodput: f64,
    /// In percent of what is offered, as all shares here.
    pub(crate) oracle: f64,
    pub(crate) attempts: f64,
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    pub(crate) p999: Option<f64>,
    pub(crate) recovery: Recovery,
    pub(crate) wasted: f64,
    pub(crate) false_rejects: f64,
    pub(crate) degraded: f64,
}

/// How soon a stack was well again after the faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Recovery {
    /// There was nothing to recover from.
    NoFaults,
    /// With some seed it did not, in the time that is looked at.
    Never,
    /// Seconds.
    After(f64),
}

/// The least and the geometric mean of the goodput.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) geomean: f64,
}

impl Row {
    /// The mean of the reports of one stack and scenario, of which there is at least one.
    pub(crate) fn of(reports: &[Report], scenario: &Scenario) -> Self {
        let mean = |figure: &dyn Fn(&Report) -> f64| reports.iter().map(figure).sum::<f64>() / reports.len() as f64;
        let millis = |figure: &dyn Fn(&Report) -> Option<Duration>| {
            let all: Vec<f64> = reports.iter().filter_map(|report| Some(figure(report)?.as_secs_f64() * 1e3)).collect();
            (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
        };
        let recovered: Option<Vec<f64>> =
            reports.iter().map(|report| report.recovery.map(|after| after.as_secs_f64())).collect();
        let recovery = match recovered {
            _ if scenario.faults.is_empty() => Recovery::NoFaults,
            None => Recovery::Never,
            Some(all) => Recovery::After(all.iter().sum::<f64>() / all.len() as f64),
        };
        Self {
            stack: reports[0].stack.clone(),
            scenario: scenario.name.clone(),
            goodput: mean(&|report| report.goodput),
            oracle: mean(&|report| report.oracle * 100.0),
            attempts: mean(&|report| report.attempts),
            p50: millis(&|report| report.p50),
            p99: millis(&|report| report.p99),
            p999: millis(&|report| report.p999),
            recovery,
            wasted: mean(&|report| report.wasted * 100.0),
            false_rejects: mean(&|report| report.false_rejects * 100.0),
            degraded: mean(&|report| report.degraded * 100.0),
        }
    }

    pub(crate) const COLUMNS: [&str; 12] = [
        "scenario",
        "goodput %",
        "oracle %",
        "attempts",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "recovery s",
        "wasted %",
        "false rejects %",
        "degraded %",
        "stack",
    ];

    /// In the order of [`COLUMNS`](Self::COLUMNS), as text.
    pub(crate) fn cells(&self) -> [String; 12] {
        let millis = |time: Option<f64>| time.map_or_else(|| "-".into(), |time| format!("{time:.0}"));
        [
            self.scenario.clone(),
            format!("{:.1}", self.goodput),
            format!("{:.1}", self.oracle),
            format!("{:.2}", self.attempts),
            millis(self.p50),
            millis(self.p99),
            millis(self.p999),
            self.recovery.to_string(),
            format!("{:.1}", self.wasted),
            format!("{:.2}", self.false_rejects),
            format!("{:.1}", self.degraded),
            self.stack.clone(),
        ]
    }

    pub(crate) fn json(&self) -> Value {
        let recovery = if let Recovery::After(seconds) = self.recovery { Some(seconds) } else { None };
        json!({
            "stack": self.stack, "scenario": self.scenario, "goodput": self.goodput, "oracle": self.oracle,
            "attempts": self.attempts, "p50_ms": self.p50, "p99_ms": self.p99, "p999_ms": self.p999,
            "recovery_s": recovery, "recovered": self.recovery != Recovery::Never, "wasted": self.wasted,
            "false_rejects": self.false_rejects, "degraded": self.degraded,
        })
    }
}

impl std::fmt::Display for Recovery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoFaults => f.write_str("-"),
            Self::Never => f.write_str("never"),
            Self::After(seconds) => write!(f, "{seconds:.1}"),
        }
    }
}

impl Summary {
    /// Of the rows of one stack. A scenario in which nothing was answered makes the geometric mean 0.
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Self {
        let (mut min, mut logs, mut number) = (f64::INFINITY, 0.0, 0.0);
        for row in rows {
            min = min.min(row.goodput);
            logs += row.goodput.ln();
            number += 1.0;
        }
        Self { min, geomean: f64::exp(logs / number) }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "min {:.1} geomean {:.1}", self.min, self.geomean)
    }
}

/// A table; all columns but those called so are numbers.
pub(crate) fn table<'a>(columns: &[&str], rows: impl IntoIterator<Item = &'a [String]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(columns);
    let left = |at: usize| ["scenario", "stack", "better", "value"].contains(&columns[at]);
    for row in rows {
        table.add_row(row.iter().enumerate().map(|(at, cell)| {
            Cell::new(cell).set_alignment(if left(at) { CellAlignment::Left } else { CellAlignment::Right })
        }));
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_the_least_and_the_geometric_mean() {
        let scenario = Scenario::new("a");
        let stack = crate::stack::Plan::parse("name = \"a\"", "a").unwrap().candidate().unwrap();
        let mut row = Row::of(&[stack.run(&scenario, 0).unwrap()], &scenario);
        assert_eq!((row.recovery, row.cells().len()), (Recovery::NoFaults, Row::COLUMNS.len()));
        row.goodput = 40.0;
        let other = Row { goodput: 90.0, ..row.clone() };
        let summary = Summary::of([&row, &other]);
        assert_eq!(summary.to_string(), "min 40.0 geomean 60.0");
        let nothing = Row { goodput: 0.0, ..row.clone() };
        assert_eq!(Summary::of([&row, &nothing]).to_string(), "min 0.0 geomean 0.0");
    }
}
