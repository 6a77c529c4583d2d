//! How fast places are given to those that wait. Pure.

use std::time::Duration;

/// The weight of a new gap in the average: one in so many.
const WEIGHT: u32 = 8;

/// The average gap between two places given out, for as long as somebody waits: it is measured where places are given
/// out, so it is no matter when those that get them look, and how things were before is forgotten when nobody waits.
#[derive(Debug)]
pub(super) struct Pace {
    /// When a place was last given out, or the first began to wait.
    last: Duration,
    gap: Option<Duration>,
}

impl Pace {
    /// Nothing is known.
    pub(super) const fn from(now: Duration) -> Self {
        Self { last: now, gap: None }
    }

    /// A place is given to one that waits.
    pub(super) fn given(&mut self, now: Duration) {
        let gap = now.saturating_sub(self.last);
        self.last = self.last.max(now);
        self.gap = Some(self.gap.map_or(gap, |average| average - average / WEIGHT + gap / WEIGHT));
    }

    /// How long one behind `ahead` others will wait for its place, if that is known.
    pub(super) fn expected(&self, ahead: usize) -> Option<Duration> {
        let places = u32::try_from(ahead).unwrap_or(u32::MAX).saturating_add(1);
        self.gap.map(|gap| gap.saturating_mul(places))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn of(gaps: &[Duration]) -> (Pace, Duration) {
        let start = 100 * SECOND;
        let (mut pace, mut now) = (Pace::from(start), start);
        for gap in gaps {
            now += *gap;
            pace.given(now);
        }
        (pace, now)
    }

    #[test]
    fn nothing_is_known_before_a_place_is_given() {
        assert_eq!(of(&[]).0.expected(0), None);
        assert_eq!(of(&[]).0.expected(1000), None);
    }

    #[test]
    fn the_first_gap_is_from_when_the_first_began_to_wait_and_counts_as_it_is() {
        let (pace, _) = of(&[3 * SECOND]);
        assert_eq!([0, 1, 9].map(|ahead| pace.expected(ahead)), [3, 6, 30].map(|times| Some(times * SECOND)));
    }

    #[test]
    fn each_further_gap_counts_for_an_eighth() {
        let (pace, _) = of(&[8 * SECOND, 16 * SECOND]);
        assert_eq!(pace.expected(0), Some(9 * SECOND));
        let (pace, _) = of(&[8 * SECOND, Duration::ZERO]);
        assert_eq!(pace.expected(0), Some(7 * SECOND));
    }

    #[test]
    fn a_clock_read_earlier_by_another_thread_is_no_gap() {
        let (mut pace, now) = of(&[8 * SECOND]);
        pace.given(now - SECOND);
        assert_eq!(pace.expected(0), Some(7 * SECOND));
        pace.given(now);
        assert_eq!(pace.expected(0), Some(7 * SECOND - 7 * SECOND / 8));
    }

    #[test]
    fn nothing_overflows() {
        let mut pace = Pace::from(Duration::ZERO);
        for _ in 0..20 {
            pace.last = Duration::ZERO;
            pace.given(Duration::MAX);
        }
        assert_eq!(pace.expected(usize::MAX), Some(Duration::MAX));
    }

    proptest! {
        #[test]
        fn it_is_between_the_shortest_and_the_longest_gap(gaps in prop::collection::vec(0_u64..1_000_000_000, 1..200)) {
            let gaps: Vec<_> = gaps.into_iter().map(Duration::from_nanos).collect();
            let expected = of(&gaps).0.expected(0).expect("places were given");
            // Each eighth is cut to a nanosecond.
            let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
            prop_assert!(expected + Duration::from_nanos(8) >= *least && expected <= *most + Duration::from_nanos(8));
        }
    }
}
