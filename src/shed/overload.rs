//! Whether calls are being shed: begins with the first, and ends when none has been for a while. Pure.

use std::{mem, time::Duration};

/// It is over when nothing has been shed for so many intervals: an overload in which the queue runs empty now and then is
/// one, not many.
const CALM: u32 = 10;

#[derive(Debug, Default)]
pub(super) struct Overload {
    since: Option<Duration>,
    /// When a call was last shed.
    last: Duration,
    shed: u64,
    changes: Changes,
}

/// What has changed and not been told: one overload may end and the next begin before anybody looks.
pub(super) type Changes = [Option<Change>; 2];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Began,
    /// After so long, with so many calls shed.
    Ended(Duration, u64),
}

impl Overload {
    pub(super) fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// How long ago the last call was shed, in an overload.
    pub(super) fn last_shed(&self, now: Duration) -> Option<Duration> {
        self.since.map(|_| now.saturating_sub(self.last))
    }

    /// When it will be over unless a call is shed.
    pub(super) fn over_at(&self, interval: Duration) -> Option<Duration> {
        self.since.map(|_| self.last.saturating_add(interval.saturating_mul(CALM)))
    }

    /// Ends what was over by now.
    pub(super) fn settle(&mut self, now: Duration, interval: Duration) {
        if let (Some(since), Some(end)) = (self.since, self.over_at(interval))
            && now >= end
        {
            self.since = None;
            let shed = mem::take(&mut self.shed);
            self.tell(Change::Ended(end.saturating_sub(since), shed));
        }
    }

    /// A call is shed.
    pub(super) fn shed(&mut self, now: Duration) {
        self.last = self.last.max(now);
        self.shed += 1;
        if self.since.is_none() {
            self.since = Some(now);
            self.tell(Change::Began);
        }
    }

    fn tell(&mut self, change: Change) {
        let at = usize::from(self.changes[0].is_some());
        self.changes[at] = Some(change);
    }

    /// What is to be told.
    pub(super) fn changes(&mut self) -> Changes {
        mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn it_lasts_until_nothing_has_been_shed_for_ten_intervals_and_ends_then_whenever_somebody_looks() {
        let mut overload = Overload::default();
        overload.settle(5000 * MS, 100 * MS);
        assert_eq!(overload.changes(), [None, None]);
        for at in [10_000, 10_500, 11_499] {
            overload.settle(at * MS, 100 * MS);
            overload.shed(at * MS);
        }
        assert_eq!(overload.changes(), [Some(Change::Began), None]);
        assert_eq!(overload.over_at(100 * MS), Some(12_499 * MS));
        overload.settle(12_498 * MS, 100 * MS);
        assert!(overload.is_on());
        assert_eq!(overload.last_shed(12_498 * MS), Some(999 * MS));
        overload.settle(99_000 * MS, 100 * MS);
        overload.shed(99_000 * MS);
        assert_eq!(overload.changes(), [Some(Change::Ended(2499 * MS, 3)), Some(Change::Began)]);
        assert_eq!(overload.changes(), [None, None]);
        overload.settle(Duration::MAX, Duration::MAX);
        assert_eq!(overload.changes(), [Some(Change::Ended(Duration::MAX - 99_000 * MS, 1)), None]);
        assert_eq!((overload.over_at(MS), overload.last_shed(Duration::MAX)), (None, None));
    }
}
