//! The decision: what a late timer says, and how much it excuses. Pure: `now` is the time since an origin.

use std::time::Duration;

/// A timer that is found later than this tells of a stall. Timers of a healthy runtime are late by 1 to 10 ms; a container
/// that is held to its share of the processor is stopped for up to a period of 100 ms at a time.
pub(super) const LATE: Duration = Duration::from_millis(100);

/// What follows a stall is excused for as long as it lasted, and no longer than this: what has piled up is worked off.
const SETTLING: Duration = Duration::from_secs(1);

/// Time that may be excused at any moment, if none has been for long.
const CREDIT: Duration = Duration::from_secs(10);

/// The most that is owed: a pause of hours is paid for in five minutes.
const MOST_OWED: Duration = Duration::from_secs(70);

/// In the long run, no more than one part in so many of the time is excused.
const SHARE: u32 = 5;

/// What one thread, or one runtime, may be excused for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Excuses {
    /// The stall seen last.
    began: Duration,
    ended: Duration,
    /// Outcomes up to here are excused.
    until: Duration,
    /// Time excused, less a share of the time that has passed since.
    debt: Duration,
    /// When `debt` was right.
    at: Duration,
}

impl Excuses {
    pub(super) const NONE: Self = Self {
        began: Duration::ZERO,
        ended: Duration::ZERO,
        until: Duration::ZERO,
        debt: Duration::ZERO,
        at: Duration::ZERO,
    };

    /// A timer that was due at `due` is looked at only `now`.
    pub(super) fn note(&mut self, due: Duration, now: Duration) {
        self.debt = self.debt.saturating_sub(now.saturating_sub(self.at) / SHARE);
        self.at = self.at.max(now);
        // Others of the same stall were due earlier or later.
        self.began = if due <= self.ended { self.began.min(due) } else { due };
        self.ended = self.ended.max(now);
        if self.debt >= CREDIT {
            return;
        }
        let until = self.ended.saturating_add((self.ended - self.began).min(SETTLING));
        self.debt = self.debt.saturating_add(until.saturating_sub(self.until.max(due))).min(MOST_OWED);
        self.until = self.until.max(until);
    }

    pub(super) fn covers(&self, now: Duration) -> bool {
        now < self.until
    }
}

/// How full `Totals::level` is when the pressure is 1.
const FULL: Duration = Duration::from_secs(1);

/// All stalls of the process; those of several threads at the same time are one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    pub(super) stalls: u64,
    pub(super) total: Duration,
    pub(super) longest: Duration,
    began: Duration,
    ended: Duration,
    /// When the stall before that ended.
    ended_before: Duration,
    /// A bucket of stalled time that leaks.
    level: Duration,
}

impl Totals {
    pub(super) const NONE: Self = Self {
        stalls: 0,
        total: Duration::ZERO,
        longest: Duration::ZERO,
        began: Duration::ZERO,
        ended: Duration::ZERO,
        ended_before: Duration::ZERO,
        level: Duration::ZERO,
    };

    /// As for [`Excuses::note`]. Whether this is the first that is heard of the stall.
    pub(super) fn note(&mut self, due: Duration, now: Duration) -> bool {
        let now = now.max(self.ended);
        let new = self.stalls == 0 || due > self.ended;
        // It leaks while there is no stall.
        self.level = self.leaked(due);
        let before = self.ended - self.began;
        if new {
            self.ended_before = self.ended;
            (self.began, self.ended) = (due, now);
        } else {
            (self.began, self.ended) = (self.began.min(due.max(self.ended_before)), now);
        }
        let length = self.ended - self.began;
        let more = if new { length } else { length - before };
        self.stalls += u64::from(new);
        self.total = self.total.saturating_add(more);
        self.level = self.level.saturating_add(more).min(FULL);
        self.longest = self.longest.max(length);
        new
    }

    /// The last stall: how long it was, and how long ago it ended.
    pub(super) fn last(&self, now: Duration) -> Option<(Duration, Duration)> {
        (self.stalls > 0).then(|| (self.ended - self.began, now.saturating_sub(self.ended)))
    }

    /// 1 once a second has been lost; falls to 0 in five.
    pub(super) fn pressure(&self, now: Duration) -> f64 {
        self.leaked(now).as_secs_f64() / FULL.as_secs_f64()
    }

    fn leaked(&self, now: Duration) -> Duration {
        self.level.saturating_sub(now.saturating_sub(self.ended) / SHARE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_follows_a_stall_is_excused_for_as_long_as_it_was_at_most_a_second() {
        let mut excuses = Excuses::NONE;
        assert!(!excuses.covers(Duration::ZERO));
        excuses.note(10 * SECOND, 10 * SECOND + 300 * MS);
        assert!(excuses.covers(10 * SECOND + 599 * MS));
        assert!(!excuses.covers(10 * SECOND + 600 * MS));
        // Another timer of the same stall: it was longer.
        excuses.note(9 * SECOND, 10 * SECOND + 301 * MS);
        assert!(excuses.covers(11 * SECOND + 300 * MS));
        assert!(!excuses.covers(11 * SECOND + 301 * MS));
    }

    #[test]
    fn a_stall_of_a_minute_is_excused_and_paid_for() {
        let mut excuses = Excuses::NONE;
        let end = 60 * SECOND;
        excuses.note(Duration::ZERO, end);
        assert!(excuses.covers(end));
        // It cost 61 s, of which a fifth of the time gives back; 10 s may be owed.
        for (later, excused) in [(200 * SECOND, false), (254 * SECOND, false), (256 * SECOND, true)] {
            let mut excuses = excuses;
            excuses.note(end + later - 200 * MS, end + later);
            assert_eq!(excuses.covers(end + later), excused, "{later:?}");
        }
    }

    #[test]
    fn a_pause_of_hours_is_paid_for_in_five_minutes() {
        let mut excuses = Excuses::NONE;
        let end = 7200 * SECOND;
        excuses.note(Duration::ZERO, end);
        for (later, excused) in [(299 * SECOND, false), (302 * SECOND, true)] {
            let mut excuses = excuses;
            excuses.note(end + later - 200 * MS, end + later);
            assert_eq!(excuses.covers(end + later), excused, "{later:?}");
        }
    }

    #[test]
    fn timers_of_one_stall_are_paid_for_once() {
        let mut once = Excuses::NONE;
        once.note(10 * SECOND, 13 * SECOND);
        let mut often = Excuses::NONE;
        for timer in 0..1000 {
            often.note(10 * SECOND + timer * MS, 13 * SECOND);
        }
        assert_eq!(often.debt, once.debt);
    }

    /// How much of `seconds` of outcomes, one each 10 ms of running, counts.
    fn share_that_counts(run: Duration, stall: Duration, seconds: u32) -> f64 {
        let (mut now, mut excuses) = (Duration::ZERO, Excuses::NONE);
        let (mut counted, mut all) = (0_u32, 0_u32);
        while now < seconds * SECOND {
            for _ in 0..run.as_millis() / 10 {
                now += 10 * MS;
                all += 1;
                counted += u32::from(!excuses.covers(now));
            }
            now += stall;
            excuses.note(now - stall, now);
        }
        f64::from(counted) / f64::from(all)
    }

    #[test]
    fn stalls_that_never_end_leave_no_breaker_blind() {
        // A tenth of each second, as a starved container has it.
        assert!(share_that_counts(900 * MS, 100 * MS, 600) > 0.85);
        // Most of the time.
        assert!(share_that_counts(200 * MS, 800 * MS, 600) > 0.75);
        // Futures that are polled once in half a minute: only what is judged at that moment would count.
        assert!(share_that_counts(10 * MS, 30 * SECOND, 6000) > 0.75);
    }

    proptest! {
        #[test]
        fn no_more_than_a_fifth_of_the_time_is_excused(
            stalls in prop::collection::vec((0_u32..5_000, 100_u32..20_000, 0_u32..3), 1..200),
        ) {
            let (mut now, mut excuses) = (Duration::ZERO, Excuses::NONE);
            let (mut excused, mut excused_until, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
            for (gap, length, others) in stalls {
                let due = now + gap * MS;
                now = due + length * MS;
                longest = longest.max(length * MS);
                for other in 0..=others {
                    excuses.note(due + other * 10 * MS, now);
                }
                if excuses.covers(now) {
                    excused += excuses.until - due.max(excused_until);
                    excused_until = excuses.until;
                }
                prop_assert!(excuses.until <= now + SETTLING);
                prop_assert!(excused <= now / SHARE + CREDIT + longest + SETTLING, "{excused:?} of {now:?}");
            }
        }

        #[test]
        fn totals_are_of_the_time_in_which_anybody_was_stalled(
            stalls in prop::collection::vec((0_u32..4_000, 100_u32..3_000, 0_u32..3_000), 1..50),
        ) {
            let (mut totals, mut stalled, mut longest) = (Totals::NONE, Duration::ZERO, Duration::ZERO);
            let (mut now, mut count) = (Duration::ZERO, 0_u64);
            for (gap, length, part) in stalls {
                // One after the other, each seen twice: by a timer within it, then by one that was due at its begin.
                let due = now + (gap + 1) * MS;
                now = due + length * MS;
                prop_assert!(totals.note(now - part.min(length) * MS, now));
                totals.note(due, now);
                count += 1;
                stalled += length * MS;
                longest = longest.max(length * MS);
                prop_assert_eq!(totals.stalls, count);
                prop_assert_eq!(totals.longest, longest);
                prop_assert_eq!(totals.total, stalled);
                prop_assert_eq!(totals.last(now + SECOND), Some((length * MS, SECOND)));
                prop_assert!((0.0..=1.0).contains(&totals.pressure(now)));
            }
        }
    }

    #[test]
    fn pressure_is_full_after_a_second_and_falls_in_five() {
        let mut totals = Totals::NONE;
        assert_eq!(totals.pressure(SECOND), 0.0);
        totals.note(SECOND, SECOND + 200 * MS);
        assert_eq!(totals.pressure(SECOND + 200 * MS), 0.2);
        totals.note(10 * SECOND, 13 * SECOND);
        assert_eq!(totals.pressure(13 * SECOND), 1.0);
        assert_eq!(totals.pressure(13 * SECOND + 2500 * MS), 0.5);
        assert_eq!(totals.pressure(18 * SECOND), 0.0);
    }
}
