//! Whether the store is there: pure, with `now` as an argument.

use std::time::Duration;

/// Whether the store answers. Changes carry a generation, so that what was asked before a change cannot make another.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Changes so far: odd while the store is away.
    generation: u64,
    since: Duration,
    next_probe: Duration,
}

/// Whether to ask the store; given back with what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    generation: u64,
}

impl Presence {
    pub(super) fn is_away(&self) -> bool {
        self.generation % 2 == 1
    }

    /// How often the store went away, and came back.
    pub(super) fn changes(&self) -> (u64, u64) {
        (self.generation.div_ceil(2), self.generation / 2)
    }

    /// Whether a call is to ask the store: always while it is there, else one every `interval`.
    pub(super) fn ask(&mut self, now: Duration, interval: Duration) -> Option<Asked> {
        if self.is_away() {
            if now < self.next_probe {
                return None;
            }
            self.next_probe = now.saturating_add(interval);
        }
        Some(Asked { generation: self.generation })
    }

    /// The store did not answer. Whether that is news.
    pub(super) fn failed(&mut self, asked: Asked, now: Duration, interval: Duration) -> bool {
        let news = !self.is_away() && asked.generation == self.generation;
        if news {
            self.turn(now);
            self.next_probe = now.saturating_add(interval);
        }
        news
    }

    /// The store answered. How long it had been away, if that is news.
    pub(super) fn answered(&mut self, asked: Asked, now: Duration) -> Option<Duration> {
        let news = self.is_away() && asked.generation == self.generation;
        news.then(|| {
            let away_for = now.saturating_sub(self.since);
            self.turn(now);
            away_for
        })
    }

    fn turn(&mut self, now: Duration) {
        self.generation += 1;
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_call_in_each_interval_probes_a_store_that_is_away() {
        let mut presence = Presence::default();
        let asked = presence.ask(SECOND, SECOND).unwrap();
        assert!(presence.failed(asked, SECOND, SECOND));
        assert_eq!(presence.ask(SECOND * 2 - Duration::from_nanos(1), SECOND), None);
        let probe = presence.ask(SECOND * 2, SECOND).unwrap();
        assert_eq!(presence.ask(SECOND * 2, SECOND), None);
        assert!(!presence.failed(probe, SECOND * 2, SECOND));
        let probe = presence.ask(SECOND * 3, SECOND).unwrap();
        assert_eq!(presence.answered(probe, SECOND * 3), Some(SECOND * 2));
        assert_eq!((presence.is_away(), presence.changes()), (false, (1, 1)));
    }

    #[test]
    fn what_was_asked_before_a_change_makes_no_other() {
        let mut presence = Presence::default();
        let (first, late) = (presence.ask(SECOND, SECOND).unwrap(), presence.ask(SECOND, SECOND).unwrap());
        assert!(presence.failed(first, SECOND, SECOND));
        assert!(!presence.failed(late, SECOND, SECOND));
        assert_eq!(presence.answered(late, SECOND), None, "only what was asked since says that it is back");
        let probe = presence.ask(SECOND * 2, SECOND).unwrap();
        presence.answered(probe, SECOND * 2).unwrap();
        assert!(!presence.failed(late, SECOND * 2, SECOND));
        assert_eq!(presence.changes(), (1, 1));
    }
}
