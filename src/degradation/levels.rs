//! The decision: which level follows from readings of the pressure. Pure: `now` is the time since an origin.

use std::time::Duration;

use super::settings::DegradationSettings;

/// The level that pressure has led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    level: u8,
    highest: u8,
    /// When the pressure was read last.
    read: Duration,
    /// Since when it counts as high for the next step up, or as low for the next one down.
    held: Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    High(Duration),
    Low(Duration),
    Between,
}

impl Levels {
    pub(super) fn new(highest: u8) -> Self {
        let start = Duration::ZERO;
        Self { level: 0, highest, read: start, held: Held::Low(start) }
    }

    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// The pressure is `pressure` at `now`. Between two readings it is taken to have been as both of them say; a reading
    /// that has been overtaken by a later one says nothing.
    pub(super) fn read(&mut self, now: Duration, pressure: f64, settings: &DegradationSettings) {
        if now < self.read {
            return;
        }
        let unread = now - self.read;
        if pressure >= settings.rise_at {
            let since = if let Held::High(since) = self.held { since } else { now };
            self.held = Held::High(since);
            // One step for each reading: nobody has looked how it was in between.
            if now - since >= settings.rise_after && self.level < self.highest {
                self.level += 1;
                self.held = Held::High(now);
            }
        } else if pressure < settings.fall_at {
            let since = match self.held {
                Held::Low(since) => since,
                // Nobody has asked for long, and it is quiet: so it was.
                _ if unread >= settings.fall_after => self.read,
                _ => now,
            };
            let steps = (now - since).as_nanos() / settings.fall_after.as_nanos().max(1);
            let steps = u8::try_from(steps).unwrap_or(u8::MAX).min(self.level);
            self.level -= steps;
            self.held = Held::Low(since.saturating_add(settings.fall_after.saturating_mul(steps.into())));
        } else {
            self.held = Held::Between;
        }
        self.read = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> DegradationSettings {
        DegradationSettings::default()
    }

    /// The levels after each of the readings, which are taken `every`.
    fn levels(every: Duration, pressures: &[f64]) -> Vec<u8> {
        let mut levels = Levels::new(3);
        let mut now = Duration::ZERO;
        let step = |pressure: &f64| {
            now += every;
            levels.read(now, *pressure, &settings());
            levels.level()
        };
        pressures.iter().map(step).collect()
    }

    #[test]
    fn pressure_that_stays_raises_by_a_step_at_a_time_and_lowers_more_slowly() {
        let rising = [[0.9; 8].as_slice(), &[0.1; 16]].concat();
        assert_eq!(levels(SECOND, &rising), [0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn pressure_in_between_leaves_the_level_as_it_is_and_begins_the_wait_anew() {
        let half = SECOND / 2;
        assert_eq!(levels(half, &[0.9, 0.9, 0.7, 0.9, 0.9, 0.9]), [0, 0, 0, 0, 0, 1]);
        let low = [0.4; 10];
        let pressures = [[0.9, 0.9, 0.9].as_slice(), &low, &[0.5], &low, &[0.4]].concat();
        assert_eq!(levels(half, &pressures)[2..], [vec![1; 22], vec![0]].concat());
    }

    #[test]
    fn a_peak_is_no_pressure() {
        assert_eq!(levels(SECOND, &[1.0, 0.1, 1.0, 0.1, 1.0, 0.6, 1.0]), [0; 7]);
    }

    #[test]
    fn who_asks_seldom_is_told_of_the_quiet_in_between_but_not_of_pressure() {
        let mut levels = Levels::new(3);
        for second in 1..=4 {
            levels.read(second * SECOND, 1.0, &settings());
        }
        assert_eq!(levels.level(), 3);
        let quiet = |seconds: u32| {
            let mut levels = levels;
            levels.read((4 + seconds) * SECOND, 0.0, &settings());
            levels.level()
        };
        assert_eq!([4, 5, 9, 10, 15, 1000].map(quiet), [3, 2, 2, 1, 0, 0]);
        // Between two readings of high pressure there may have been anything.
        let mut seldom = Levels::new(3);
        for (minute, level) in [(1, 0), (2, 1), (3, 2)] {
            seldom.read(minute * 60 * SECOND, 1.0, &settings());
            assert_eq!(seldom.level(), level);
        }
    }

    #[test]
    fn a_reading_that_was_overtaken_changes_nothing() {
        let mut levels = Levels::new(1);
        levels.read(SECOND, 1.0, &settings());
        levels.read(3 * SECOND, 1.0, &settings());
        levels.read(2 * SECOND, 0.0, &settings());
        assert_eq!(levels.level(), 1);
        assert_eq!(levels.held, Held::High(3 * SECOND));
    }

    proptest! {
        #[test]
        fn it_never_flaps_faster_than_its_waits(
            readings in prop::collection::vec((0_u32..4_000, 0.0_f64..=1.0), 1..300),
            rise_after in 0_u32..3_000,
            fall_after in 1_u32..8_000,
            highest in 1_u8..5,
        ) {
            let settings =
                DegradationSettings { rise_after: rise_after * MS, fall_after: fall_after * MS, ..settings() };
            let mut levels = Levels::new(highest);
            let (mut now, mut rises, mut falls) = (Duration::ZERO, 0_u32, 0_u32);
            let mut rose_at: Option<Duration> = None;
            for (gap, pressure) in readings {
                now += gap * MS;
                let before = levels.level();
                levels.read(now, pressure, &settings);
                let after = levels.level();
                prop_assert!(after <= highest);
                prop_assert!(after <= before + 1);
                if after > before {
                    prop_assert!(pressure >= settings.rise_at);
                    if let Some(last) = rose_at {
                        prop_assert!(now - last >= settings.rise_after);
                    }
                    rose_at = Some(now);
                    rises += 1;
                }
                if after < before {
                    prop_assert!(pressure < settings.fall_at);
                    prop_assert!(now - rose_at.unwrap() >= settings.fall_after);
                    falls += u32::from(before - after);
                }
            }
            prop_assert!(falls <= rises);
            prop_assert!(falls * settings.fall_after <= now);
        }

        #[test]
        fn constant_pressure_leads_to_a_level_that_stays(pressure in 0.0_f64..=1.0, first in 0_u8..4) {
            let settings = settings();
            let mut levels = Levels { level: first.min(3), ..Levels::new(3) };
            let expected = if pressure >= settings.rise_at { 3 } else if pressure < settings.fall_at { 0 } else { first.min(3) };
            for tick in 1..=400_u32 {
                levels.read(tick * 100 * MS, pressure, &settings);
                if tick > 200 {
                    prop_assert_eq!(levels.level(), expected);
                }
            }
        }
    }
}
