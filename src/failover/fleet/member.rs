//! One endpoint, as the fleet sees it. Pure.

use std::time::Duration;

use super::super::{
    Cause, EndpointState, FailoverSettings, Meta,
    check::Checked,
    failback::{Damping, slow_start},
};
use crate::telemetry::Name;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: u32,
    pub(super) meta: Meta,
    /// Changes with each change of `passive`: what began before says nothing of what is now.
    pub(super) generation: u32,
    pub(super) passive: Passive,
    /// How many ejections the next one follows.
    pub(super) ejections: u32,
    /// When it came back last, or joined others that were there.
    pub(super) back: Option<Duration>,
    /// Whether it is in slow start since then.
    pub(super) slow: bool,
    /// Since when it cannot be called; `None` if it can. New ones have never been called.
    pub(super) out: Option<Out>,
    pub(super) checked: Checked,
    /// When the next probe is due.
    pub(super) asked_next: Duration,
    /// When the last one was sent.
    pub(super) asked: Duration,
    /// What the last probe that failed said.
    pub(super) why: Option<Name>,
    pub(super) damping: Damping,
    /// Not used before then, unless nothing else is left: it has recovered, and traffic has not gone back to it.
    pub(super) held_until: Option<Duration>,
    /// Told to by hand, or removed.
    pub(super) draining: bool,
    pub(super) leaving: bool,
    /// What it has said of itself.
    pub(super) wants_drain: bool,
    pub(super) maintenance: bool,
    pub(super) weight: Option<f64>,
    pub(super) cold: Cold,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Out {
    /// It has never been in.
    New,
    Since(Duration),
}

/// What calls have shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Passive {
    In,
    Ejected {
        cause: Cause,
        until: Duration,
    },
    /// The next call tries it.
    Waiting {
        cause: Cause,
        since: Duration,
    },
    /// A call tries it.
    Trying {
        cause: Cause,
        since: Duration,
    },
}

/// Whether it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cold {
    /// It is no cold standby, or has been started.
    Runs,
    Asleep {
        /// Not started again before then.
        until: Duration,
        failures: u32,
    },
    Starting {
        since: Duration,
        failures: u32,
    },
}

impl Member {
    pub(super) fn new(id: u32, meta: Meta, checked: Checked, cold: bool, now: Duration) -> Self {
        let asked_next = if checked.is_probed() { now } else { Duration::MAX };
        let cold = if cold { Cold::Asleep { until: Duration::ZERO, failures: 0 } } else { Cold::Runs };
        Self {
            id,
            meta,
            generation: 0,
            passive: Passive::In,
            ejections: 0,
            back: None,
            slow: false,
            out: Some(Out::New),
            checked,
            asked_next,
            asked: Duration::ZERO,
            why: None,
            damping: Damping::default(),
            held_until: None,
            draining: false,
            leaving: false,
            wants_drain: false,
            maintenance: false,
            weight: None,
            cold,
        }
    }

    /// Whether anything but what calls have shown speaks for it.
    pub(super) fn present(&self) -> bool {
        self.checked.up() == Some(true)
            && self.cold == Cold::Runs
            && !(self.draining || self.leaving || self.wants_drain || self.maintenance)
    }

    /// Whether it can be called.
    pub(super) fn admissible(&self) -> bool {
        self.passive == Passive::In && self.present()
    }

    /// Whether a probe is under way.
    pub(super) fn is_asked(&self) -> bool {
        self.checked.is_probed() && self.asked_next == Duration::MAX
    }

    pub(super) fn is_held(&self) -> bool {
        self.held_until.is_some()
    }

    /// Its weight without slow start.
    pub(super) fn full_weight(&self) -> f64 {
        self.weight.unwrap_or(self.meta.weight)
    }

    /// It gets calls again, few at first.
    pub(super) fn comes_back(&mut self, now: Duration) {
        (self.back, self.slow) = (Some(now), true);
    }

    /// Since when it is in slow start, if it is.
    pub(super) fn slow_since(&self) -> Option<Duration> {
        self.back.filter(|_| self.slow)
    }

    /// Whether slow start is over, once.
    pub(super) fn slow_start_ends(&mut self, window: Duration, now: Duration) -> bool {
        let ends = self.slow_since().is_some_and(|since| slow_start(since, now, window) >= 1.0);
        self.slow &= !ends;
        ends
    }

    pub(super) fn state(&self, now: Duration) -> EndpointState {
        match (&self.cold, &self.passive) {
            (Cold::Asleep { .. }, _) => EndpointState::Cold,
            (Cold::Starting { .. }, _) => EndpointState::Starting,
            _ if self.draining || self.leaving || self.wants_drain => EndpointState::Draining,
            _ if self.maintenance => EndpointState::Maintenance,
            _ if self.checked.up() == Some(false) => EndpointState::Down(self.said()),
            _ if self.checked.up().is_none() => EndpointState::Unproven,
            (_, Passive::Ejected { cause, until }) => {
                EndpointState::Ejected { cause: *cause, wait: until.saturating_sub(now) }
            }
            (_, Passive::Waiting { cause, .. } | Passive::Trying { cause, .. }) => {
                EndpointState::Trial { cause: *cause }
            }
            (_, Passive::In) => match self.held_until {
                None => EndpointState::In,
                Some(Duration::MAX) => EndpointState::Held { wait: None },
                Some(until) => EndpointState::Held { wait: Some(until.saturating_sub(now)) },
            },
        }
    }

    pub(super) fn said(&self) -> Name {
        self.why.clone().unwrap_or(Name::from_static("it has not reported in time"))
    }

    /// How many ejections the next one follows: one less for each interval that it has been well since it came back.
    pub(super) fn ejections_at(&self, settings: &FailoverSettings, now: Duration) -> u32 {
        let Some(back) = self.back else { return self.ejections };
        let mut well = now.saturating_sub(back);
        let mut ejections = self.ejections;
        while ejections > 0 {
            let Some(rest) = well.checked_sub(settings.ejection.endless(ejections, 0.5).saturating_mul(4)) else {
                break;
            };
            well = rest;
            ejections -= 1;
        }
        ejections
    }
}
