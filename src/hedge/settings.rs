//! What can be set on a hedge, its defaults, and what is refused.

use std::time::Duration;

use super::Hedge;
use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a hedge. Given through [`Hedge`], changed in place through
/// [`HedgeHandle::change`](super::HedgeHandle::change).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgeSettings {
    /// How long the first attempt has to have been pending. Default: the 95th percentile, at least three medians.
    pub delay: HedgeDelay,
    /// Nothing is hedged by percentile before so many first attempts have succeeded within the last 10 to 20 s.
    /// Default 20, at least 1.
    pub minimum_calls: u32,
    /// Each call puts such a share of a token into the hedge's own bucket. Default 0.05; 0 to 1.
    pub share: f64,
    /// How many tokens the bucket holds; it begins full. Default 3; 1 to 1,000,000,000.
    pub burst: u32,
    /// For how long there are no backups after the service has said that it is overloaded, or a layer below has
    /// refused. Default 1 s; zero: they go on.
    pub overload_hold: Duration,
    /// An attempt that has been pending for so long is not cancelled, but has a backup sent out of the retry's budget.
    /// Default: none; over 0.
    pub soft_timeout: Option<Duration>,
}

/// When a hedge is due.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum HedgeDelay {
    /// Never: only the soft timeout sends backups.
    Never,
    /// So long after the first attempt was first pending.
    After(Duration),
    /// When the first attempt takes longer than this share of those seen, and than so many medians of them.
    Percentile {
        /// Over 0, under 1.
        share: f64,
        /// From 0 on.
        medians: f64,
    },
}

impl Default for HedgeSettings {
    fn default() -> Self {
        Self {
            delay: HedgeDelay::Percentile { share: 0.95, medians: 3.0 },
            minimum_calls: 20,
            share: 0.05,
            burst: 3,
            overload_hold: Duration::from_secs(1),
            soft_timeout: None,
        }
    }
}

impl HedgeSettings {
    /// Whether there are hedges, beside the soft timeout.
    pub(crate) fn hedges(&self) -> bool {
        self.delay != HedgeDelay::Never
    }

    /// Checks the settings of the hedge of the retry called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        if let HedgeDelay::Percentile { share, medians } = self.delay {
            check.that(share > 0.0 && share < 1.0, "hedge.percentile", share, "over 0, under 1")?;
            let finite = medians.is_finite() && medians >= 0.0;
            check.that(finite, "hedge.medians", medians, "a finite number, at least 0")?;
        }
        check.that(self.minimum_calls > 0, "hedge.minimum_calls", self.minimum_calls, "at least 1")?;
        check.that((0.0..=1.0).contains(&self.share), "hedge.share", self.share, "0 to 1")?;
        let burst = (1..=1_000_000_000).contains(&self.burst);
        check.that(burst, "hedge.burst", self.burst, "1 to 1,000,000,000")?;
        match self.soft_timeout {
            Some(limit) => check.positive("soft_timeout", limit),
            None => Ok(()),
        }
    }
}

impl Hedge {
    /// Backups so long after the first attempt was first pending.
    pub fn after(delay: Duration) -> Self {
        Self::of(HedgeDelay::After(delay))
    }

    /// Backups of what takes longer than this share (over 0, under 1) of the attempts seen, and than three medians.
    pub fn percentile(share: f64) -> Self {
        Self::of(HedgeDelay::Percentile { share, medians: 3.0 })
    }

    /// None at all until the settings are changed: for a soft timeout alone.
    pub fn never() -> Self {
        Self::of(HedgeDelay::Never)
    }

    fn of(delay: HedgeDelay) -> Self {
        Self { settings: HedgeSettings { delay, ..HedgeSettings::default() } }
    }

    /// All settings at once.
    pub fn settings(settings: HedgeSettings) -> Self {
        Self { settings }
    }

    /// The least that a delay by percentile is, in medians of the attempts seen. Default: 3.
    pub fn medians(mut self, least: f64) -> Self {
        if let HedgeDelay::Percentile { medians, .. } = &mut self.settings.delay {
            *medians = least;
        }
        self
    }

    /// How many first attempts must have been seen before anything is hedged by percentile. Default: 20.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.settings.minimum_calls = calls;
        self
    }

    /// Its own budget: hedges ≤ `burst` + `share` × calls, over any history. Default: 0.05 and 3.
    pub fn budget(mut self, share: f64, burst: u32) -> Self {
        (self.settings.share, self.settings.burst) = (share, burst);
        self
    }

    /// For how long there are no backups once the service has said that it is overloaded. Default: 1 s.
    pub fn overload_hold(mut self, hold: Duration) -> Self {
        self.settings.overload_hold = hold;
        self
    }

    /// When an attempt that is still pending has a backup sent out of the retry's budget. Default: never.
    pub fn soft_timeout(mut self, limit: Duration) -> Self {
        self.settings.soft_timeout = Some(limit);
        self
    }
}
