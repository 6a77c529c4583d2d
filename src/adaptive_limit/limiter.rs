//! The decision: how many calls may be in progress, judged window by window. Pure.
//!
//! A window is judged by what has ended in it, not by comparing it with how things were before: there is no baseline that
//! could drift, so what is well now is never cut.

use std::time::Duration;

use super::{
    doubt::{Advice, Doubt},
    settings::{AdaptiveLimitSettings, Algorithm},
};

/// Windows in a deadline.
const WINDOWS: u32 = 4;
/// Fewer calls than these say nothing; of a small limit, fewer than twice as many as it lets in, or it would never move.
const FEWEST: (u32, u32) = (3, 10);
/// A larger share of bad calls is an overload. Half is too little: with two of five endpoints gone, every few windows half
/// of the calls are bad by chance.
const OVERLOAD: f64 = 0.6;
/// A larger share than this, and the limit does not grow: some of the endpoints are at their limit already.
const HOLD: f64 = 0.1;
/// A limit of which less than this share is in use says nothing about a higher one.
const USED: f64 = 0.7;
/// How far a cut goes at least and at most, as what is left of what was in use.
const CUT: (f64, f64) = (0.3, 0.8);
/// How much it grows in a window, as a share and at least.
const GROWTH: (f64, f64) = (0.1, 0.5);
/// Where nothing is answered, so many calls are enough to see when that is over.
const RESTART: f64 = 5.0;

/// What ended within one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Answered in good time.
    pub(super) good: u32,
    /// Answered late.
    pub(super) late: u32,
    /// Refused by the service as too much.
    pub(super) refused: u32,
    /// Not answered, and given up late.
    pub(super) lost: u32,
    /// Failed in good time, which says nothing about the load.
    pub(super) failed: u32,
    /// What the late and the lost ones took together.
    pub(super) slow: Duration,
    /// The most that were in progress at once.
    pub(super) peak: u32,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.good = self.good.saturating_add(other.good);
        self.late = self.late.saturating_add(other.late);
        self.refused = self.refused.saturating_add(other.refused);
        self.slow = self.slow.saturating_add(other.slow);
        self.lost = self.lost.saturating_add(other.lost);
        self.failed = self.failed.saturating_add(other.failed);
        self.peak = self.peak.max(other.peak);
    }

    fn all(&self) -> u32 {
        self.judged().saturating_add(self.failed)
    }

    /// Those that say something about the load.
    fn judged(&self) -> u32 {
        self.good.saturating_add(self.bad())
    }

    fn bad(&self) -> u32 {
        self.late.saturating_add(self.lost).saturating_add(self.refused)
    }

    /// How long bad calls take, where most of them are bad by time.
    fn takes(&self) -> Option<Duration> {
        let slow = self.late.saturating_add(self.lost);
        (slow > self.refused).then(|| self.slow / slow)
    }

    fn more_bad_than(&self, share: f64) -> bool {
        f64::from(self.bad()) > f64::from(self.judged()) * share
    }
}

/// Why a limit has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Most calls were answered late, given up late, or refused as too much.
    Overload,
    /// Calls were answered in good time, and the limit was made use of.
    Growth,
    /// None was answered: only few are sent until one is.
    Outage,
    /// With half of the calls they took as long: back to what it was.
    NoHelp,
    /// The settings were changed.
    Settings,
}

fn window(settings: &AdaptiveLimitSettings) -> Duration {
    settings.deadline / WINDOWS
}

/// A limit, and the window that it is judged by next.
#[derive(Debug)]
pub(super) struct Limiter {
    /// Not whole, so that small limits grow too.
    limit: f64,
    /// Up to here it doubles: as many as were in progress before an outage, and without end before it was first cut.
    known: f64,
    /// The most that were in progress in the last window in which most were answered.
    usual: f64,
    since: Duration,
    /// How long the window goes on.
    until: Duration,
    counts: Counts,
    cutting: bool,
    doubt: Doubt,
}

impl Limiter {
    pub(super) fn new(settings: &AdaptiveLimitSettings, now: Duration) -> Self {
        let mut limiter = Self {
            limit: f64::from(settings.initial),
            known: f64::INFINITY,
            usual: f64::INFINITY,
            since: now,
            until: now.saturating_add(window(settings)),
            counts: Counts::default(),
            cutting: false,
            doubt: Doubt::default(),
        };
        limiter.clamp(settings);
        limiter
    }

    /// How many calls may be in progress.
    pub(super) fn limit(&self) -> u32 {
        self.limit as u32
    }

    /// Whether the last window that could be judged was an overload.
    pub(super) fn is_cutting(&self) -> bool {
        self.cutting
    }

    /// When the window is over.
    pub(super) fn window_end(&self) -> Duration {
        self.until
    }

    /// Other settings: the limit is brought to between the lowest and the highest, and the window to its new length.
    pub(super) fn change(&mut self, now: Duration, settings: &AdaptiveLimitSettings) {
        self.until = self.until.min(now.saturating_add(window(settings)));
        self.clamp(settings);
    }

    fn clamp(&mut self, settings: &AdaptiveLimitSettings) {
        self.limit = self.limit.clamp(f64::from(settings.min), f64::from(settings.max));
    }

    /// Judges what has ended by now. Where that is too little, the window goes on for another one.
    pub(super) fn judge(&mut self, now: Duration, counts: Counts, settings: &AdaptiveLimitSettings) -> Option<Cause> {
        self.counts.add(counts);
        self.until = now.saturating_add(window(settings));
        let (window, length) = (self.counts, now.saturating_sub(self.since));
        let enough = window.all() >= self.limit().saturating_mul(2).clamp(FEWEST.0, FEWEST.1);
        if enough || length >= settings.deadline.saturating_mul(2) {
            // What so few calls tell is of long ago, and so is what was before them.
            (self.since, self.counts, self.cutting) = (now, Counts::default(), false);
        }
        if !enough {
            return None;
        }
        let before = self.limit();
        let cause = self.decide(now, window, length, settings);
        self.clamp(settings);
        cause.filter(|_| self.limit() != before)
    }

    fn decide(
        &mut self,
        now: Duration,
        window: Counts,
        length: Duration,
        settings: &AdaptiveLimitSettings,
    ) -> Option<Cause> {
        // Of a limit that is not made use of, a part would be no cut.
        let used = self.limit.min(f64::from(window.peak.max(1)));
        let recovering = self.known.is_finite() && self.limit < self.known;
        if window.good == 0 && window.late == 0 && window.refused == 0 {
            if self.limit > RESTART {
                if !recovering {
                    self.known = self.usual.max(RESTART).min(self.limit);
                }
                self.limit = RESTART;
            }
            return Some(Cause::Outage);
        }
        if window.good.saturating_add(window.late).saturating_add(window.refused) > window.all() / 2 {
            self.usual = used;
        }
        let overload = window.more_bad_than(OVERLOAD);
        let advice = match window.takes() {
            Some(takes) if overload => self.doubt.advise(now, self.limit, window.peak, takes, settings.deadline),
            Some(_) if window.more_bad_than(HOLD) => Advice::Stay,
            _ => {
                self.doubt.none();
                Advice::Cut
            }
        };
        if let Advice::Back(limit) = advice {
            (self.limit, self.known) = (limit, limit);
            return Some(Cause::NoHelp);
        }
        if overload && advice == Advice::Cut {
            self.cutting = true;
            self.limit = match settings.algorithm {
                Algorithm::Deadline => {
                    let rate = f64::from(window.judged()) / length.max(Duration::from_nanos(1)).as_secs_f64();
                    (rate * settings.slow().as_secs_f64()).clamp(CUT.0 * used, CUT.1 * used)
                }
                Algorithm::Aimd { decrease, .. } => used * decrease,
            };
            self.known = self.limit;
            return Some(Cause::Overload);
        }
        let well = window.good > window.all() / 2 && !window.more_bad_than(HOLD);
        // As many as before an outage may have as many bad ones as before it.
        if !(well || recovering) || f64::from(window.peak) < USED * f64::from(self.limit()) {
            return None;
        }
        let step = match settings.algorithm {
            Algorithm::Deadline => (self.limit * GROWTH.0).max(GROWTH.1),
            Algorithm::Aimd { increase, .. } => increase,
        };
        self.limit = (self.limit * 2.0).min(self.known).max(self.limit + step);
        Some(Cause::Growth)
    }
}

#[cfg(test)]
mod tests;
