//! Who goes now, who waits, who is refused. Shared by services and handles; one short lock.

use std::{mem, task::Waker, time::Duration};

use super::{
    cycles::Cycles,
    gcra::{Gcra, Served},
    settings::{Mode, RateLimitSettings},
};
use crate::{
    queue::{Place, Queue},
    sync::{Mutex, MutexGuard},
};

#[derive(Debug)]
pub(super) struct Core(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    settings: RateLimitSettings,
    decision: Decision,
    /// Those that wait in the smooth mode. Only the first of them has a timer for its turn.
    waiters: Queue<Waker>,
    /// The number of the place from which on those that went can give their turns back.
    returnable_from: u64,
    /// How often the count began anew; what was reserved before that is void.
    epoch: u64,
}

#[derive(Debug)]
enum Decision {
    Smooth(Gcra),
    Cycles(Cycles),
}

/// What comes of asking for a turn. Times are since the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Go now.
    Go,
    /// In the queue, to be waited in no longer than to `latest`; `due` is given to the first in it.
    Queued { place: Place, due: Option<Duration>, latest: Duration },
    /// A permission of a later period has been reserved.
    Reserved { at: Duration, epoch: u64 },
    /// It would take too long; a call at `at` has a chance.
    Refused { at: Duration },
}

/// How a call in the queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stands {
    /// It is its turn.
    Go,
    /// It is the first, and will be due then.
    First { due: Duration },
    /// It will be woken when it is the first, or when it is its turn.
    Behind,
}

impl Core {
    pub(super) fn new(settings: RateLimitSettings) -> Self {
        let decision = Decision::of(&settings);
        Self(Mutex::new(Inner { decision, settings, waiters: Queue::new(), returnable_from: 0, epoch: 0 }))
    }

    /// The state, once everybody who is due has gone: the first of those that wait may be slow to ask.
    fn lock_served(&self, now: Duration) -> MutexGuard<'_, Inner> {
        let inner = self.0.lock();
        match &inner.decision {
            Decision::Smooth(gcra) if !inner.waiters.is_empty() && gcra.due(0) <= now => {}
            _ => return inner,
        }
        drop(inner);
        self.serve(now, None);
        self.0.lock()
    }

    /// Asks for a turn, without waiting for it. `Err`: when there will be one.
    pub(super) fn try_take(&self, now: Duration) -> Result<(), Duration> {
        let mut inner = self.lock_served(now);
        let ahead = inner.waiters.len();
        match &mut inner.decision {
            Decision::Smooth(gcra) if ahead > 0 => Err(gcra.due(ahead)),
            Decision::Smooth(gcra) => gcra.take(now),
            Decision::Cycles(cycles) => match cycles.reserve(now, 1, Duration::ZERO) {
                Some(_) => Ok(()),
                None => Err(now.saturating_add(cycles.wait(now, 1))),
            },
        }
    }

    /// Asks for a turn by `deadline`, to be waited for.
    pub(super) fn ask(&self, now: Duration, deadline: Option<Duration>, waker: &Waker) -> Asked {
        let mut inner = self.lock_served(now);
        let RateLimitSettings { max_wait, max_waiting, .. } = inner.settings;
        let latest = now.saturating_add(max_wait).min(deadline.unwrap_or(Duration::MAX));
        let ahead = inner.waiters.len();
        let epoch = inner.epoch;
        // When it would go if it waits, and when a call would be let through at once.
        let (due, at) = match &mut inner.decision {
            Decision::Cycles(cycles) => {
                return match cycles.reserve(now, 1, latest.saturating_sub(now)) {
                    Some(wait) if wait.is_zero() => Asked::Go,
                    Some(wait) => Asked::Reserved { at: now.saturating_add(wait), epoch },
                    None => Asked::Refused { at: now.saturating_add(cycles.wait(now, 1)) },
                };
            }
            Decision::Smooth(gcra) if ahead > 0 => (gcra.due(ahead), gcra.due(ahead)),
            Decision::Smooth(gcra) => match gcra.take(now) {
                Ok(()) => return Asked::Go,
                Err(at) => (gcra.due(0), at),
            },
        };
        if due > latest || ahead >= max_waiting as usize {
            return Asked::Refused { at };
        }
        let place = inner.waiters.push_last(waker.clone());
        Asked::Queued { place, due: (ahead == 0).then_some(due), latest }
    }

    /// How a call in the queue stands; `waker` is woken when that changes. Lets everybody go who is due.
    pub(super) fn poll(&self, now: Duration, place: Place, waker: &Waker) -> Stands {
        self.serve(now, Some(place));
        let mut inner = self.0.lock();
        let former = match inner.waiters.get_mut(place) {
            None => return Stands::Go,
            Some(present) if present.will_wake(waker) => None,
            Some(present) => Some(mem::replace(present, waker.clone())),
        };
        let stands = match (&inner.decision, inner.waiters.first() == Some(place)) {
            (Decision::Smooth(gcra), true) => Stands::First { due: gcra.due(0) },
            _ => Stands::Behind,
        };
        drop(inner);
        // Not under the lock: a waker is foreign code, and may drop a task that waits here.
        drop(former);
        stands
    }

    /// Leaves the queue. A turn that had come and is not used passes on.
    pub(super) fn leave(&self, now: Duration, place: Place) {
        let mut guard = self.0.lock();
        let inner = &mut *guard;
        let was_first = inner.waiters.first() == Some(place);
        let waker = inner.waiters.remove(place);
        let in_time = place.number() >= inner.returnable_from;
        let moves = match &mut inner.decision {
            _ if waker.is_some() => was_first,
            Decision::Smooth(gcra) => in_time && gcra.give_back(now),
            Decision::Cycles(_) => false,
        };
        drop(guard);
        if moves && !self.serve(now, None) {
            self.wake_first();
        }
    }

    /// Leaves the queue, because it would take too long. When a call has a chance.
    pub(super) fn give_up(&self, now: Duration, place: Place) -> Duration {
        self.leave(now, place);
        let inner = self.0.lock();
        match &inner.decision {
            Decision::Smooth(gcra) => gcra.due(inner.waiters.len()),
            Decision::Cycles(cycles) => now.saturating_add(cycles.wait(now, 1)),
        }
    }

    /// A permission reserved for `at` is not used. It can be had again unless its period is over or one of a later
    /// period is reserved: the next call would get another one of that.
    pub(super) fn give_back(&self, now: Duration, at: Duration, epoch: u64) {
        let inner = &mut *self.0.lock();
        if let Decision::Cycles(cycles) = &mut inner.decision
            && inner.epoch == epoch
            && cycles.last_reserved(now) == cycles.cycle_of(at)
        {
            cycles.give_back(now, 1);
        }
    }

    /// Lets everybody go who is due, all at one wake-up, and tells the next in line to set its timer. Whether anybody
    /// went.
    fn serve(&self, now: Duration, asking: Option<Place>) -> bool {
        let mut anybody = false;
        while let Some((place, waker)) = self.next_due(now) {
            anybody = true;
            if Some(place) != asking {
                // Not under the lock: a waker is foreign code.
                waker.wake();
            }
        }
        if anybody {
            self.wake_first();
        }
        anybody
    }

    /// Takes the first of those that wait out of the queue, if it is due.
    fn next_due(&self, now: Duration) -> Option<(Place, Waker)> {
        let inner = &mut *self.0.lock();
        let (Some(first), Decision::Smooth(gcra)) = (inner.waiters.first(), &mut inner.decision) else { return None };
        match gcra.serve(now) {
            Served::NotYet => return None,
            Served::Anew => inner.returnable_from = first.number(),
            Served::Too => {}
        }
        inner.waiters.pop_first().map(|waker| (first, waker))
    }

    fn wake_first(&self) {
        let mut inner = self.0.lock();
        let first = inner.waiters.first();
        let waker = first.and_then(|first| inner.waiters.get_mut(first)).map(|waker| waker.clone());
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Changes the settings in place: what has been used stays used, who waits goes on waiting. The mode stays.
    pub(super) fn change(&self, now: Duration, settings: RateLimitSettings) {
        self.change_and(now, settings, || {});
    }

    /// The same, with `publish` called in the same step.
    pub(super) fn change_and(&self, now: Duration, settings: RateLimitSettings, publish: impl FnOnce()) {
        let mut guard = self.0.lock();
        let inner = &mut *guard;
        let same_period = inner.settings.period == settings.period;
        inner.settings = settings;
        publish();
        match &mut inner.decision {
            Decision::Smooth(gcra) => gcra.change(now, &settings),
            Decision::Cycles(cycles) if same_period => cycles.change_limit(now, settings.limit),
            Decision::Cycles(cycles) => {
                *cycles = Cycles::new(settings.limit, settings.period);
                inner.epoch += 1;
            }
        }
        drop(guard);
        self.wake_first();
    }

    /// Takes turns that were given out elsewhere (smooth mode); see [`Gcra::charge`].
    pub(super) fn charge(&self, now: Duration, turns: u64, longest: Duration) {
        if let Decision::Smooth(gcra) = &mut self.0.lock().decision {
            gcra.charge(now, turns, longest);
        }
    }

    pub(super) fn settings(&self) -> RateLimitSettings {
        self.0.lock().settings
    }

    /// Calls that wait, and that would be let through now.
    pub(super) fn look(&self, now: Duration) -> (usize, u64) {
        let inner = self.0.lock();
        let available = match &inner.decision {
            Decision::Smooth(_) if !inner.waiters.is_empty() => 0,
            Decision::Smooth(gcra) => gcra.available(now),
            Decision::Cycles(cycles) => u64::try_from(cycles.available(now)).unwrap_or(0),
        };
        (inner.waiters.len(), available)
    }
}

impl Decision {
    fn of(settings: &RateLimitSettings) -> Self {
        match settings.mode {
            Mode::Smooth => Self::Smooth(Gcra::new(settings)),
            Mode::Cycles => Self::Cycles(Cycles::new(settings.limit, settings.period)),
        }
    }
}
