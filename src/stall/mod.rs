//! Stalls: what failed while our own runtime stood still is nobody's fault but ours.
//!
//! # When
//! A handler computes for three seconds, calls something that blocks, or the machine takes the processor away. Nobody
//! polls; when the runtime goes on, every call in flight is over its time, though its answer may be there. A breaker that
//! counts those timeouts opens on a service that is well, and retries spend their budget on it.
//!
//! So outcomes that are judged in a stall, and while what has piled up is worked off, count for nothing. All layers do
//! this by themselves; there is nothing to configure.
//!
//! # What happens
//! Every timer of the crate that is found over by more than 100 ms after its time tells of a stall, *before* anything is
//! judged: a [`Timeout`](crate::timeout::Timeout) looks at its timer before it polls the call. Then, on that thread, for as
//! long as the stall was and at most 1 s:
//!
//! | | |
//! |---|---|
//! | the outcome | as it is: the caller gets the timeout, or the answer if that is there |
//! | a failure | is [`Neutral`](crate::Verdict::Neutral): no breaker counts it, and a half-open one gives the place back; it is not tried again, and no token of a budget is spent |
//! | a success | is a success, but never a slow one |
//! | a call that is dropped | says nothing |
//! | a panic | is a failure |
//! | a [backup](crate::hedge) that is due | is not sent: its attempt has its time anew |
//! | a store that has not answered (shared rate limits) | is not taken for away |
//!
//! A [`Classify`](crate::Classify) is asked as always, and an explicit [`Fallback`](crate::fallback) answers as always.
//!
//! # Watching
//! Calls without a timer that was late see nothing of this: those that fail by a timer that is not ours, or without any
//! [`Timeout`](crate::timeout::Timeout) above them, or are just slow. For those there is [`watch`]: one line in `main`,
//! one task with one timer, and then every outcome of that runtime is judged with it. Recommended.
//!
//! # What it is not
//! - **Blindness.** In the long run no more than a fifth of the time is excused, and 10 s at most on top of that, per
//!   thread and per watched runtime. A process that stands still all the time sees what its services do, only later: while
//!   outcomes are excused a real outage opens no breaker, so by up to a second later after a stall.
//! - **Paused clocks.** Time that is advanced by hand, in tests or in the simulator, is no stall.
//! - **Other threads.** A stall is one of a thread (or, with [`watch`], of its runtime): one thread that is blocked excuses
//!   none of the others, unless it was the one that had the timer of the watch to wait for.
//! - **Futures that nobody polls** look like a stall to their own timers. That too is not the service's fault, and the
//!   same bound holds.
//!
//! # Local pressure
//! [`snapshot`] says what was lost to stalls, and [`pressure`] is a reason to do less, for `degradation`.
//!
//! Cost: one look at a timer that a call has anyway, when it is polled again; one load when an outcome is a failure.
//! Clocks are read when a timer ends, and for failures once there has been a stall.

mod ledger;
mod watch;

use std::{
    cell::Cell,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use self::ledger::{Excuses, LATE, Totals};
pub use self::watch::{Watch, watch};
use crate::{
    Verdict,
    time::{self, Instant},
};

/// Whether there has been a stall, or a watch: before that no failure looks further.
static SEEN: AtomicBool = AtomicBool::new(false);
static TOTALS: Mutex<Totals> = Mutex::new(Totals::NONE);
static EXCUSED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static HERE: Cell<Excuses> = const { Cell::new(Excuses::NONE) };
}

/// What has been lost to stalls since the process began. Stalls of several threads at the same time are one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StallSnapshot {
    /// How many there were.
    pub stalls: u64,
    /// How long they were in all.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
    /// How long the last one was.
    pub last: Option<Duration>,
    /// How long ago that ended.
    pub since_last: Option<Duration>,
    /// Outcomes that were not counted.
    pub excused: u64,
    /// See [`pressure`].
    pub pressure: f64,
}

/// What has been lost to stalls since the process began.
///
/// ```
/// let stalls = steadfast::stall::snapshot();
/// println!("{} stalls, {:?} in all, {} outcomes excused", stalls.stalls, stalls.total, stalls.excused);
/// ```
pub fn snapshot() -> StallSnapshot {
    let now = time::of_process(time::now());
    let totals = *TOTALS.lock().unwrap_or_else(PoisonError::into_inner);
    let last = totals.last(now);
    StallSnapshot {
        stalls: totals.stalls,
        total: totals.total,
        longest: totals.longest,
        last: last.map(|(length, _)| length),
        since_last: last.map(|(_, ago)| ago),
        excused: EXCUSED.load(Ordering::Relaxed),
        pressure: totals.pressure(now),
    }
}

/// How much this process stalls, from 0 to 1: what is lost adds up, a fifth of the time that passes is taken off. So it
/// is 1 after a second that was lost, and 0 five seconds later; and stays high where more than a fifth of the time is
/// lost. Futures with a timer of ours that the program itself does not poll for long count as stalls too.
pub fn pressure() -> f64 {
    if SEEN.load(Ordering::Relaxed) { snapshot().pressure } else { 0.0 }
}

/// Whether a failure that is judged here and now is excused by a stall: for layers of your own.
#[inline]
pub fn is_stalled() -> bool {
    SEEN.load(Ordering::Relaxed) && look()
}

/// What a failure says about the service: nothing, in a stall. Counts those.
#[inline]
pub(crate) fn excuse(verdict: Verdict) -> Verdict {
    if verdict.is_failure() && excuses() { Verdict::Neutral } else { verdict }
}

/// Whether what speaks against a service is to be let go, which is counted.
pub(crate) fn excuses() -> bool {
    let stalled = is_stalled();
    if stalled {
        EXCUSED.fetch_add(1, Ordering::Relaxed);
    }
    stalled
}

/// A timer that was due at `due`, and waited for, is looked at now.
pub(crate) fn came_due(due: Instant) {
    let now = time::now();
    // In a test that advances time by hand, timers are late as a matter of course.
    if now.saturating_duration_since(due) < LATE || !time::is_real() {
        return;
    }
    let (due, now) = (time::of_process(due), time::of_process(now));
    let mut here = HERE.get();
    here.note(due, now);
    HERE.set(here);
    note_process(due, now);
}

fn note_process(due: Duration, now: Duration) {
    SEEN.store(true, Ordering::Relaxed);
    let new = TOTALS.lock().unwrap_or_else(PoisonError::into_inner).note(due, now);
    #[cfg(feature = "tracing")]
    if new {
        let late = now.saturating_sub(due);
        tracing::warn!(target: "steadfast", ?late, "the runtime was stalled: failures are not counted for a moment");
    }
    let _ = new;
}

#[cold]
fn look() -> bool {
    let now = time::of_process(time::now());
    (HERE.get().covers(now) || watch::covers(now)) && time::is_real()
}
