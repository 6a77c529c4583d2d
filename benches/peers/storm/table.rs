//! The tables, as Markdown, and the same as CSV.

use std::{fmt::Write as _, fs, io, path::PathBuf};

use steadfast::storm::{Report, Scenario};

use crate::peers::Peer;

/// Nothing goes wrong there: neither least nor mean is about it.
const CALM: &str = "steady";
/// The geometric mean counts less than this, in percent, as this.
const FLOOR: f64 = 0.1;

pub(crate) fn text(peers: &[Peer], scenarios: &[Scenario], reports: &[Report]) -> String {
    let mut text = String::new();
    let cells = |peer: &Peer, figure: &dyn Fn(&[&Report]) -> String| -> Vec<String> {
        let of = |scenario: &Scenario| {
            let mut seeds: Vec<_> = reports
                .iter()
                .filter(|report| report.stack == peer.name() && report.scenario == scenario.name)
                .collect();
            seeds.sort_by_key(|report| report.seed);
            figure(&seeds)
        };
        scenarios.iter().map(of).collect()
    };
    let mut table = |title: &str, figure: &dyn Fn(&[&Report]) -> String, summary: bool| {
        let _ = writeln!(text, "\n{title}\n");
        let columns: Vec<_> = peers.iter().map(|peer| cells(peer, figure)).collect();
        let _ = writeln!(text, "| | {} |", peers.iter().map(Peer::name).collect::<Vec<_>>().join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(peers.len()));
        let mut row = |name: &str, cell: &dyn Fn(usize) -> String| {
            let _ = writeln!(text, "| {name} | {} |", (0..peers.len()).map(cell).collect::<Vec<_>>().join(" | "));
        };
        for (at, scenario) in scenarios.iter().enumerate() {
            row(&scenario.name, &|peer| columns[peer][at].clone());
        }
        if summary {
            let goodput: Vec<Vec<f64>> = peers.iter().map(|peer| storms(peer, scenarios, reports)).collect();
            row("**least**", &|peer| percent(goodput[peer].iter().copied().fold(f64::INFINITY, f64::min)));
            row("**geometric mean**", &|peer| format!("{:.1}", geometric_mean(&goodput[peer])));
        }
    };
    table("Requests answered in time, percent of the oracle's", &|seeds| percent(mean(seeds, |r| r.goodput)), true);
    table("Attempts for each request", &|seeds| format!("{:.2}", mean(seeds, |report| report.attempts)), false);
    table("99 % of the answers in time took at most, ms", &|seeds| p99(seeds), false);
    table("Seconds from the end of the faults until 95 % of the oracle's", &|seeds| recovery(seeds), false);
    text
}

fn mean(reports: &[&Report], figure: impl Fn(&Report) -> f64) -> f64 {
    reports.iter().map(|report| figure(report)).sum::<f64>() / reports.len().max(1) as f64
}

/// Whole percent, but for what would be lost by it.
fn percent(percent: f64) -> String {
    if percent < 9.95 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

/// The goodput in each scenario in which something goes wrong.
fn storms(peer: &Peer, scenarios: &[Scenario], reports: &[Report]) -> Vec<f64> {
    let of = |scenario: &Scenario| {
        let seeds: Vec<_> =
            reports.iter().filter(|report| report.stack == peer.name() && report.scenario == scenario.name).collect();
        mean(&seeds, |report| report.goodput)
    };
    scenarios.iter().filter(|scenario| scenario.name != CALM || scenarios.len() == 1).map(of).collect()
}

fn geometric_mean(goodput: &[f64]) -> f64 {
    let logarithms: f64 = goodput.iter().map(|goodput| goodput.max(FLOOR).ln()).sum();
    (logarithms / goodput.len().max(1) as f64).exp()
}

fn p99(reports: &[&Report]) -> String {
    let millis = reports.iter().filter_map(|report| report.p99).map(|p99| p99.as_secs_f64() * 1000.0);
    let millis: Vec<f64> = millis.collect();
    if millis.is_empty() {
        return "-".to_owned();
    }
    format!("{:.0}", millis.iter().sum::<f64>() / millis.len() as f64)
}

/// `never` if with any seed there is none.
fn recovery(reports: &[&Report]) -> String {
    if reports.iter().any(|report| report.scenario == CALM) {
        return String::new();
    }
    if reports.iter().any(|report| report.recovery.is_none()) {
        return "never".to_owned();
    }
    format!("{:.1}", mean(reports, |report| report.recovery.unwrap_or_default().as_secs_f64()))
}

/// Writes every run on a line of its own.
pub(crate) fn write(reports: &[Report]) -> io::Result<PathBuf> {
    let mut sorted: Vec<_> = reports.iter().collect();
    sorted
        .sort_by(|one, other| (&one.stack, &one.scenario, one.seed).cmp(&(&other.stack, &other.scenario, other.seed)));
    let mut csv = String::from("peer,scenario,seed,goodput,attempts,p99_ms,recovery_s,degraded,false_rejects,wasted\n");
    for report in sorted {
        let p99 = report.p99.map_or(String::new(), |p99| p99.as_millis().to_string());
        let recovery = report.recovery.map_or(String::new(), |recovery| recovery.as_secs().to_string());
        let Report { stack, scenario, seed, goodput, attempts, degraded, false_rejects, wasted, .. } = report;
        let _ = writeln!(
            csv,
            "{stack},{scenario},{seed},{goodput:.3},{attempts:.3},{p99},{recovery},{degraded:.4},{false_rejects:.4},\
             {wasted:.4}"
        );
    }
    // `cargo bench` runs in the package's folder.
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = workspace.join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()));
    let path = target.join("storm/peers.csv");
    fs::create_dir_all(path.parent().expect("has just been joined"))?;
    fs::write(&path, csv)?;
    Ok(path.canonicalize().unwrap_or(path))
}
