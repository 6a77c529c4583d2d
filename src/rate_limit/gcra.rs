//! The decision of the smooth mode: pure, with `now` as an argument.
//!
//! GCRA keeps one number, the theoretical time of the next call; a call may come up to a tolerance (the burst) before
//! it. Calls that wait are charged at their theoretical time, not when their timer has woken them, or the rate would
//! fall short by the timer's rounding. In exchange they come due later than the tolerance allows, by as many calls as go
//! in one timer tick, and so does who comes after them until a pause, which keeps `limit + burst` a bound over any
//! period. (Where a burst is less than goes in a tick, those that wait are let through at less than the limit.)
//!
//! Time is counted in units of 1/limit nanoseconds, of which a call takes as many as the period has nanoseconds: there
//! is nothing to round, at any rate.

use std::time::Duration;

use super::settings::RateLimitSettings;

/// What tokio's timer may be late by: its tick.
const TICK: Duration = Duration::from_millis(1);

#[derive(Clone, Debug)]
pub(super) struct Gcra {
    /// Units in a nanosecond.
    limit: u128,
    /// Units that a call takes.
    cell: u128,
    /// How far ahead of its theoretical time a call may come.
    tolerance: u128,
    /// A timer's tick.
    tick: u128,
    /// The whole calls' time in a tick, by which those that wait come due later.
    margin: u128,
    /// The theoretical time of the next call.
    next: u128,
    /// By how much calls that waited were let run late, as long as no pause has made up for it.
    late: u128,
    /// When those that were served last began to be, while their turns can be given back.
    returnable: Option<u128>,
}

/// What comes of serving the first of those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// It is not due.
    NotYet,
    /// It goes, and the turns of those that went before it can no longer be given back.
    Anew,
    /// It goes, and so did others just now.
    Too,
}

impl Gcra {
    pub(super) fn new(settings: &RateLimitSettings) -> Self {
        let (limit, cell) = (u128::from(settings.limit), settings.period.as_nanos());
        Self {
            limit,
            cell,
            tolerance: cell * u128::from(settings.burst - 1),
            tick: TICK.as_nanos() * limit,
            margin: TICK.as_nanos() * limit / cell * cell,
            next: 0,
            late: 0,
            returnable: None,
        }
    }

    fn units(&self, time: Duration) -> u128 {
        time.as_nanos() * self.limit
    }

    /// Rounded up, so that a call at that time is let through.
    fn time(&self, units: u128) -> Duration {
        Duration::from_nanos(u64::try_from(units.div_ceil(self.limit)).unwrap_or(u64::MAX))
    }

    /// Lets a call through, or says when the next will be.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let now = self.units(now);
        if now > self.next {
            self.late = self.late.saturating_sub(now - self.next);
            self.next = now;
            self.returnable = None;
        }
        if self.next + self.late > now + self.tolerance {
            return Err(self.time(self.next + self.late - self.tolerance));
        }
        self.next += self.cell;
        Ok(())
    }

    /// When a call will be let through that waits behind `ahead` others.
    pub(super) fn due(&self, ahead: usize) -> Duration {
        let theoretical = self.next + self.cell * ahead as u128;
        self.time((theoretical + self.margin).saturating_sub(self.tolerance))
    }

    /// Lets the first of those that wait through, if it is due.
    pub(super) fn serve(&mut self, now: Duration) -> Served {
        let now = self.units(now);
        if self.next + self.margin > now + self.tolerance {
            return Served::NotYet;
        }
        let at_least = now.saturating_sub(self.tick);
        let too = self.next >= at_least && self.returnable.is_some_and(|since| now <= since + self.tick);
        self.next = self.next.max(at_least) + self.cell;
        self.late = self.margin;
        if too {
            return Served::Too;
        }
        self.returnable = Some(now);
        Served::Anew
    }

    /// A call that was served was not made. Whether that counts: only within a tick, and before a pause. By then the
    /// turn is lost, as if nobody had waited for it; else those kept for later would add up to more than a burst.
    pub(super) fn give_back(&mut self, now: Duration) -> bool {
        let now = self.units(now);
        let counts = self.returnable.is_some_and(|since| now <= since + self.tick);
        if counts {
            self.next = self.next.saturating_sub(self.cell);
        }
        counts
    }

    /// Takes over other settings. So many calls of the burst as have been used up stay used up, to come back at the new
    /// rate; all of it at most.
    pub(super) fn change(&mut self, now: Duration, settings: &RateLimitSettings) {
        let changed = Self::new(settings);
        let used = self.next.saturating_sub(self.units(now));
        // In whole calls where the numbers are too large for more.
        let used = used
            .checked_mul(changed.cell)
            .map_or((used / self.cell).saturating_mul(changed.cell), |used| used / self.cell);
        let next = changed.units(now) + used.min(changed.tolerance + changed.cell);
        *self = Self { next, late: self.late / self.limit * changed.limit, ..changed };
    }

    /// Takes so many turns that were given out elsewhere, but keeps who waits no longer than for `longest`, by when
    /// those have been used, and for the burst to come back.
    pub(super) fn charge(&mut self, now: Duration, turns: u64, longest: Duration) {
        let most = self.units(now.saturating_add(longest)) + self.tolerance;
        let start = self.next.max(self.units(now));
        let charged = start + self.cell * u128::from(turns);
        self.next = charged.min(most).max(start);
    }

    /// How many calls would be let through now, one after the other.
    pub(super) fn available(&self, now: Duration) -> u64 {
        let now = self.units(now);
        let next = self.next.max(now) + self.late;
        let room = (now + self.tolerance).checked_sub(next);
        room.map_or(0, |room| u64::try_from(room / self.cell + 1).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settings(limit: u32, burst: u32) -> RateLimitSettings {
        RateLimitSettings { burst, ..RateLimitSettings::new(limit, Duration::from_secs(1)) }
    }

    proptest! {
        /// Callers come at any times, with or without waiting, timers are late by up to a tick (and sometimes much more).
        #[test]
        fn at_most_limit_and_burst_in_any_period(
            limit in 1_u32..3000,
            burst in 1_u32..50,
            steps in prop::collection::vec((0_u64..4_000_000, 0_usize..6, 0_u64..1_100_000, 0_u8..40), 1..600),
        ) {
            let mut gcra = Gcra::new(&settings(limit, burst));
            let mut now = Duration::ZERO;
            let mut waiting = 0;
            let mut admitted = Vec::new();
            for (gap, callers, late, stall) in steps {
                now += Duration::from_nanos(if stall == 0 { gap * 1000 } else { gap });
                for _ in 0..callers {
                    if waiting > 0 || gcra.take(now).is_err() {
                        waiting += 1;
                    } else {
                        admitted.push(now);
                    }
                }
                if waiting > 0 && gcra.due(0) <= now + Duration::from_millis(3) {
                    now = now.max(gcra.due(0)) + Duration::from_nanos(late);
                    while waiting > 0 && gcra.serve(now) != Served::NotYet {
                        waiting -= 1;
                        admitted.push(now);
                    }
                }
            }
            let most = (limit + burst) as usize;
            for window in admitted.windows(most + 1) {
                prop_assert!(window[most] - window[0] > Duration::from_secs(1), "{} calls in {:?}", most + 1, window[most] - window[0]);
            }
        }

        #[test]
        fn a_call_at_the_time_named_is_let_through_and_one_before_it_is_not(limit in 1_u32..100_000, burst in 1_u32..9) {
            let mut gcra = Gcra::new(&settings(limit, burst));
            let mut now = Duration::from_secs(5);
            for _ in 0..100 {
                while gcra.take(now).is_ok() {}
                let at = gcra.take(now).unwrap_err();
                prop_assert!(gcra.clone().take(at - Duration::from_nanos(1)).is_err());
                prop_assert!(gcra.clone().take(at).is_ok());
                now = at;
            }
        }
    }

    #[test]
    fn who_comes_right_after_calls_that_were_served_late_does_not_exceed_the_bound() {
        let mut gcra = Gcra::new(&settings(1000, 1));
        gcra.take(Duration::ZERO).unwrap();
        // A thousand and one calls within a second, each a timer's tick late: the limit and the burst.
        for ms in 3..=1003 {
            assert_ne!(gcra.serve(Duration::from_millis(ms)), Served::NotYet);
        }
        assert!(gcra.take(Duration::from_millis(1003)).is_err());
        gcra.take(Duration::from_millis(1004)).unwrap();
    }

    #[test]
    fn a_burst_is_let_through_at_once_after_a_pause_and_no_more() {
        let mut gcra = Gcra::new(&settings(100, 10));
        let now = Duration::from_secs(7);
        assert_eq!(gcra.available(now), 10);
        assert_eq!((0..100).filter(|_| gcra.take(now).is_ok()).count(), 10);
        assert_eq!(gcra.available(now), 0);
    }

    #[test]
    fn a_changed_limit_keeps_what_has_been_used_up() {
        let mut gcra = Gcra::new(&settings(1, 1));
        let now = Duration::from_secs(7);
        gcra.take(now).unwrap();
        gcra.change(now, &settings(10, 1));
        assert_eq!(gcra.take(now), Err(Duration::from_millis(7100)));
        gcra.take(Duration::from_secs(8)).unwrap();
        assert_eq!(gcra.take(Duration::from_secs(8)), Err(Duration::from_millis(8100)));
    }

    #[test]
    fn the_largest_numbers_can_be_changed_to_each_other() {
        const DAY: Duration = Duration::from_secs(86_400);
        // A share of a millionth of one call a day, with the largest burst, all of it used up.
        let largest = RateLimitSettings { burst: 1_000_000_000, ..RateLimitSettings::new(1, DAY * 1_000_000) };
        let mut gcra = Gcra::new(&largest);
        let now = Duration::from_secs(7);
        gcra.next = gcra.units(now) + gcra.tolerance + gcra.cell;
        gcra.change(now, &largest);
        gcra.take(now).unwrap_err();
        assert_eq!(gcra.next, gcra.units(now) + gcra.tolerance + gcra.cell);
        gcra.change(now, &settings(u32::MAX, 1_000_000_000));
        gcra.take(now).unwrap_err();
    }

    #[test]
    fn a_burst_used_up_at_a_low_rate_does_not_block_a_higher_one() {
        // One a minute, an hour's worth at once; then one a second.
        let slow = RateLimitSettings { burst: 60, ..RateLimitSettings::new(1, Duration::from_secs(60)) };
        let mut gcra = Gcra::new(&slow);
        let now = Duration::from_secs(7);
        while gcra.take(now).is_ok() {}
        gcra.change(now, &settings(1, 60));
        assert_eq!(gcra.take(now), Err(Duration::from_secs(8)));
        // Nor does a burst that is made smaller.
        gcra.change(now, &settings(1, 1));
        assert_eq!(gcra.take(now), Err(Duration::from_secs(8)));
    }
}
