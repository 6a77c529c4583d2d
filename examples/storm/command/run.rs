//! One run, second by second.

use std::fmt::Write as _;

use steadfast::storm::{Report, Scenario, Second};

use super::{Done, pairs};
use crate::{
    args::Run,
    chart,
    figures::Row,
    input,
    output::{Output, csv},
    worlds,
};

pub(crate) fn run(args: &Run, output: &mut Output) -> Done {
    let stacks = input::stacks(&args.stacks.stacks, &["steadfast"])?;
    let mut scenario = input::scenario(&args.scenario)?;
    if let Some(seed) = args.world {
        scenario = worlds::place(&scenario, seed)?;
        // So that its files do not take the place of the others.
        scenario.name = format!("{}-world{seed}", scenario.name);
    }
    let scenario = std::sync::Arc::new(scenario);
    // Of the greatest seed there is no range up to the next.
    let end = args.seed.checked_add(1).ok_or_else(|| crate::problem::Problem::new("--seed", "is too large"))?;
    let pairs = pairs(&stacks, &[std::sync::Arc::clone(&scenario)])?;
    for cell in output.runs(&pairs, args.seed..end)? {
        let report = &cell.reports[0];
        output.say(&text(report, &scenario, &cell.row));
        let name = format!("{}-{}", report.scenario, report.stack);
        let csv = output.write(&format!("{name}.csv"), &seconds(report))?;
        let svg = output.draw(&format!("{name}.svg"), chart::of_one(report, &scenario))?;
        output.say(&format!("\n{csv}\n{svg}"));
    }
    Ok(Vec::new())
}

fn text(report: &Report, scenario: &Scenario, row: &Row) -> String {
    let mut text = format!("{} in {}, seed {}\n\n", report.stack, report.scenario, report.seed);
    let _ = writeln!(text, "{:<18}{}", "requests", report.requests);
    let cells = row.cells();
    for (name, cell) in Row::COLUMNS.iter().zip(&cells).filter(|(name, _)| !["scenario", "stack"].contains(name)) {
        let _ = writeln!(text, "{name:<18}{cell}");
    }
    for fault in &scenario.faults {
        let until = fault.at.saturating_add(fault.lasts).min(scenario.window.end);
        let name = chart::fault_name(&fault.kind);
        let _ = writeln!(text, "{:<18}{:?} to {until:?}: {name}", "fault", fault.at);
    }
    text.push('\n');
    timeline(&mut text, report, scenario);
    text.truncate(text.trim_end().len());
    text
}

/// A row for each figure, a character for each second.
fn timeline(text: &mut String, report: &Report, scenario: &Scenario) {
    let length = report.timeline.len();
    let wide = report.gauges.iter().map(|(name, _)| name.len() + 2).max().unwrap_or(0).max(10);
    let ruler: String = (0..length).step_by(10).map(|second| format!("{second:<10}")).collect();
    let _ = writeln!(text, "{:<wide$}{}", "second", &ruler[..length]);
    let hit = |second: usize| {
        let (from, to) = (second as f64, second as f64 + 1.0);
        let hits = |fault: &steadfast::storm::Fault| {
            fault.at.as_secs_f64() < to && fault.at.saturating_add(fault.lasts).as_secs_f64() > from
        };
        if scenario.faults.iter().any(hits) { '▬' } else { ' ' }
    };
    let _ = writeln!(text, "{:<wide$}{}", "faults", (0..length).map(hit).collect::<String>());
    type Figure = fn(&Second) -> u64;
    let figures: [(&str, Figure); 4] = [
        ("offered", |second| second.offered),
        ("goodput", |second| second.answered),
        ("oracle", |second| second.oracle),
        ("attempts", |second| second.attempts),
    ];
    let most = report.timeline.iter().map(|second| second.offered).max().unwrap_or(0).max(1) as f64;
    for (name, figure) in figures {
        let values: Vec<f64> = report.timeline.iter().map(|second| figure(second) as f64).collect();
        // The first three to one scale; attempts may be many more.
        let most = if name == "attempts" { values.iter().copied().fold(1.0, f64::max) } else { most };
        let _ = writeln!(text, "{name:<wide$}{}  to {most:.0}/s", bars(&values, most));
    }
    for (name, values) in &report.gauges {
        let most = values.iter().copied().fold(0.0, f64::max);
        let _ = writeln!(text, "{name:<wide$}{}  to {:.2}", bars(values, most), most);
    }
}

/// A bar for each value.
fn bars(values: &[f64], most: f64) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let bar = |value: &f64| match (value / most * 8.0).ceil() {
        eighths if eighths.is_nan() => BARS[0],
        eighths => BARS[(eighths as usize).min(8)],
    };
    values.iter().map(bar).collect()
}

/// As CSV.
fn seconds(report: &Report) -> String {
    let mut columns = vec!["second", "offered", "goodput", "oracle", "attempts"];
    columns.extend(report.gauges.iter().map(|(name, _)| name.as_str()));
    let row = |(at, second): (usize, &Second)| {
        let counts = [at as u64, second.offered, second.answered, second.oracle, second.attempts];
        let gauge =
            |(_, values): &(String, Vec<f64>)| values.get(at).map_or_else(String::new, |value| format!("{value:.4}"));
        counts.iter().map(ToString::to_string).chain(report.gauges.iter().map(gauge)).collect()
    };
    let rows: Vec<Vec<String>> = report.timeline.iter().enumerate().map(row).collect();
    csv(&columns, rows.iter().map(Vec::as_slice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_high_as_its_value() {
        assert_eq!(bars(&[0.0, 0.1, 4.0, 8.0, 9.0], 8.0), " ▁▄██");
        assert_eq!(bars(&[0.0], 0.0), " ");
    }
}
