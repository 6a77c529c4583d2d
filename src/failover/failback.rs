//! Going back: when one that has recovered is used again, and how fast. Pure.

use std::time::Duration;

/// When traffic goes back to an endpoint that has recovered, after it had moved to a lower tier. Work in flight never moves.
///
/// Until then the endpoint is in hold: used only when nothing else is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failback {
    /// As soon as it has recovered. One that flaps takes the traffic along each time.
    Immediate,
    /// After it has been well for so long. Default: this, with 30 s. Up to 10 % are added, so that not all clients go back
    /// at once.
    ///
    /// The hold doubles, up to 16 times as long, each time that the endpoint is lost again in hold, or within one hold
    /// after going back. It halves for each hold that the endpoint stays well after that. So, with a hold of `h`, traffic
    /// goes back at most `1 + t / 2h` times in any time `t`, however the endpoint flaps; and if it never stays well
    /// for a whole hold, at most `log2(t / h + 1)` times in the first `31 h`, and once in `16 h` from then on.
    After(Duration),
    /// Only by hand. When what is used instead is lost, the next tiers come first.
    Manual,
    /// Not as long as what is used instead is well. When that is lost, all that have recovered can be used again, in the
    /// order of their tiers.
    Sticky,
}

impl Default for Failback {
    fn default() -> Self {
        Self::After(Duration::from_secs(30))
    }
}

impl Failback {
    /// How long one that has recovered is in hold; `None`: until something else ends it.
    pub(super) const fn hold(self) -> Option<Duration> {
        match self {
            Self::Immediate => Some(Duration::ZERO),
            Self::After(hold) => Some(hold),
            Self::Manual | Self::Sticky => None,
        }
    }

    /// Whether all that are in hold are free when what was used instead of them is lost.
    pub(super) const fn ends_with_a_loss(self) -> bool {
        matches!(self, Self::Sticky)
    }
}

/// How often the hold is doubled at most.
const MOST_DOUBLINGS: u32 = 4;
/// The most that is added to a hold.
const JITTER: f64 = 0.1;

/// What is remembered of the flapping of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Damping {
    doublings: u32,
    /// The hold as it was set when the endpoint recovered last.
    hold: Duration,
    at: At,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum At {
    /// It is used, and nothing is known to its discredit; or it is out.
    #[default]
    Unremarked,
    /// It has recovered and waits for this.
    Held { until: Duration },
    /// It has been used again since.
    Back { since: Duration },
}

impl Damping {
    /// It is well again. The answer is until when it is in hold; `random` is a draw in `[0, 1)`.
    pub(super) fn recovered(&mut self, now: Duration, hold: Duration, random: f64) -> Duration {
        self.hold = hold;
        let hold = self.current();
        let until = now.saturating_add(hold).saturating_add(jitter(hold, random));
        self.at = At::Held { until };
        until
    }

    /// It is used again.
    pub(super) fn returned(&mut self, now: Duration) {
        self.at = At::Back { since: now };
    }

    /// It is out.
    pub(super) fn lost(&mut self, now: Duration) {
        match self.at {
            At::Unremarked => {}
            At::Held { until } if now < until => self.bounced(),
            // Nobody has looked since its hold was over.
            At::Held { until: since } | At::Back { since } => {
                if now.saturating_sub(since) < self.current() {
                    self.bounced();
                } else {
                    self.doublings = self.doublings_left(since, now);
                }
            }
        }
        self.at = At::Unremarked;
    }

    /// How many times the hold that is set the next one would be: 1 to 16.
    #[cfg(test)]
    pub(super) fn times(&self, now: Duration) -> u32 {
        match self.at {
            At::Back { since } => 1 << self.doublings_left(since, now),
            _ => 1 << self.doublings,
        }
    }

    fn current(&self) -> Duration {
        self.hold.saturating_mul(1 << self.doublings)
    }

    fn bounced(&mut self) {
        self.doublings = (self.doublings + 1).min(MOST_DOUBLINGS);
    }

    /// One less for each hold, as long as it then is, that has gone by since it went back.
    fn doublings_left(&self, since: Duration, now: Duration) -> u32 {
        let mut well = now.saturating_sub(since);
        let mut doublings = self.doublings;
        while doublings > 0 {
            let Some(rest) = well.checked_sub(self.hold.saturating_mul(1 << doublings)) else { break };
            well = rest;
            doublings -= 1;
        }
        doublings
    }
}

/// Upwards only: nothing goes back before its hold is over.
fn jitter(hold: Duration, random: f64) -> Duration {
    Duration::try_from_secs_f64(hold.as_secs_f64() * JITTER * random.clamp(0.0, 1.0)).unwrap_or(Duration::ZERO)
}

/// The least that one that starts slowly is given.
const LEAST: f64 = 0.1;

/// By how much the weight of an endpoint that has been used again `since` is multiplied: 0.1, growing to 1 within
/// `window`. (Envoy: slow start.)
pub(super) fn slow_start(since: Duration, now: Duration, window: Duration) -> f64 {
    if window.is_zero() {
        return 1.0;
    }
    (now.saturating_sub(since).as_secs_f64() / window.as_secs_f64()).clamp(LEAST, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// How often an endpoint is gone back to, which is up and down for so long by turns, beginning with its recovery.
    fn returns(hold: Duration, turns: impl IntoIterator<Item = (Duration, Duration)>, random: f64) -> usize {
        let mut damping = Damping::default();
        let (mut now, mut returns) = (Duration::ZERO, 0);
        for (up, down) in turns {
            let until = damping.recovered(now, hold, random);
            assert!(until >= now + hold);
            now += up;
            if until <= now {
                damping.returned(until);
                returns += 1;
            }
            damping.lost(now);
            now += down;
        }
        returns
    }

    fn five_minutes(up: u64, down: u64) -> impl Iterator<Item = (Duration, Duration)> {
        std::iter::repeat_n((secs(up), secs(down)), (300 / (up + down)) as usize)
    }

    #[test]
    fn one_that_flaps_for_five_minutes_is_hardly_gone_back_to() {
        let hold = Failback::default().hold().unwrap();
        for (up, down, immediate, held) in [(2, 2, 75, 0), (10, 10, 15, 0), (40, 5, 6, 1), (65, 5, 4, 4)] {
            assert_eq!(returns(Duration::ZERO, five_minutes(up, down), 0.5), immediate, "{up} s up, {down} s down");
            assert_eq!(returns(hold, five_minutes(up, down), 0.5), held, "{up} s up, {down} s down");
        }
        assert_eq!(returns(secs(3), five_minutes(4, 1), 0.0), 1, "in hold, or lost within one");
    }

    #[test]
    fn the_hold_doubles_with_each_bounce_to_16_times() {
        let mut damping = Damping::default();
        let mut now = secs(100);
        for times in [1, 2, 4, 8, 16, 16, 16] {
            assert_eq!(damping.times(now), times);
            let until = damping.recovered(now, secs(30), 0.0);
            assert_eq!(until, now + secs(30) * times);
            // By turns lost in hold and just before it has been back for as long.
            now = until - Duration::from_nanos(1);
            if times != 2 {
                damping.returned(until);
                now = until + secs(30) * times - Duration::from_nanos(1);
            }
            damping.lost(now);
        }
    }

    #[test]
    fn the_first_loss_is_no_bounce_and_one_that_is_out_cannot_be_lost_again() {
        let mut damping = Damping::default();
        damping.lost(secs(1));
        damping.lost(secs(2));
        assert_eq!(damping.recovered(secs(3), secs(30), 0.0), secs(33));
        damping.lost(secs(4));
        damping.lost(secs(5));
        assert_eq!(damping.times(secs(5)), 2);
    }

    #[test]
    fn the_hold_halves_for_each_hold_that_it_stays_well() {
        let eightfold = || {
            let mut damping = Damping::default();
            for _ in 0..3 {
                damping.recovered(secs(0), secs(10), 0.0);
                damping.lost(secs(0));
            }
            damping.recovered(secs(0), secs(10), 0.0);
            damping.returned(secs(1_000));
            damping
        };
        // 80 s, then 40 s, then 20 s.
        for (well, times) in [(79, 16), (80, 4), (119, 4), (120, 2), (139, 2), (140, 1), (9_999, 1)] {
            let mut damping = eightfold();
            let now = secs(1_000 + well);
            damping.lost(now);
            assert_eq!(damping.times(now), times, "well for {well} s");
        }
        let damping = eightfold();
        assert_eq!([1_000, 1_079, 1_080, 1_120, 1_140].map(|at| damping.times(secs(at))), [8, 8, 4, 2, 1]);
    }

    #[test]
    fn the_end_of_a_hold_that_nobody_has_seen_is_when_it_went_back() {
        let mut damping = Damping::default();
        damping.recovered(secs(0), secs(10), 0.0);
        damping.lost(secs(19));
        assert_eq!(damping.times(secs(19)), 2);
        let mut damping = Damping::default();
        damping.recovered(secs(0), secs(10), 0.0);
        damping.lost(secs(20));
        assert_eq!(damping.times(secs(20)), 1);
    }

    #[test]
    fn jitter_makes_a_hold_longer_by_up_to_a_tenth() {
        let until = |random| Damping::default().recovered(secs(5), secs(30), random);
        assert_eq!(until(0.0), secs(35));
        assert_eq!(until(0.5), secs(36) + Duration::from_millis(500));
        assert!(until(0.999) < secs(38));
        let for_ever = Damping::default().recovered(secs(5), Duration::MAX, 0.5);
        assert_eq!(for_ever, Duration::MAX);
    }

    #[test]
    fn a_start_is_slow_over_its_window() {
        let at = |now| slow_start(secs(100), secs(now), secs(50));
        assert_eq!([90, 100, 105, 125, 150, 9_999].map(at), [0.1, 0.1, 0.1, 0.5, 1.0, 1.0]);
        assert_eq!(slow_start(secs(100), secs(100), Duration::ZERO), 1.0);
    }

    #[test]
    fn who_goes_back_when() {
        assert_eq!(Failback::default(), Failback::After(secs(30)));
        assert_eq!(Failback::Immediate.hold(), Some(Duration::ZERO));
        assert_eq!([Failback::Manual, Failback::Sticky].map(Failback::hold), [None; 2]);
        assert!(Failback::Sticky.ends_with_a_loss() && !Failback::Manual.ends_with_a_loss());
    }

    proptest! {
        #[test]
        fn however_it_flaps_it_is_gone_back_to_at_most_once_in_two_holds(
            turns in prop::collection::vec((1_u64..200, 0_u64..30), 1..60), hold in 1_u64..40, random in 0.0..1.0,
        ) {
            let time: u64 = turns.iter().map(|(up, down)| up + down).sum();
            let turns = turns.into_iter().map(|(up, down)| (secs(up), secs(down)));
            prop_assert!(returns(secs(hold), turns, random) as u64 <= 1 + time / (2 * hold));
        }

        #[test]
        fn one_that_never_stays_well_for_a_hold_is_gone_back_to_ever_more_rarely(
            turns in prop::collection::vec((0.0..1.99, 0_u64..5), 1..200), hold in 1_u64..40, random in 0.0..1.0,
        ) {
            // Up for less than two holds, as long as they then are.
            let mut damping = Damping::default();
            let (mut now, mut returns) = (Duration::ZERO, 0_i32);
            for (up, down) in turns {
                let until = damping.recovered(now, secs(hold), random);
                now += (until - now).mul_f64(up / 1.1);
                if until <= now {
                    damping.returned(until);
                    returns += 1;
                }
                damping.lost(now);
                now += secs(down);
            }
            let holds = now.as_secs_f64() / hold as f64;
            let most = if holds < 31.0 { (holds + 1.0).log2() } else { 5.0 + (holds - 31.0) / 16.0 };
            prop_assert!(f64::from(returns) <= most + 1e-9, "{returns} times in {holds} holds");
        }
    }
}
