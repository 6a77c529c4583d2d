//! What the calls of one layer share for their backups: settings, bucket, what was seen, counters.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::{HedgeDelay, HedgeSettings, estimate::Estimate};
use crate::{
    retry::{Budget, BudgetMode},
    settings::Live,
    time::{Clock, Instant},
};

#[derive(Debug)]
pub(crate) struct Core {
    pub(super) settings: Live<HedgeSettings>,
    pub(super) bucket: Budget,
    clock: Clock,
    seen: Estimate,
    /// Until when there are no backups, in nanoseconds since the clock's origin.
    held_until: AtomicU64,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) hedges: AtomicU64,
    pub(super) hedges_won: AtomicU64,
    pub(super) soft_timeouts: AtomicU64,
    pub(super) soft_timeouts_won: AtomicU64,
    pub(super) without_token: AtomicU64,
    pub(super) held: AtomicU64,
}

/// When a hedge is due after the first attempt is pending, and how long it is likely to take itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) after: Duration,
    pub(crate) takes: Duration,
}

/// Why a second attempt is sent while the first is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Hedge,
    SoftTimeout,
}

impl Core {
    /// Of settings that have been checked.
    pub(crate) fn new(settings: HedgeSettings) -> Self {
        let mode = BudgetMode::Ratio(settings.share);
        Self {
            settings: Live::new(settings),
            bucket: Budget::new(mode, settings.burst).expect("settings that were checked"),
            clock: Clock::start(),
            seen: Estimate::new(),
            held_until: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    pub(super) fn set(&self, settings: HedgeSettings) {
        let mode = BudgetMode::Ratio(settings.share);
        self.bucket.change(mode, settings.burst).expect("settings that were checked");
        self.settings.set(settings);
        self.seen.refresh();
    }

    pub(crate) fn settings(&self) -> HedgeSettings {
        **self.settings.get()
    }

    /// A call begins.
    pub(crate) fn deposit(&self) {
        self.bucket.first_attempt();
    }

    /// Takes the token for a hedge, if there is one.
    pub(crate) fn withdraw(&self) -> bool {
        let taken = self.bucket.withdraw();
        if !taken {
            self.counts.without_token.fetch_add(1, Relaxed);
        }
        taken
    }

    /// A hedge that had its token was not sent after all.
    pub(crate) fn not_sent(&self) {
        self.bucket.not_sent();
    }

    /// When hedges are due now, if at all.
    pub(crate) fn due(&self, settings: &HedgeSettings, now: Instant) -> Option<Due> {
        match settings.delay {
            HedgeDelay::Never => None,
            HedgeDelay::After(after) => Some(Due { after, takes: Duration::ZERO }),
            HedgeDelay::Percentile { share, medians } => {
                let seen = self.seen.read(self.clock.at(now), share, settings.minimum_calls)?;
                let floor = Duration::try_from_secs_f64(seen.median.as_secs_f64() * medians).unwrap_or(Duration::MAX);
                Some(Due { after: seen.percentile.max(floor), takes: seen.median })
            }
        }
    }

    /// A first attempt has taken so long, or was given up after that.
    pub(crate) fn record(&self, now: Instant, took: Duration) {
        if let HedgeDelay::Percentile { .. } = self.settings.get().delay {
            self.seen.record(self.clock.at(now), took);
        }
    }

    /// The service has said that it is overloaded, or a layer below has refused. Whether that is news.
    pub(crate) fn overloaded(&self, now: Instant) -> bool {
        let now = self.clock.at(now);
        let until = nanos(now.saturating_add(self.settings.get().overload_hold));
        let before = self.held_until.fetch_max(until, Relaxed);
        until > nanos(now) && before <= nanos(now)
    }

    /// Whether there are no backups at the moment.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        nanos(self.clock.at(now)) < self.held_until.load(Relaxed)
    }

    /// A backup was due while there are none.
    pub(crate) fn held(&self) {
        self.counts.held.fetch_add(1, Relaxed);
    }

    pub(crate) fn sent(&self, why: Why) {
        let count = match why {
            Why::Hedge => &self.counts.hedges,
            Why::SoftTimeout => &self.counts.soft_timeouts,
        };
        count.fetch_add(1, Relaxed);
    }

    pub(crate) fn won(&self, why: Why) {
        let count = match why {
            Why::Hedge => &self.counts.hedges_won,
            Why::SoftTimeout => &self.counts.soft_timeouts_won,
        };
        count.fetch_add(1, Relaxed);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
