//! The decision of the `Cycles` mode: fixed periods from the creation on, as in Resilience4j. Pure.

use std::time::Duration;

/// Permissions in fixed periods. Unused ones do not add up; reserved ones of later periods are a debt that those pay.
#[derive(Clone, Debug)]
pub struct Cycles {
    limit: i64,
    period: u64,
    cycle: u64,
    /// Negative while permissions of later periods are reserved.
    permissions: i64,
}

impl Cycles {
    /// `limit` permissions (at least 1) in each `period` (over 0) since the origin of time.
    pub fn new(limit: u32, period: Duration) -> Self {
        let limit = i64::from(limit);
        Self { limit, period: nanos(period).max(1), cycle: 0, permissions: limit }
    }

    /// The number of the present period.
    pub fn cycle(&self, now: Duration) -> u64 {
        self.cycle_of(now).max(self.cycle)
    }

    /// The number of the period that `time` is in.
    pub(super) fn cycle_of(&self, time: Duration) -> u64 {
        nanos(time) / self.period
    }

    /// Permissions there are now; negative while later ones are reserved.
    pub fn available(&self, now: Duration) -> i64 {
        let passed = self.cycle(now) - self.cycle;
        let brought = i64::try_from(passed).unwrap_or(i64::MAX).saturating_mul(self.limit);
        // A period brings no more than the limit, but does not take what there is beyond it before it begins.
        if passed == 0 { self.permissions } else { self.permissions.saturating_add(brought).min(self.limit) }
    }

    /// The number of the last period of which permissions are taken; at least the present one.
    pub(super) fn last_reserved(&self, now: Duration) -> u64 {
        let debt = self.available(now).min(0).unsigned_abs();
        self.cycle(now).saturating_add(debt.div_ceil(self.limit.unsigned_abs()))
    }

    /// How long a call for `permits` has to wait, without taking them.
    pub fn wait(&self, now: Duration, permits: u32) -> Duration {
        let missing = i64::from(permits) - self.available(now);
        if missing <= 0 {
            return Duration::ZERO;
        }
        // The end of the present period, and the whole periods after it until enough have been brought.
        let periods = (missing as u64).div_ceil(self.limit as u64);
        let until = (self.cycle(now).saturating_add(periods)).saturating_mul(self.period);
        Duration::from_nanos(until.saturating_sub(nanos(now)))
    }

    /// Takes `permits`, to be used after the wait that is returned; `None`, and nothing taken, if that is longer than
    /// `max_wait`.
    pub fn reserve(&mut self, now: Duration, permits: u32, max_wait: Duration) -> Option<Duration> {
        self.settle(now);
        let wait = self.wait(now, permits);
        if wait > max_wait {
            return None;
        }
        self.permissions = self.permissions.saturating_sub(i64::from(permits));
        Some(wait)
    }

    /// Gives back permits that were reserved and not used, as far as they still are a debt or within the limit.
    pub fn give_back(&mut self, now: Duration, permits: u32) {
        self.settle(now);
        let most = self.limit.max(self.permissions);
        self.permissions = self.permissions.saturating_add(i64::from(permits)).min(most);
    }

    /// Takes all permissions of the present period. A debt stays.
    pub fn drain(&mut self, now: Duration) {
        self.settle(now);
        self.permissions = self.permissions.min(0);
    }

    /// Changes the limit. A period in which permits have been asked for keeps its permissions; those since then bring
    /// the new limit, the present one included. Waits are computed with it at once.
    pub fn change_limit(&mut self, _now: Duration, limit: u32) {
        self.limit = i64::from(limit);
    }

    fn settle(&mut self, now: Duration) {
        self.permissions = self.available(now);
        self.cycle = self.cycle(now);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
