//! How the state changes: by hand, and whoever decided.

use std::time::Duration;

use super::{Machine, Phase, Ramp, Window, WindowKind};
use crate::circuit_breaker::{
    settings::CircuitBreakerSettings,
    state::{Cause, StateChange},
};

impl Machine {
    // ## By hand

    /// Opens for the wait of the next attempt, from any state.
    pub fn open(&mut self, now: Duration) {
        let now = self.advance(now);
        self.enter_open(now, Cause::ByHand, None);
    }

    /// Opens for `wait`, from any state; not counted as an attempt.
    pub fn open_for(&mut self, now: Duration, wait: Duration) {
        let now = self.advance(now);
        self.enter_open(now, Cause::ByHand, Some(wait));
    }

    /// Begins half-open, from any state in which there is something to try. `false`, and nothing changed, if closed or
    /// metrics only.
    pub fn half_open(&mut self, now: Duration) -> bool {
        let now = self.advance(now);
        let possible = !matches!(self.phase, Phase::Closed { .. } | Phase::MetricsOnly);
        if possible {
            self.enter_half_open(now, Cause::ByHand);
        }
        possible
    }

    /// Closes with an empty window, from any state.
    pub fn close(&mut self, now: Duration) {
        let now = self.advance(now);
        self.enter_closed(now, Cause::ByHand, None);
    }

    /// Refuses all calls until told otherwise.
    pub fn force_open(&mut self, now: Duration) {
        let now = self.advance(now);
        self.attempt = self.attempt.saturating_add(1);
        self.enter(now, Phase::ForcedOpen, Cause::ByHand, None);
        self.replace_window(Window::none(), self.settings.minimum());
    }

    /// Lets all calls through and records nothing until told otherwise.
    pub fn disable(&mut self, now: Duration) {
        let now = self.advance(now);
        self.attempt = 0;
        self.enter(now, Phase::Disabled, Cause::ByHand, None);
        self.replace_window(Window::none(), self.settings.minimum());
    }

    /// Lets all calls through and records them, but never opens, until told otherwise.
    pub fn metrics_only(&mut self, now: Duration) {
        let now = self.advance(now);
        self.attempt = 0;
        self.enter(now, Phase::MetricsOnly, Cause::ByHand, None);
        self.replace_window(Window::new(self.settings.window), self.settings.minimum());
    }

    /// Changes the settings in place: the state, the calls out and the window stay, the window with its newest calls
    /// (empty if it changes between calls and seconds). A running open state ends when it was going to.
    pub fn change(&mut self, now: Duration, settings: CircuitBreakerSettings) {
        let now = self.advance(now);
        self.minimum = match self.phase {
            Phase::HalfOpen { .. } => settings.trial_minimum(),
            _ => settings.minimum(),
        };
        match self.phase {
            Phase::Closed { .. } | Phase::MetricsOnly => self.window.resize(now, settings.window),
            // Grows only: were outcomes forgotten, others would have to take places for them.
            Phase::HalfOpen { .. } if settings.half_open_calls > self.window.size() => {
                self.window.resize(now, WindowKind::Count(settings.half_open_calls));
            }
            Phase::HalfOpen { .. } => {}
            Phase::Open { .. } | Phase::ForcedOpen | Phase::Disabled => {}
        }
        self.settings = settings;
    }

    // ## Transitions

    pub(super) fn enter_closed(&mut self, now: Duration, cause: Cause, ramp: Option<Duration>) {
        self.attempt = 0;
        let ramp = ramp.map(|ramp| Ramp { end: now.saturating_add(ramp), credit: 0.0 });
        self.enter(now, Phase::Closed { in_a_row: 0, ramp }, cause, None);
        self.replace_window(Window::new(self.settings.window), self.settings.minimum());
    }

    /// The window stays, to be read.
    pub(super) fn enter_open(&mut self, now: Duration, cause: Cause, wait: Option<Duration>) {
        let wait = wait.unwrap_or_else(|| {
            self.attempt = self.attempt.saturating_add(1);
            self.settings.wait_open.endless(self.attempt, self.rng.unit())
        });
        self.enter(now, Phase::Open { until: now.saturating_add(wait) }, cause, Some(wait));
    }

    pub(super) fn enter_half_open(&mut self, now: Duration, cause: Cause) {
        self.enter(now, Phase::HALF_OPEN, cause, None);
        let window = Window::new(WindowKind::Count(self.settings.half_open_calls));
        self.replace_window(window, self.settings.trial_minimum());
    }

    fn replace_window(&mut self, window: Window, minimum: u32) {
        self.window = window;
        self.minimum = minimum;
        self.refused = 0;
    }

    fn enter(&mut self, now: Duration, phase: Phase, cause: Cause, open_for: Option<Duration>) {
        let from = self.state();
        let totals = self.window.totals(now);
        let (failure_rate, slow_call_rate) = self.rates(&totals);
        self.phase = phase;
        self.generation += 1;
        self.changes.push(StateChange {
            from,
            to: self.state(),
            cause,
            generation: self.generation,
            failure_rate,
            slow_call_rate,
            calls: totals.calls(),
            lasted: now.saturating_sub(self.since),
            refused: self.refused_in_all - self.refused_before,
            late: self.late,
            open_for,
        });
        self.since = now;
        self.refused_before = self.refused_in_all;
    }

    /// The changes of state since this was last asked, oldest first. To be asked after every other call.
    pub fn take_changes(&mut self) -> Vec<StateChange> {
        std::mem::take(&mut self.changes)
    }
}
