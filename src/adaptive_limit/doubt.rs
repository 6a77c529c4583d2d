//! Whether it helps to cut. Pure.
//!
//! Where calls take long by themselves no limit makes them faster, and one that goes down as long as they do ends at its
//! lowest. So the time that bad calls take is remembered when cutting begins. If it is the same with half of the calls, the
//! limit goes back, and stays for a while.

use std::time::Duration;

/// It has helped if bad calls take at most this share of the time that they took before.
const HELPED: f64 = 0.8;
/// So many deadlines after half of the calls have gone it must have been felt: servers work off what nobody waits for any
/// more.
const PATIENCE: u32 = 3;
/// For so many deadlines it stays after that, twice as long each time, up to the second.
const HOLD: (u32, u32) = (20, 320);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Doubt {
    cutting: Option<Begun>,
    held_until: Duration,
    /// In deadlines.
    hold: u32,
}

/// How things were when cutting began, or helped last; of the time, the worst since.
#[derive(Clone, Copy, Debug)]
struct Begun {
    limit: f64,
    takes: Duration,
    /// Since when half as many calls are in progress.
    halved: Option<Duration>,
}

/// What to do in an overload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Advice {
    Cut,
    Stay,
    /// It has not helped: back to what it was.
    Back(f64),
}

impl Doubt {
    /// Calls are well, or bad for another reason than time.
    pub(super) fn none(&mut self) {
        *self = Self::default();
    }

    /// Bad calls take so long, with so many in progress at most.
    pub(super) fn advise(
        &mut self,
        now: Duration,
        limit: f64,
        peak: u32,
        takes: Duration,
        deadline: Duration,
    ) -> Advice {
        if now < self.held_until {
            return Advice::Stay;
        }
        let here = Begun { limit, takes, halved: None };
        let begun = self.cutting.get_or_insert(here);
        // Calls that are in a queue already take longer than those that came out of it before.
        begun.takes = begun.takes.max(takes);
        let few = limit.max(f64::from(peak)) <= begun.limit / 2.0;
        begun.halved = begun.halved.or(few.then_some(now));
        let begun = *begun;
        if takes < begun.takes.mul_f64(HELPED) {
            self.cutting = Some(here);
        } else if let Some(halved) = begun.halved
            // What ends now has begun after that.
            && now.saturating_sub(halved) >= deadline.saturating_mul(PATIENCE).max(takes)
        {
            self.hold = (self.hold * 2).clamp(HOLD.0, HOLD.1);
            (self.cutting, self.held_until) = (None, now.saturating_add(deadline.saturating_mul(self.hold)));
            return Advice::Back(begun.limit);
        }
        Advice::Cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MS: Duration = Duration::from_millis(1);

    /// With the whole limit in use.
    fn advise(doubt: &mut Doubt, now: u32, limit: f64, takes: u32) -> Advice {
        doubt.advise(MS * now, limit, limit as u32, MS * takes, SECOND)
    }

    #[test]
    fn a_cut_to_half_that_has_not_helped_in_three_deadlines_is_taken_back() {
        let mut doubt = Doubt::default();
        assert_eq!(advise(&mut doubt, 0, 40.0, 800), Advice::Cut);
        assert_eq!(advise(&mut doubt, 500, 20.1, 800), Advice::Cut);
        assert_eq!(advise(&mut doubt, 1000, 20.0, 800), Advice::Cut);
        assert_eq!(advise(&mut doubt, 3999, 10.0, 800), Advice::Cut);
        assert_eq!(advise(&mut doubt, 4000, 10.0, 640), Advice::Back(40.0));
    }

    #[test]
    fn calls_that_began_before_the_cut_do_not_say_whether_it_helps() {
        let mut doubt = Doubt::default();
        for (at, peak, takes) in [(0, 100, 1000), (5000, 60, 5000), (6000, 50, 5500), (10_999, 10, 5000)] {
            assert_eq!(
                doubt.advise(MS * at, 100.0 / 8.0_f64.powf(f64::from(at.min(1))), peak, MS * takes, SECOND),
                Advice::Cut,
                "{at}"
            );
        }
        assert_eq!(doubt.advise(MS * 11_000, 10.0, 10, MS * 5000, SECOND), Advice::Back(100.0));
    }

    #[test]
    fn one_that_has_helped_is_where_the_next_begins() {
        let mut doubt = Doubt::default();
        advise(&mut doubt, 0, 40.0, 800);
        assert_eq!(advise(&mut doubt, 3000, 20.0, 639), Advice::Cut);
        assert_eq!(advise(&mut doubt, 4000, 10.0, 639), Advice::Cut);
        assert_eq!(advise(&mut doubt, 6999, 5.0, 639), Advice::Cut);
        assert_eq!(advise(&mut doubt, 7000, 5.0, 639), Advice::Back(20.0));
    }

    #[test]
    fn what_has_become_worse_since_cutting_began_may_become_as_bad_again() {
        let mut doubt = Doubt::default();
        for (at, takes) in [(0, 600), (250, 2500), (1000, 1500), (5000, 1500), (5250, 700)] {
            assert_eq!(advise(&mut doubt, at, if at < 1000 { 40.0 } else { 10.0 }, takes), Advice::Cut, "{at}");
        }
    }

    #[test]
    fn then_it_stays_for_twenty_deadlines_and_twice_as_long_each_time_until_all_is_well() {
        let mut doubt = Doubt::default();
        let mut now = 0;
        for hold in [20, 40, 80, 160, 320, 320] {
            assert_eq!(advise(&mut doubt, now, 40.0, 800), Advice::Cut);
            assert_eq!(advise(&mut doubt, now, 10.0, 800), Advice::Cut);
            now += 3000;
            assert_eq!(advise(&mut doubt, now, 10.0, 800), Advice::Back(40.0));
            now += 1000 * hold;
            assert_eq!(advise(&mut doubt, now - 1, 40.0, 1000), Advice::Stay);
        }
        doubt.none();
        assert_eq!(advise(&mut doubt, now - 1, 40.0, 800), Advice::Cut);
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut doubt = Doubt::default();
        for now in [Duration::ZERO, Duration::MAX, Duration::MAX] {
            for limit in [1e6, 0.0] {
                doubt.advise(now, limit, u32::MAX, Duration::MAX, Duration::MAX);
            }
        }
    }
}
