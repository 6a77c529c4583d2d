//! A report as text.

use std::{fmt, time::Duration};

use super::{Report, Second};

impl fmt::Display for Report {
    /// The figures, and the timeline from the first second that is not as good as the oracle's, or the last ten.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stack, scenario, seed, .. } = self;
        writeln!(f, "`{stack}` in `{scenario}`, seed {seed}")?;
        writeln!(
            f,
            "  goodput {:.1} % of the oracle's ({:.1} % of {} requests, the oracle {:.1} %)",
            self.goodput,
            self.answered * 100.0,
            self.requests,
            self.oracle * 100.0
        )?;
        let shown = |time: Option<Duration>| time.map_or("-".into(), |time| format!("{time:?}"));
        writeln!(
            f,
            "  p50 {}, p99 {}, p99.9 {}; recovery {}",
            shown(self.p50),
            shown(self.p99),
            shown(self.p999),
            self.recovery.map_or("-".into(), |time| format!("{time:?}"))
        )?;
        writeln!(
            f,
            "  {:.3} attempts for each request, {:.1} % of the servers' time wasted, {:.2} % refused for nothing, {:.2} % degraded",
            self.attempts,
            self.wasted * 100.0,
            self.false_rejects * 100.0,
            self.degraded * 100.0
        )?;
        write!(f, "  second  offered  oracle  answered  attempts")?;
        self.gauges.iter().try_for_each(|(name, _)| write!(f, "  {name}"))?;
        writeln!(f)?;
        let last = self.timeline.len();
        let short = |second: &Second| (second.answered as f64) < 0.95 * second.oracle as f64;
        let first = self.timeline.iter().position(short).unwrap_or(last.saturating_sub(10)).saturating_sub(2);
        let until = self.timeline.iter().rposition(short).map_or(last, |at| (at + 3).min(last));
        for (at, second) in self.timeline.iter().enumerate().take(until).skip(first) {
            let mark = if short(second) { '<' } else { ' ' };
            let Second { offered, answered, oracle, attempts } = second;
            write!(f, "  {at:>6}  {offered:>7}  {oracle:>6}  {answered:>7} {mark}  {attempts:>7}")?;
            for (name, values) in &self.gauges {
                let width = name.chars().count();
                write!(f, "  {:>width$.2}", values.get(at).copied().unwrap_or_default())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
