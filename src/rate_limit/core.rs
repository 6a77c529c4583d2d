//! Who goes now, who waits, who is refused. Shared by services and handles; one short lock.

use std::{task::Waker, time::Duration};

use super::{
    cycles::Cycles,
    gcra::Gcra,
    settings::{Mode, RateLimitSettings},
};
use crate::{
    queue::{Place, Queue},
    sync::Mutex,
};

#[derive(Debug)]
pub(super) struct Core(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    settings: RateLimitSettings,
    decision: Decision,
    /// Those that wait in the smooth mode. Only the first of them holds a timer.
    waiters: Queue<Waker>,
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
    /// In the queue; `due` is given to the first in it.
    Queued { place: Place, due: Option<Duration> },
    /// A permission of a later period has been reserved.
    Reserved { at: Duration },
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
        Self(Mutex::new(Inner { decision: Decision::of(&settings), settings, waiters: Queue::new() }))
    }

    /// Asks for a turn by `latest`, without waiting for it. `Err`: when there will be one.
    pub(super) fn try_take(&self, now: Duration) -> Result<(), Duration> {
        let mut inner = self.0.lock();
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
        let mut inner = self.0.lock();
        let RateLimitSettings { max_wait, max_waiting, .. } = inner.settings;
        let latest = now.saturating_add(max_wait).min(deadline.unwrap_or(Duration::MAX));
        let ahead = inner.waiters.len();
        let at = match &mut inner.decision {
            Decision::Cycles(cycles) => {
                return match cycles.reserve(now, 1, latest.saturating_sub(now)) {
                    Some(wait) if wait.is_zero() => Asked::Go,
                    Some(wait) => Asked::Reserved { at: now.saturating_add(wait) },
                    None => Asked::Refused { at: now.saturating_add(cycles.wait(now, 1)) },
                };
            }
            Decision::Smooth(gcra) if ahead > 0 => gcra.due(ahead),
            Decision::Smooth(gcra) => match gcra.take(now) {
                Ok(()) => return Asked::Go,
                Err(at) if max_wait.is_zero() => at,
                Err(_) => gcra.due(0),
            },
        };
        if at > latest || ahead >= max_waiting as usize {
            return Asked::Refused { at };
        }
        let place = inner.waiters.push_last(waker.clone());
        Asked::Queued { place, due: (ahead == 0).then_some(at) }
    }

    /// How a call in the queue stands; `waker` is woken when that changes. Lets everybody go who is due.
    pub(super) fn poll(&self, now: Duration, place: Place, waker: &Waker) -> Stands {
        self.serve(now, Some(place));
        let mut inner = self.0.lock();
        match inner.waiters.get_mut(place) {
            None => return Stands::Go,
            Some(present) => present.clone_from(waker),
        }
        match (&inner.decision, inner.waiters.first() == Some(place)) {
            (Decision::Smooth(gcra), true) => Stands::First { due: gcra.due(0) },
            _ => Stands::Behind,
        }
    }

    /// Leaves the queue. A turn that had come and is not used passes on.
    pub(super) fn leave(&self, now: Duration, place: Place) {
        let mut inner = self.0.lock();
        let was_first = inner.waiters.first() == Some(place);
        if inner.waiters.remove(place).is_none() {
            if let Decision::Smooth(gcra) = &mut inner.decision {
                gcra.give_back();
            }
        } else if !was_first {
            return;
        }
        drop(inner);
        self.serve(now, None);
        self.wake_first();
    }

    /// A reserved permission is not used.
    pub(super) fn give_back(&self, now: Duration) {
        if let Decision::Cycles(cycles) = &mut self.0.lock().decision {
            cycles.give_back(now, 1);
        }
    }

    /// Lets everybody go who is due, all at one wake-up, and tells the next in line to set its timer.
    fn serve(&self, now: Duration, asking: Option<Place>) {
        let mut anybody = false;
        loop {
            let mut inner = self.0.lock();
            let first = inner.waiters.first();
            let Decision::Smooth(gcra) = &mut inner.decision else { return };
            if first.is_none() || !gcra.serve(now) {
                break;
            }
            let waker = inner.waiters.pop_first();
            drop(inner);
            anybody = true;
            if let Some(waker) = waker.filter(|_| first != asking) {
                // Not under the lock: a waker is foreign code.
                waker.wake();
            }
        }
        if anybody {
            self.wake_first();
        }
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

    /// Changes the settings in place: what has been used stays used, who waits goes on waiting. With another mode the
    /// count begins anew, and who waited goes.
    pub(super) fn change(&self, now: Duration, settings: RateLimitSettings) {
        let mut inner = self.0.lock();
        let same_mode = inner.settings.mode == settings.mode;
        let same_period = inner.settings.period == settings.period;
        inner.settings = settings;
        match &mut inner.decision {
            Decision::Smooth(gcra) if same_mode => gcra.change(&settings),
            Decision::Cycles(cycles) if same_mode && same_period => cycles.change_limit(now, settings.limit),
            decision => *decision = Decision::of(&settings),
        }
        let everybody = !same_mode;
        drop(inner);
        if everybody {
            while let Some(waker) = self.pop() {
                waker.wake();
            }
        } else {
            self.wake_first();
        }
    }

    fn pop(&self) -> Option<Waker> {
        self.0.lock().waiters.pop_first()
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
