//! Places, and the line in front of them, for many threads. Shared by services, permits and handles.
//!
//! As in a bulkhead the places are one atomic word; only who waits takes the lock, and who gives a place back while somebody
//! does.

use std::{
    mem,
    sync::atomic::{AtomicU64 as Counter, Ordering::Relaxed},
    task::Waker,
    time::Duration,
};

use super::{
    ShedSettings,
    class::Class,
    handle::Cause,
    line::{Call, Line, Moment, Standing},
    overload::Changes,
};
use crate::{
    places::{Entry, Word},
    slots::Ticket,
    sync::Mutex,
};

/// The weight of a new time in the average: one in so many.
const WEIGHT: u64 = 8;

/// Tells what has changed, outside of the lock.
pub(super) type Tell<'a> = &'a dyn Fn(Changes);

#[derive(Debug)]
pub(super) struct Core {
    word: Word,
    line: Mutex<Line<Waker>>,
    /// How long places are held, on average, in nanoseconds; 0: not known. Of calls that have waited: others read no
    /// clock.
    held: Counter,
    /// The same by priority: what is long and unimportant says nothing about what is short and critical.
    held_of: [Counter; 3],
    /// Nanoseconds.
    interval: Counter,
}

/// What comes of asking.
#[derive(Debug)]
pub(super) enum Asked {
    /// A place was free after all.
    Taken,
    /// Waiting; no longer than until then.
    Waiting(Ticket, Duration),
    Refused,
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Of two at once one may be lost: it is an average.
fn record(average: &Counter, held: Duration) {
    let (held, before) = (nanos(held).max(1), average.load(Relaxed));
    let next = if before == 0 { held } else { before - before / WEIGHT + held / WEIGHT };
    average.store(next.max(1), Relaxed);
}

impl Core {
    pub(super) fn new(settings: &ShedSettings, flows: usize) -> Self {
        Self {
            word: Word::new(settings.max_concurrent),
            line: Mutex::new(Line::new(settings, flows)),
            held: Counter::new(0),
            held_of: Default::default(),
            interval: Counter::new(nanos(settings.interval)),
        }
    }

    /// Takes a place if there is one and nobody waits for it.
    pub(super) fn try_take(&self) -> bool {
        self.word.try_take()
    }

    /// Runs `act` on the line under the lock, after what is over by now, and tells what has changed afterwards.
    fn with<T>(&self, now: Duration, tell: Tell<'_>, act: impl FnOnce(&mut Line<Waker>, Moment) -> T) -> T {
        let interval = Duration::from_nanos(self.interval.load(Relaxed));
        let gap = Duration::from_nanos(self.held.load(Relaxed) / u64::from(self.word.limit()).max(1));
        let takes = self.held_of.each_ref().map(|held| Duration::from_nanos(held.load(Relaxed)));
        let at = Moment { now, takes, gap };
        let (value, changes) = {
            let mut line = self.line.lock();
            line.overload.settle(now, interval);
            let value = act(&mut line, at);
            (value, line.overload.changes())
        };
        if changes[0].is_some() {
            tell(changes);
        }
        value
    }

    /// Takes a place, or waits for one to be given to `waker`, or is refused.
    pub(super) fn ask(&self, now: Duration, call: Call, waker: Waker, tell: Tell<'_>) -> Asked {
        let (asked, untold, waker) = self.with(now, tell, |line, at| {
            // Whether it may wait the line says.
            if self.word.enter(line.waiting() == 0, true) == Entry::Taken {
                return (Asked::Taken, false, Some(waker));
            }
            let (asked, waker) = match line.join(at, call, waker) {
                Ok((ticket, until)) => (Asked::Waiting(ticket, until), None),
                Err((_, waker)) => (Asked::Refused, Some(waker)),
            };
            self.nobody_waits(line);
            (asked, line.has_untold(), waker)
        });
        // Wakers are foreign code: dropped and woken outside of the lock.
        drop(waker);
        if untold {
            self.serve(now, tell);
        }
        asked
    }

    /// How it stands with a waiting call; `waker` will be woken when that changes. An answer is given once.
    pub(super) fn poll(&self, ticket: Ticket, waker: &Waker) -> Option<Standing> {
        let mut fresh = None;
        loop {
            let mut line = self.line.lock();
            match line.waker(ticket) {
                None => {
                    let (standing, unwoken) = line.leave(ticket);
                    drop(line);
                    drop(unwoken);
                    return Some(standing.unwrap_or(Standing::Shed(Cause::Cancelled)));
                }
                Some(present) if present.will_wake(waker) => return None,
                Some(present) => match fresh.take() {
                    Some(fresh) => {
                        let former = mem::replace(present, fresh);
                        drop(line);
                        drop(former);
                        return None;
                    }
                    None => {
                        drop(line);
                        fresh = Some(waker.clone());
                    }
                },
            }
        }
    }

    /// The time of a waiting call is over: it is shed, waits on, or has been answered after all.
    pub(super) fn due(&self, now: Duration, ticket: Ticket, tell: Tell<'_>) -> Standing {
        let (standing, waker, untold) = self.with(now, tell, |line, at| {
            let standing = line.due(at, ticket);
            let waker = if matches!(standing, Standing::Waiting(_)) { None } else { line.leave(ticket).1 };
            self.nobody_waits(line);
            (standing, waker, line.has_untold())
        });
        drop(waker);
        if untold {
            self.serve(now, tell);
        }
        standing
    }

    /// Stops waiting. If a place had been given already it is now the caller's to give back, held since then.
    pub(super) fn leave(&self, ticket: Ticket) -> Option<Duration> {
        let (standing, waker) = {
            let mut line = self.line.lock();
            let left = line.leave(ticket);
            self.nobody_waits(&line);
            left
        };
        drop(waker);
        match standing {
            Some(Standing::Given(then)) => Some(then),
            _ => None,
        }
    }

    /// Gives a place back; the next in line gets it. The clock is read only if somebody waits, or if this one did.
    pub(super) fn give_back(&self, since: Option<(Duration, Class)>, now: impl FnOnce() -> Duration, tell: Tell<'_>) {
        let waited_for = self.word.give_back();
        if waited_for || since.is_some() {
            self.pass_on(since, now(), waited_for, tell);
        }
    }

    /// Apart, so that a place that nobody waits for is given back in few instructions.
    #[cold]
    #[inline(never)]
    fn pass_on(&self, since: Option<(Duration, Class)>, now: Duration, waited_for: bool, tell: Tell<'_>) {
        if let Some((since, class)) = since {
            let held = now.saturating_sub(since);
            record(&self.held, held);
            record(&self.held_of[class.priority()], held);
        }
        if waited_for {
            self.serve(now, tell);
        }
    }

    /// Gives what places there are to those who wait, and tells those who wait in vain.
    fn serve(&self, now: Duration, tell: Tell<'_>) {
        while let Some(waker) = self.with(now, tell, |line, at| self.serve_next(line, at)) {
            // Not under the lock: a waker is foreign code.
            waker.wake();
        }
    }

    fn serve_next(&self, line: &mut Line<Waker>, at: Moment) -> Option<Waker> {
        line.prune(at);
        let waker = line.tell().or_else(|| {
            if line.waiting() == 0 || !self.word.take_waited_for() {
                return None;
            }
            line.give(at)
        });
        self.nobody_waits(line);
        waker
    }

    /// Lets calls take places without the lock again, if nobody waits.
    fn nobody_waits(&self, line: &Line<Waker>) {
        if line.waiting() == 0 {
            self.word.nobody_waits();
        }
    }

    /// Changes the limit and the line in place. Never waits: places taken over a lower limit are given back as their calls
    /// end, and none is given out until then. `publish` is called in the same step.
    pub(super) fn change(&self, settings: &ShedSettings, now: Duration, publish: impl FnOnce(), tell: Tell<'_>) {
        self.with(now, tell, |line, _| {
            line.change(settings);
            self.interval.store(nanos(settings.interval), Relaxed);
            self.word.set_limit(settings.max_concurrent);
            publish();
        });
        self.serve(now, tell);
    }

    /// Counts a call that has found no place or got one too late.
    pub(super) fn count(&self, now: Duration, class: Class, cause: Cause, tell: Tell<'_>) {
        self.with(now, tell, |line, at| line.count(at.now, class, cause));
    }

    /// Reads the line.
    pub(super) fn read<T>(&self, now: Duration, tell: Tell<'_>, read: impl FnOnce(&Line<Waker>, Moment) -> T) -> T {
        self.with(now, tell, |line, at| read(line, at))
    }

    /// Places taken.
    pub(super) fn taken(&self) -> u32 {
        self.word.taken()
    }
}
