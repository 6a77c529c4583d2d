//! Whether it helps to cut. Pure.
//!
//! Where calls take long by themselves no limit makes them faster, and one that goes down as long as they do ends at its
//! lowest. So the time that bad calls take is remembered when cutting begins. If it is the same with half of the calls, the
//! limit goes back, and stays for a while.

use std::time::Duration;

/// It has helped if bad calls take at most this share of the time that they took before.
const HELPED: f64 = 0.8;
/// For so many deadlines it may take until a cut is felt: servers work off what nobody waits for any more.
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

/// How things were when cutting began, or helped last.
#[derive(Clone, Copy, Debug)]
struct Begun {
    at: Duration,
    limit: f64,
    takes: Duration,
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

    /// Bad calls take so long.
    pub(super) fn advise(&mut self, now: Duration, limit: f64, takes: Duration, deadline: Duration) -> Advice {
        if now < self.held_until {
            return Advice::Stay;
        }
        let here = Begun { at: now, limit, takes };
        let begun = *self.cutting.get_or_insert(here);
        if takes < begun.takes.mul_f64(HELPED) {
            self.cutting = Some(here);
        } else if limit <= begun.limit / 2.0 && now.saturating_sub(begun.at) >= deadline.saturating_mul(PATIENCE) {
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

    fn advise(doubt: &mut Doubt, now: u32, limit: f64, takes: u32) -> Advice {
        doubt.advise(MS * now, limit, MS * takes, SECOND)
    }

    #[test]
    fn a_cut_to_half_that_has_not_helped_in_three_deadlines_is_taken_back() {
        let mut doubt = Doubt::default();
        assert_eq!(advise(&mut doubt, 0, 40.0, 800), Advice::Cut);
        assert_eq!(advise(&mut doubt, 2999, 10.0, 800), Advice::Cut);
        assert_eq!(advise(&mut doubt, 3000, 20.1, 800), Advice::Cut);
        assert_eq!(advise(&mut doubt, 3000, 20.0, 640), Advice::Back(40.0));
    }

    #[test]
    fn one_that_has_helped_is_where_the_next_begins() {
        let mut doubt = Doubt::default();
        advise(&mut doubt, 0, 40.0, 800);
        assert_eq!(advise(&mut doubt, 3000, 20.0, 639), Advice::Cut);
        assert_eq!(advise(&mut doubt, 5999, 5.0, 639), Advice::Cut);
        assert_eq!(advise(&mut doubt, 6000, 10.0, 639), Advice::Back(20.0));
    }

    #[test]
    fn then_it_stays_for_twenty_deadlines_and_twice_as_long_each_time_until_all_is_well() {
        let mut doubt = Doubt::default();
        let mut now = 0;
        for hold in [20, 40, 80, 160, 320, 320] {
            assert_eq!(advise(&mut doubt, now, 40.0, 800), Advice::Cut);
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
                doubt.advise(now, limit, Duration::MAX, Duration::MAX);
            }
        }
    }
}
