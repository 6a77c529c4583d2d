//! Places, as one atomic word: the limit, the places taken, and whether anybody waits.
//!
//! So a place is taken and given back without a lock while nobody waits, nobody overtakes who does, and a change of the limit
//! can never over-admit. Who waits is kept elsewhere, under a lock; the steps that concern those are taken under it.

use crate::sync::atomic::{AtomicU64, Ordering};

/// The lowest bit: somebody waits, so nobody may overtake.
const WAITING: u64 = 1;
/// One place taken.
const TAKEN: u64 = 1 << 1;
const TAKEN_MASK: u64 = u32::MAX as u64 >> 1;
const LIMIT_SHIFT: u32 = 32;

#[derive(Debug)]
pub(crate) struct Word(AtomicU64);

/// What comes of asking for a place under the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Taken,
    /// Whoever gives a place back next comes for the lock.
    Waits,
    /// There is no place, and nobody may wait.
    Full,
}

const fn taken(word: u64) -> u64 {
    word >> 1 & TAKEN_MASK
}

const fn limit(word: u64) -> u64 {
    word >> LIMIT_SHIFT
}

const fn has_room(word: u64) -> bool {
    taken(word) < limit(word)
}

impl Word {
    /// At most 2,147,483,647 places.
    pub(crate) fn new(places: u32) -> Self {
        Self(AtomicU64::new(u64::from(places) << LIMIT_SHIFT))
    }

    /// Takes a place if there is one and nobody waits for it.
    pub(crate) fn try_take(&self) -> bool {
        let take = |word| (has_room(word) && word & WAITING == 0).then(|| word + TAKEN);
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    /// Takes a place if there is one. Under the lock: for somebody who waits.
    pub(crate) fn take_waited_for(&self) -> bool {
        let take = |word| has_room(word).then(|| word + TAKEN);
        self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, take).is_ok()
    }

    /// Takes a place if there is one and nobody waits (`alone`), or says that somebody does, if they may. Under the lock.
    /// It is one step: a place is taken, or who gives one back next sees that somebody waits.
    pub(crate) fn enter(&self, alone: bool, may_wait: bool) -> Entry {
        let step = |word| match word {
            word if alone && has_room(word) => Some(word + TAKEN),
            word => may_wait.then_some(word | WAITING),
        };
        match self.0.fetch_update(Ordering::Acquire, Ordering::Relaxed, step) {
            Ok(before) if alone && has_room(before) => Entry::Taken,
            Ok(_) => Entry::Waits,
            Err(_) => Entry::Full,
        }
    }

    /// Gives a place back. Whether somebody waits for it.
    pub(crate) fn give_back(&self) -> bool {
        self.0.fetch_sub(TAKEN, Ordering::Release) & WAITING != 0
    }

    /// Lets calls take places without the lock again. Under the lock, when nobody waits.
    pub(crate) fn nobody_waits(&self) {
        self.0.fetch_and(!WAITING, Ordering::Relaxed);
    }

    /// Another limit. Under the lock.
    pub(crate) fn set_limit(&self, places: u32) {
        let places = u64::from(places) << LIMIT_SHIFT;
        let change = |word: u64| Some(word & u64::from(u32::MAX) | places);
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    pub(crate) fn taken(&self) -> u32 {
        taken(self.0.load(Ordering::Relaxed)) as u32
    }

    pub(crate) fn limit(&self) -> u32 {
        limit(self.0.load(Ordering::Relaxed)) as u32
    }
}
