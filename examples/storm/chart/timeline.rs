//! A run, second by second.

use std::time::Duration;

use steadfast::storm::{FaultKind, Report, Scenario};

use super::{Across, BLUE, DASHES, Drawn, GREEN, GREY, Line, OCHRE, PURPLE, Panel, RED, picture, round_up};

/// One run: what was offered, answered and attempted, and below it what the stack showed.
pub(crate) fn of_one(report: &Report, scenario: &Scenario) -> Drawn<String> {
    let mut panels = vec![calls(report, scenario, String::new(), top(&[report]))];
    panels[0].part = 5;
    if !report.gauges.is_empty() {
        panels.push(gauges(report));
    }
    let title = format!("{} in {}: goodput {:.1} %", report.stack, report.scenario, report.goodput);
    picture(&title, &across(report, scenario), &panels)
}

/// Two runs of one scenario, below each other and to the same scale.
pub(crate) fn of_two(one: &Report, other: &Report, scenario: &Scenario) -> Drawn<String> {
    let top = top(&[one, other]);
    let heading = |report: &Report| format!("{} {:.1} %", report.stack, report.goodput);
    let panels = [one, other].map(|report| calls(report, scenario, heading(report), top));
    let title = format!("{} and {} in {}", one.stack, other.stack, scenario.name);
    picture(&title, &across(one, scenario), &panels)
}

fn across(report: &Report, scenario: &Scenario) -> Across {
    let end = report.timeline.len() as f64;
    let shaded = scenario.faults.iter().map(|fault| {
        let until = fault.at.saturating_add(fault.lasts).as_secs_f64();
        (fault.at.as_secs_f64(), until.min(end))
    });
    Across { label: "time, s".into(), range: (0.0, end), marks: Vec::new(), shaded: shaded.collect() }
}

fn top(reports: &[&Report]) -> f64 {
    let seconds = reports.iter().flat_map(|report| &report.timeline);
    let most = seconds.map(|second| second.offered.max(second.attempts)).max().unwrap_or(0);
    round_up(most.max(1) as f64 * 1.02)
}

fn calls(report: &Report, scenario: &Scenario, heading: String, top: f64) -> Panel {
    let of = |label: &str, colour, width, dash, figure: &dyn Fn(&steadfast::storm::Second) -> u64| {
        let points = report.timeline.iter().enumerate();
        let points = points.map(|(second, at)| (second as f64 + 0.5, figure(at) as f64)).collect();
        Line { label: label.into(), colour, width, dash, points }
    };
    let lines = vec![
        of("offered", GREY, 2, None, &|second| second.offered),
        of("attempts", RED, 1, None, &|second| second.attempts),
        of("goodput", BLUE, 3, None, &|second| second.answered),
        of("oracle", GREEN, 2, Some((5, 5)), &|second| second.oracle),
    ];
    Panel { heading, y: "calls a second".into(), lines, top, part: 5, shade: faults(scenario) }
}

/// What the shade stands for, if there is any.
fn faults(scenario: &Scenario) -> Option<String> {
    let mut names: Vec<String> = scenario.faults.iter().map(|fault| name(&fault.kind)).collect();
    names.dedup();
    if names.len() > 2 {
        names.truncate(2);
        names.push("...".into());
    }
    (!names.is_empty()).then(|| names.join(", "))
}

pub(crate) fn name(kind: &FaultKind) -> String {
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let seconds = |time: Duration| format!("{} s", time.as_secs_f64());
    let times = |factor: f64| format!("{} times", (factor * 100.0).round() / 100.0);
    match *kind {
        FaultKind::Refuse => "refused".into(),
        FaultKind::Swallow => "never answered".into(),
        FaultKind::Fail { share } => format!("{} fail", percent(share)),
        FaultKind::FailAtOnce { share } => format!("{} fail at once", percent(share)),
        FaultKind::Slow { factor } => format!("slow: {}", times(factor)),
        FaultKind::Cold { factor, .. } => format!("cold: {}", times(factor)),
        FaultKind::Stragglers { share, factor } => format!("{} take {}", percent(share), times(factor)),
        FaultKind::Latency { extra } => format!("network {} longer", seconds(extra)),
        FaultKind::Load { factor } => format!("load {}", times(factor)),
        FaultKind::Invalid { share } => format!("{} invalid", percent(share)),
        FaultKind::Failover { .. } => "failover".into(),
        _ => "fault".into(),
    }
}

/// Gauges have units of their own: each is shown in parts of its greatest value, which the legend gives.
fn gauges(report: &Report) -> Panel {
    const COLOURS: [plotters::style::RGBColor; 5] = [PURPLE, OCHRE, GREEN, BLUE, RED];
    let line = |(at, (name, values)): (usize, &(String, Vec<f64>))| {
        let most = values.iter().copied().fold(0.0, f64::max);
        let part = |value: f64| if most > 0.0 { 100.0 * value / most } else { 0.0 };
        let points = values.iter().enumerate().map(|(second, value)| (second as f64 + 1.0, part(*value))).collect();
        let label = format!("{name} (most {})", super::number((most * 100.0).round() / 100.0));
        Line { label, colour: COLOURS[at % COLOURS.len()], width: 2, dash: DASHES[at % DASHES.len()], points }
    };
    let lines = report.gauges.iter().enumerate().map(line).collect();
    Panel { heading: String::new(), y: "% of most".into(), lines, top: 105.0, part: 2, shade: None }
}
