//! Whether the store is there: pure, with `now` as an argument.

use std::time::Duration;

/// Whether the store answers. Changes carry a generation, so that what was asked before a change cannot make another.
///
/// A store that hangs shows in questions that end without an answer, and callers may give up before the timeout. So what
/// counts is for how long it has been waited for in vain, by all together, since it last answered.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Changes so far: odd while the store is away.
    generation: u64,
    since: Duration,
    next_probe: Duration,
    last_answer: Duration,
    /// For how long it has been waited for in vain since then, and up to when that has been counted.
    silent: Duration,
    counted_until: Duration,
    /// Turns that the store has reserved and that are still waited for.
    reserved: u64,
}

/// Whether to ask the store; given back with what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    generation: u64,
    at: Duration,
}

/// What an answer says about the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    StillThere,
    Back {
        away_for: Duration,
    },
    /// What was asked before it went away does not say that it is back.
    StillAway,
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
        Some(Asked { generation: self.generation, at: now })
    }

    /// The store answered with an error. If it is away from now on: how many turns it has reserved that are still
    /// waited for.
    pub(super) fn failed(&mut self, asked: Asked, now: Duration, interval: Duration) -> Option<u64> {
        let news = !self.is_away() && asked.generation == self.generation;
        news.then(|| {
            self.turn(now);
            self.next_probe = now.saturating_add(interval);
            self.reserved
        })
    }

    /// The answer is waited for no longer. It is away if it has been waited for in vain for the `timeout`; then as for
    /// one that [failed](Self::failed).
    pub(super) fn unanswered(
        &mut self,
        asked: Asked,
        now: Duration,
        timeout: Duration,
        interval: Duration,
    ) -> Option<u64> {
        if self.is_away() || asked.generation != self.generation {
            return None;
        }
        let uncounted = now.saturating_sub(asked.at.max(self.counted_until));
        // Those that ended within this one have counted for less than all of it.
        let alone = now.saturating_sub(asked.at.max(self.last_answer));
        self.silent = self.silent.saturating_add(uncounted).max(alone);
        self.counted_until = self.counted_until.max(now);
        if self.silent < timeout { None } else { self.failed(asked, now, interval) }
    }

    /// The store answered.
    pub(super) fn answered(&mut self, asked: Asked, now: Duration) -> Heard {
        if self.is_away() {
            if asked.generation != self.generation {
                return Heard::StillAway;
            }
            let away_for = now.saturating_sub(self.since);
            self.turn(now);
            return Heard::Back { away_for };
        }
        self.hear(now);
        Heard::StillThere
    }

    /// The same, and a turn is waited for from now on.
    pub(super) fn reserved(&mut self, asked: Asked, now: Duration) -> Heard {
        self.reserved += 1;
        self.answered(asked, now)
    }

    /// A reserved turn is waited for no longer.
    pub(super) fn used(&mut self) {
        self.reserved -= 1;
    }

    fn turn(&mut self, now: Duration) {
        self.generation += 1;
        self.since = now;
        self.hear(now);
    }

    fn hear(&mut self, now: Duration) {
        self.last_answer = now;
        self.counted_until = now;
        self.silent = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    const MS: Duration = Duration::from_millis(1);
    const TIMEOUT: Duration = Duration::from_millis(50);

    #[test]
    fn one_call_in_each_interval_probes_a_store_that_is_away() {
        let mut presence = Presence::default();
        let asked = presence.ask(SECOND, SECOND).unwrap();
        assert_eq!(presence.failed(asked, SECOND, SECOND), Some(0));
        assert_eq!(presence.ask(SECOND * 2 - Duration::from_nanos(1), SECOND), None);
        let probe = presence.ask(SECOND * 2, SECOND).unwrap();
        assert_eq!(presence.ask(SECOND * 2, SECOND), None);
        assert_eq!(presence.failed(probe, SECOND * 2, SECOND), None);
        let probe = presence.ask(SECOND * 3, SECOND).unwrap();
        assert_eq!(presence.answered(probe, SECOND * 3), Heard::Back { away_for: SECOND * 2 });
        assert_eq!((presence.is_away(), presence.changes()), (false, (1, 1)));
    }

    #[test]
    fn what_was_asked_before_a_change_makes_no_other() {
        let mut presence = Presence::default();
        let (first, late) = (presence.ask(SECOND, SECOND).unwrap(), presence.ask(SECOND, SECOND).unwrap());
        assert!(presence.failed(first, SECOND, SECOND).is_some());
        assert_eq!(presence.failed(late, SECOND, SECOND), None);
        assert_eq!(presence.answered(late, SECOND), Heard::StillAway, "only what was asked since says that it is back");
        let probe = presence.ask(SECOND * 2, SECOND).unwrap();
        assert_eq!(presence.answered(probe, SECOND * 2), Heard::Back { away_for: SECOND });
        assert_eq!(presence.failed(late, SECOND * 2, SECOND), None);
        assert_eq!(presence.unanswered(late, SECOND * 9, TIMEOUT, SECOND), None);
        assert_eq!(presence.changes(), (1, 1));
    }

    #[test]
    fn waits_in_vain_add_up_without_what_they_share_until_an_answer() {
        let mut presence = Presence::default();
        let ask = |presence: &mut Presence, from: u32, to: u32| {
            let asked = presence.ask(MS * from, SECOND).unwrap();
            presence.unanswered(asked, MS * to, TIMEOUT, SECOND).is_some()
        };
        // 30 ms in vain; then an answer.
        assert!(!ask(&mut presence, 0, 20) && !ask(&mut presence, 10, 30) && !ask(&mut presence, 15, 30));
        let answered = presence.ask(MS * 30, SECOND).unwrap();
        assert_eq!(presence.answered(answered, MS * 31), Heard::StillThere);
        // 19 ms since then, 10 ms after a pause; with 20 ms more it is too long.
        assert!(!ask(&mut presence, 10, 50) && !ask(&mut presence, 80, 90) && !ask(&mut presence, 85, 90));
        assert!(!ask(&mut presence, 100, 120));
        assert!(ask(&mut presence, 120, 121));
        assert!(presence.is_away());
    }

    #[test]
    fn one_wait_for_the_whole_timeout_is_enough_whatever_ended_within_it() {
        let mut presence = Presence::default();
        let (long, short) = (presence.ask(SECOND, SECOND).unwrap(), presence.ask(SECOND + MS * 20, SECOND).unwrap());
        assert_eq!(presence.unanswered(short, SECOND + MS * 30, TIMEOUT, SECOND), None);
        assert_eq!(presence.unanswered(long, SECOND + TIMEOUT, TIMEOUT, SECOND), Some(0));
    }

    #[test]
    fn one_wait_that_began_before_an_answer_counts_from_there() {
        let mut presence = Presence::default();
        let (long, short) = (presence.ask(SECOND, SECOND).unwrap(), presence.ask(SECOND, SECOND).unwrap());
        assert_eq!(presence.answered(short, SECOND + MS * 10), Heard::StillThere);
        assert_eq!(presence.unanswered(long, SECOND + TIMEOUT, TIMEOUT, SECOND), None);
    }

    #[test]
    fn turns_that_are_waited_for_are_told_when_it_goes_away() {
        let mut presence = Presence::default();
        let asked = presence.ask(SECOND, SECOND).unwrap();
        for _ in 0..3 {
            assert_eq!(presence.reserved(asked, SECOND), Heard::StillThere);
        }
        presence.used();
        assert_eq!(presence.failed(asked, SECOND, SECOND), Some(2));
        assert_eq!(presence.reserved(asked, SECOND), Heard::StillAway, "one more to be charged");
    }
}
