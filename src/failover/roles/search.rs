//! When all endpoints are probed at once to find the primary.

use std::time::Duration;

use super::wait;

/// How long probing is fast after a search has begun.
const FAST: Duration = Duration::from_secs(30);

/// All endpoints are to be probed at once, and often until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::failover) struct Search {
    pub(in crate::failover) fast_until: Duration,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Searching {
    fast_until: Duration,
    next: Option<Duration>,
    last: Option<Duration>,
    rounds: u32,
}

impl Searching {
    /// A round is wanted; `anew`: for something that the last one did not look for.
    pub(super) fn want(&mut self, anew: bool, now: Duration) {
        if anew || !self.fast(now) {
            self.rounds = 0;
        }
        self.fast_until = now.saturating_add(FAST);
        let earliest = self.last.map_or(now, |last| now.max(last + wait(1)));
        self.next = Some(self.next.map_or(earliest, |next| next.min(earliest)));
    }

    /// A round, if one is due. `more`: others are to follow.
    pub(super) fn take(&mut self, more: bool, now: Duration) -> Option<Search> {
        self.next.filter(|next| *next <= now)?;
        self.rounds = self.rounds.saturating_add(1);
        self.last = Some(now);
        let next = now + wait(self.rounds);
        self.next = Some(next).filter(|next| more && *next < self.fast_until);
        Some(Search { fast_until: self.fast_until })
    }

    /// It is found.
    pub(super) fn end(&mut self) {
        self.next = None;
    }

    pub(super) fn fast(&self, now: Duration) -> bool {
        now < self.fast_until
    }

    /// When it changes next by the time alone.
    pub(super) fn due(&self, now: Duration) -> impl Iterator<Item = Duration> {
        let slow = Some(self.fast_until).filter(|until| *until > now);
        self.next.into_iter().chain(slow)
    }
}
