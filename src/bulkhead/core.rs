//! The decision: who gets a place, who waits, who is refused. Shared by services, permits and handles.
//!
//! The places are one atomic word. Only who waits takes the lock, and who gives a place back while somebody does.

use std::{mem, task::Waker, time::Duration};

use super::{
    pace::Pace,
    settings::{BulkheadSettings, Order},
};
use crate::{
    places::{Entry, Word},
    queue::{Place, Queue},
    sync::Mutex,
};

#[derive(Debug)]
pub(super) struct Places {
    word: Word,
    queue: Mutex<Waiters>,
}

#[derive(Debug)]
struct Waiters {
    wakers: Queue<Waker>,
    max_waiting: u32,
    order: Order,
    pace: Pace,
}

/// What comes of asking to wait.
#[derive(Debug)]
pub(super) enum Asked {
    /// A place was free after all.
    Taken,
    /// Waiting; for so long, as far as is known.
    Waiting { place: Place, expected: Option<Duration> },
    /// The queue is full.
    Full,
}

impl Waiters {
    /// How long a call behind `ahead` others will wait. Nothing is known of it where those who come later are first.
    fn expected(&self, ahead: usize) -> Option<Duration> {
        match self.order {
            Order::Fifo => self.pace.expected(ahead),
            Order::Lifo => None,
        }
    }
}

impl Places {
    pub(super) fn new(settings: &BulkheadSettings) -> Self {
        Self {
            word: Word::new(settings.max_concurrent),
            queue: Mutex::new(Waiters {
                wakers: Queue::new(),
                max_waiting: settings.max_waiting,
                order: settings.order,
                pace: Pace::from(Duration::ZERO),
            }),
        }
    }

    /// Takes a place if there is one and nobody waits for it.
    pub(super) fn try_take(&self) -> bool {
        self.word.try_take()
    }

    /// Takes a place, or waits for one to be given to `waker`.
    pub(super) fn ask(&self, waker: &Waker, now: impl FnOnce() -> Duration) -> Asked {
        let mut waiters = self.queue.lock();
        let ahead = waiters.wakers.len();
        let full = ahead >= waiters.max_waiting as usize;
        match self.word.enter(ahead == 0, !full) {
            Entry::Full => Asked::Full,
            Entry::Taken => Asked::Taken,
            Entry::Waits => {
                if ahead == 0 {
                    waiters.pace = Pace::from(now());
                }
                let expected = waiters.expected(ahead);
                Asked::Waiting { place: waiters.wakers.push_last(waker.clone()), expected }
            }
        }
    }

    /// Whether a waiting call has been given its place; if not, `waker` will be woken when it is.
    pub(super) fn poll(&self, place: Place, waker: &Waker) -> bool {
        let former = {
            let mut waiters = self.queue.lock();
            match waiters.wakers.get_mut(place) {
                None => return true,
                Some(present) if present.will_wake(waker) => return false,
                Some(present) => mem::replace(present, waker.clone()),
            }
        };
        // Not under the lock: a waker is foreign code, and may drop a task that waits here.
        drop(former);
        false
    }

    /// Stops waiting. `false`: a place had been given already, which is now the caller's to give back.
    pub(super) fn leave(&self, place: Place) -> bool {
        let mut waiters = self.queue.lock();
        let waker = waiters.wakers.remove(place);
        self.nobody_waits(&waiters);
        // The waker is dropped after the lock.
        drop(waiters);
        waker.is_some()
    }

    /// Gives a place back; the next in line gets it. The clock is read only if somebody waits.
    pub(super) fn give_back(&self, now: impl FnOnce() -> Duration) {
        if self.word.give_back() {
            self.pass_on(now);
        }
    }

    /// Apart, so that a place that nobody waits for is given back in few instructions.
    #[cold]
    #[inline(never)]
    fn pass_on(&self, now: impl FnOnce() -> Duration) {
        self.hand_out(now());
    }

    /// Gives what places there are to those who wait.
    pub(super) fn hand_out(&self, now: Duration) {
        while let Some(waker) = self.hand_to_next(now) {
            // Not under the lock: a waker is foreign code.
            waker.wake();
        }
    }

    fn hand_to_next(&self, now: Duration) -> Option<Waker> {
        let mut waiters = self.queue.lock();
        if waiters.wakers.is_empty() {
            self.nobody_waits(&waiters);
            return None;
        }
        if !self.word.take_waited_for() {
            return None;
        }
        let next = match waiters.order {
            Order::Fifo => waiters.wakers.pop_first(),
            Order::Lifo => waiters.wakers.pop_last(),
        };
        waiters.pace.given(now);
        self.nobody_waits(&waiters);
        next
    }

    /// Lets calls take places without the lock again, if nobody waits.
    fn nobody_waits(&self, waiters: &Waiters) {
        if waiters.wakers.is_empty() {
            self.word.nobody_waits();
        }
    }

    /// Changes the limit and the queue in place. Never waits: places taken over a lower limit are given back as their
    /// calls end, and none is given out until then. Who waits in a queue that has become too long goes on waiting.
    /// `publish` is called in the same step. What has become free is given out by [`hand_out`](Self::hand_out), which is
    /// not to be called under a lock.
    pub(super) fn change(&self, settings: &BulkheadSettings, now: Duration, publish: impl FnOnce()) {
        let mut waiters = self.queue.lock();
        waiters.max_waiting = settings.max_waiting;
        waiters.order = settings.order;
        waiters.pace = Pace::from(now);
        self.word.set_limit(settings.max_concurrent);
        publish();
    }

    /// Places taken.
    pub(super) fn taken(&self) -> u32 {
        self.word.taken()
    }

    /// Calls that wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().wakers.len()
    }
}

#[cfg(all(test, not(steadfast_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_read_only_for_those_that_wait() {
        let places = Places::new(&BulkheadSettings { max_concurrent: 1, ..BulkheadSettings::default() });
        let no_clock = || unreachable!("nobody waits");
        let ask = || places.ask(Waker::noop(), no_clock);
        assert!(places.try_take());
        assert!(matches!(ask(), Asked::Full));
        places.give_back(no_clock);
        assert!(matches!(ask(), Asked::Taken));
        places.give_back(no_clock);
        assert_eq!(places.taken(), 0);
    }
}
