//! How a breaker looks from outside.

use std::time::Duration;

use super::{Machine, Phase, Totals};
use crate::circuit_breaker::state::Snapshot;

impl Machine {
    /// What the breaker looks like. Does what was due, as everything else does, and changes nothing besides.
    pub fn snapshot(&mut self, now: Duration) -> Snapshot {
        let admits = self.would_admit(now);
        let now = self.latest;
        let totals = self.window.totals(now);
        let (failure_rate, slow_call_rate) = self.rates(&totals);
        Snapshot {
            state: self.state(),
            admits,
            since: now.saturating_sub(self.since),
            open_for: match self.phase {
                Phase::Open { until } => Some(until.saturating_sub(now)),
                _ => None,
            },
            attempt: self.attempt,
            failure_rate,
            slow_call_rate,
            recorded: totals.recorded,
            failed: totals.failed,
            slow: totals.slow,
            abandoned: totals.abandoned,
            refused: self.refused,
            refused_in_all: self.refused_in_all,
            late: self.late,
        }
    }

    pub(super) fn rates(&self, totals: &Totals) -> (Option<f64>, Option<f64>) {
        let known = totals.calls() > 0 && totals.calls() >= self.minimum;
        let share = |percent: f32| known.then(|| f64::from(percent) / 100.0);
        (share(totals.failure_percent()), share(totals.slow_percent()))
    }
}
