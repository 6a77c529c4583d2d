//! A timer that always runs, for what no timer of a call has seen.

use std::{
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{
    runtime::{self, Handle},
    task::AbortHandle,
};

use super::{
    ledger::{Excuses, LATE},
    note_process,
};
use crate::time::{self, Sleep};

/// How often the timer ends.
const BEAT: Duration = Duration::from_millis(50);

/// The runtimes that are watched.
static WATCHED: LazyLock<ArcSwap<Vec<Arc<Watched>>>> = LazyLock::new(ArcSwap::default);

/// A runtime that is watched for stalls, until this is dropped. See [`watch`].
#[derive(Debug)]
#[must_use = "watching ends when this is dropped"]
pub struct Watch {
    watched: Arc<Watched>,
    beat: AbortHandle,
}

#[derive(Debug)]
struct Watched {
    runtime: runtime::Id,
    /// When its timer ends next: nanoseconds since the process's origin.
    due: AtomicU64,
    excuses: Mutex<Excuses>,
}

/// Watches the runtime that this is called on for stalls, by a task with a timer that ends 20 times a second.
///
/// Without it a stall is seen by the calls whose own timers it made late: enough for all that a
/// [`Timeout`](crate::timeout::Timeout) ends. With it, so are others of the same runtime: slow calls that no timeout
/// ends, failures of services with timers of their own, connections that a server closed meanwhile.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let _watch = steadfast::stall::watch(); // for as long as `main` runs
/// # }
/// ```
///
/// A runtime that is only driven now and then, by one `block_on` after the other, looks like one that stalls: no watch there.
///
/// Not on a paused clock, where nothing stalls: it would only make time go on in small steps.
///
/// # Panics
/// Outside of a tokio runtime, as `tokio::spawn` does.
pub fn watch() -> Watch {
    super::SEEN.store(true, Ordering::Relaxed);
    let watched = Arc::new(Watched {
        runtime: Handle::current().id(),
        due: AtomicU64::new(u64::MAX),
        excuses: Mutex::new(Excuses::NONE),
    });
    WATCHED.rcu(|all| all.iter().chain([&watched]).cloned().collect::<Vec<_>>());
    let beat = tokio::spawn(beat(Listed(Arc::clone(&watched)))).abort_handle();
    Watch { watched, beat }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.beat.abort();
        self.watched.unlist();
    }
}

/// What the task holds: it ends with the runtime too.
struct Listed(Arc<Watched>);

impl Drop for Listed {
    fn drop(&mut self) {
        self.0.unlist();
    }
}

async fn beat(listed: Listed) {
    let Listed(watched) = &listed;
    while let Some(due) = time::after(time::now(), BEAT) {
        watched.due.store(u64::try_from(time::of_process(due).as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Sleep::until(due).await;
        watched.look(time::of_process(time::now()));
    }
}

impl Watched {
    /// Whether outcomes are excused. Nobody waits for the timer to be polled: if it is late by now, there is a stall.
    fn look(&self, now: Duration) -> bool {
        let due = Duration::from_nanos(self.due.load(Ordering::Relaxed));
        let late = now.saturating_sub(due) >= LATE && time::is_real();
        let mut excuses = self.excuses.lock().unwrap_or_else(PoisonError::into_inner);
        if late {
            excuses.note(due, now);
        }
        let covered = excuses.covers(now);
        drop(excuses);
        if late {
            note_process(due, now);
        }
        covered
    }

    fn unlist(self: &Arc<Self>) {
        WATCHED.rcu(|all| all.iter().filter(|other| !Arc::ptr_eq(other, self)).cloned().collect::<Vec<_>>());
    }
}

/// Whether a watch of the runtime that this thread belongs to excuses outcomes.
pub(super) fn covers(now: Duration) -> bool {
    let all = WATCHED.load();
    if all.is_empty() {
        return false;
    }
    let Ok(here) = Handle::try_current().map(|handle| handle.id()) else { return false };
    all.iter().any(|watched| watched.runtime == here && watched.look(now))
}
