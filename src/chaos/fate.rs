//! The decision: what becomes of a call. Pure; the draws are arguments.

use std::time::Duration;

use super::ChaosSettings;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fate {
    /// For so long nothing happens.
    pub(super) delay: Option<Duration>,
    pub(super) end: End,
}

/// How it goes on then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Pass,
    Fail,
    Hang,
    Panic,
}

impl Fate {
    pub(super) const PASS: Self = Self { delay: None, end: End::Pass };

    /// `draws` are uniform in `[0, 1)`. Always the same number of them, so that a change of one share leaves what the
    /// others hit; none while it is switched off.
    pub(super) fn of(settings: &ChaosSettings, draws: impl FnOnce() -> [f64; 4]) -> Self {
        if !settings.enabled {
            return Self::PASS;
        }
        let [traffic, end, delays, length] = draws();
        if traffic >= settings.traffic {
            return Self::PASS;
        }
        let ChaosSettings { failures, hangs, panics, shortest_delay, longest_delay, .. } = *settings;
        let end = match end {
            end if end < panics => End::Panic,
            end if end < panics + hangs => End::Hang,
            end if end < panics + hangs + failures => End::Fail,
            _ => End::Pass,
        };
        let delayed = delays < settings.delays;
        let delay = shortest_delay + (longest_delay - shortest_delay).mul_f64(length);
        Self { delay: delayed.then_some(delay), end }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn settings() -> ChaosSettings {
        ChaosSettings {
            traffic: 0.5,
            failures: 0.3,
            hangs: 0.2,
            panics: 0.1,
            delays: 0.4,
            shortest_delay: 10 * MS,
            longest_delay: 30 * MS,
            ..ChaosSettings::default()
        }
    }

    fn end(draw: f64) -> End {
        Fate::of(&settings(), || [0.0, draw, 1.0, 0.0]).end
    }

    #[test]
    fn each_end_has_its_share() {
        assert_eq!([0.0, 0.099].map(end), [End::Panic; 2]);
        assert_eq!([0.101, 0.299].map(end), [End::Hang; 2]);
        assert_eq!([0.301, 0.599].map(end), [End::Fail; 2]);
        assert_eq!([0.601, 0.999].map(end), [End::Pass; 2]);
    }

    #[test]
    fn a_delay_is_between_the_shortest_and_the_longest() {
        let delay = |draw, length| Fate::of(&settings(), || [0.0, 0.9, draw, length]).delay;
        assert_eq!([delay(0.39, 0.0), delay(0.39, 0.5), delay(0.41, 0.5)], [Some(10 * MS), Some(20 * MS), None]);
        assert!(delay(0.0, 0.999_999).unwrap() <= 30 * MS);
    }

    #[test]
    fn other_traffic_passes_and_so_does_all_when_it_is_off() {
        assert_eq!(Fate::of(&settings(), || [0.5, 0.0, 0.0, 0.0]), Fate::PASS);
        assert_ne!(Fate::of(&settings(), || [0.49, 0.0, 0.0, 0.0]), Fate::PASS);
        let off = ChaosSettings { enabled: false, ..settings() };
        assert_eq!(Fate::of(&off, || unreachable!("nothing is drawn")), Fate::PASS);
        assert_eq!(Fate::of(&ChaosSettings::default(), || [0.0; 4]), Fate::PASS);
    }
}
