//! Interval functions: their recorded form, as Resilience4j computes them, and as ours.

use std::time::Duration;

use serde::Deserialize;
use steadfast::backoff::{Backoff, Jitter};

/// An interval function of Resilience4j. What is left out takes its default there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Interval {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    ms: Option<i64>,
    initial_ms: Option<i64>,
    multiplier: Option<f64>,
    max_ms: Option<i64>,
    randomization_factor: Option<f64>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Defaults,
    Fixed,
    Exponential,
    Randomized,
    ExponentialRandom,
}

/// The one exception that interval functions raise.
pub(crate) const ILLEGAL: &str = "IllegalArgumentException";

/// The largest uniform draw below 1.
pub(crate) const LARGEST_DRAW: f64 = 1.0 - f64::EPSILON / 2.0;

impl Interval {
    const fn grows(&self) -> bool {
        matches!(self.kind, Kind::Exponential | Kind::ExponentialRandom)
    }

    pub(crate) fn first(&self) -> i64 {
        if self.grows() { self.initial_ms.unwrap_or(500) } else { self.ms.unwrap_or(500) }
    }

    pub(crate) fn multiplier(&self) -> f64 {
        if self.grows() { self.multiplier.unwrap_or(1.5) } else { 1.0 }
    }

    pub(crate) fn max(&self) -> Option<i64> {
        self.max_ms.filter(|_| self.grows())
    }

    pub(crate) fn share(&self) -> Option<f64> {
        let random = matches!(self.kind, Kind::Randomized | Kind::ExponentialRandom);
        random.then(|| self.randomization_factor.unwrap_or(0.5))
    }

    /// Whether Resilience4j refuses to make it. With a maximum, only that is looked at.
    pub(crate) fn refused_at_creation(&self) -> bool {
        match self.max() {
            Some(max) => max < 1,
            None => self.refused_at_use(),
        }
    }

    /// Whether Resilience4j refuses to use it, for whatever attempt.
    pub(crate) fn refused_at_use(&self) -> bool {
        self.first() < 1 || self.share().is_some_and(|share| !(0.0..=1.0).contains(&share))
    }

    /// The n-th wait before cap and randomization: each is the one before, multiplied and cut to whole milliseconds.
    pub(crate) fn base(&self, attempt: i64) -> i64 {
        let mut wait = self.first();
        for _ in 1..attempt {
            let next = (wait as f64 * self.multiplier()) as i64;
            if next == wait {
                break;
            }
            wait = next;
        }
        wait
    }

    /// What Resilience4j answers for this attempt when the draw is `random`: the cap comes last.
    pub(crate) fn upstream(&self, attempt: i64, random: f64) -> Result<i64, &'static str> {
        if attempt < 1 || self.refused_at_use() {
            return Err(ILLEGAL);
        }
        let wait = self.base(attempt);
        let wait = self.share().map_or(wait, |share| spread(wait, share, random));
        Ok(wait.min(self.max().unwrap_or(i64::MAX)))
    }

    /// The highest base that leaves room for the jitter below the cap.
    pub(crate) fn headroom(&self) -> Option<i64> {
        let cap = self.max().unwrap_or(i64::MAX);
        self.share().map(|share| (cap as f64 / (1.0 + share)) as i64)
    }

    /// What ours is to answer: the cap comes first, then the jitter, and nothing is negative.
    pub(crate) fn expected(&self, attempt: i64, random: f64) -> Option<i64> {
        if attempt < 1 {
            return None;
        }
        let cap = self.max().unwrap_or(i64::MAX);
        let base = self.base(attempt).min(cap);
        let wait = match (self.share(), self.headroom()) {
            (Some(share), Some(room)) => spread(base.min(room), share, random).min(cap),
            _ => base,
        };
        Some(wait.max(0))
    }

    /// The same in our terms.
    pub(crate) fn backoff(&self) -> Backoff {
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let mut backoff = if self.grows() {
            Backoff::exponential(millis(self.first())).factor(self.multiplier())
        } else {
            Backoff::fixed(millis(self.first()))
        };
        if let Some(max) = self.max() {
            backoff = backoff.max(millis(max));
        }
        backoff.jitter(self.share().map_or(Jitter::None, Jitter::Around)).whole_millis()
    }
}

/// Uniform between `wait` less `share` of it and `wait` plus `share` of it, both included, at least 1.
fn spread(wait: i64, share: f64, random: f64) -> i64 {
    let (low, high) = (wait as f64 - share * wait as f64, wait as f64 + share * wait as f64);
    (low + random * (high - low + 1.0)).max(1.0) as i64
}

/// Our wait in milliseconds.
pub(crate) fn ours(function: &Interval, attempt: i64, random: f64) -> Option<i64> {
    in_millis(&function.backoff(), attempt, random)
}

pub(crate) fn in_millis(backoff: &Backoff, attempt: i64, random: f64) -> Option<i64> {
    let wait = backoff.wait(u32::try_from(attempt).ok()?, Duration::ZERO, random)?;
    Some(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
}
