//! The one task of a client: makes services, probes endpoints, reads reports and changes of the set. Ends with the last
//! service and handle.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{Id, JoinError},
};

use super::{
    FailoverEvent,
    check::Checked,
    jobs::{Done, Jobs},
    members::{Change, Polled, Source},
    probe::{Probe, Report, heartbeat::Reports},
    shared::Shared,
};
use crate::{
    stall,
    sync::Mutex,
    telemetry::Name,
    time::{self, Sleep},
};

/// What the task works with.
pub(super) struct Parts<S> {
    pub(super) probe: Option<Arc<dyn Probe<S>>>,
    /// `None` too when there will be no more.
    pub(super) reports: Option<Reports>,
    pub(super) by_reports: bool,
    pub(super) members: Vec<Source<S>>,
}

impl<S> Parts<S> {
    pub(super) fn have_work(&self) -> bool {
        self.probe.is_some() || self.by_reports || !self.members.is_empty()
    }

    /// A new endpoint, as checks see it.
    pub(super) fn checked(&self, now: Duration) -> Checked {
        if self.by_reports && self.probe.is_none() { Checked::reports(now) } else { Checked::new(self.probe.is_some()) }
    }
}

/// What the task is asked for.
#[derive(Debug)]
pub(super) struct Desk {
    /// Numbers of the endpoints whose services are to be made.
    to_make: Mutex<Vec<u32>>,
    /// How many tasks have begun, one after the other.
    pub(super) begun: AtomicU32,
    /// Calls fail to connect.
    look_again: AtomicBool,
    wake: Notify,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            to_make: Mutex::new(Vec::new()),
            begun: AtomicU32::new(0),
            look_again: AtomicBool::new(false),
            wake: Notify::new(),
        }
    }
}

impl Desk {
    pub(super) fn make(&self, id: u32) {
        self.to_make.lock().push(id);
        self.wake.notify_one();
    }

    pub(super) fn look_again(&self) {
        if !self.look_again.swap(true, Relaxed) {
            self.wake.notify_one();
        }
    }

    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

/// Where the parts are while no task has them.
pub(super) struct Seat<S>(Mutex<Option<Parts<S>>>);

impl<S> Seat<S> {
    pub(super) fn new(parts: Option<Parts<S>>) -> Self {
        Self(Mutex::new(parts))
    }

    /// Begins the task, if there is one to begin and a runtime for it. Whether it has.
    pub(super) fn start(&self, shared: &Arc<Shared<S>>) -> bool
    where
        S: Clone + Send + Sync + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return false };
        let Some(parts) = self.0.lock().take() else { return false };
        shared.idle.store(false, Relaxed);
        shared.desk.begun.fetch_add(1, Relaxed);
        let parts = Borrowed { parts: Some(parts), of: Arc::downgrade(shared) };
        runtime.spawn(run(Arc::downgrade(shared), Arc::clone(&shared.desk), parts));
        true
    }
}

/// The parts, which go back to their seat when the runtime ends before the client does.
struct Borrowed<S> {
    parts: Option<Parts<S>>,
    of: Weak<Shared<S>>,
}

impl<S> Drop for Borrowed<S> {
    fn drop(&mut self) {
        if let Some(shared) = self.of.upgrade() {
            *shared.seat.0.lock() = self.parts.take();
            shared.idle.store(true, Relaxed);
            // Whoever waits on another runtime begins it there.
            shared.changed.notify_waiters();
        }
    }
}

/// What has happened.
enum News<S> {
    Job(Result<(Id, Done<S>), JoinError>),
    /// The set of a source has changed.
    Members(u32, Change<S>),
    /// A source says that it fails, or works again.
    Source(FailoverEvent),
    /// There will be no more of this source; perhaps as it has panicked.
    Ended(u32, FailoverEvent),
    Report(Name, Report),
    Look,
}

/// How long it takes at most until the next look, if nothing else is due.
const AT_LEAST: Duration = Duration::from_secs(3600);

/// Sources are told to look again at most this often.
const AGAIN: Duration = Duration::from_secs(1);

/// After so many news in a row others of the runtime have their turn.
const IN_A_ROW: u32 = 64;

async fn run<S: Clone + Send + Sync + 'static>(shared: Weak<Shared<S>>, desk: Arc<Desk>, mut parts: Borrowed<S>) {
    let mut jobs = Jobs::default();
    let mut looked: Option<Duration> = None;
    let mut silence_from = Duration::ZERO;
    let mut in_a_row = 0;
    let clock = match shared.upgrade() {
        Some(shared) => {
            shared.task_begins();
            shared.clock
        }
        None => return,
    };
    loop {
        let Some(shared_now) = shared.upgrade() else { return };
        let parts = parts.parts.as_mut().expect("only given back when dropped");
        let look_from = looked.map_or(Duration::ZERO, |looked| looked.saturating_add(AGAIN));
        if clock.now() >= look_from && desk.look_again.swap(false, Relaxed) {
            looked = Some(clock.now());
            // One that panics is asked no more when it is polled.
            let look = |source: &mut Source<S>| source.members.look_again();
            parts.members.iter_mut().for_each(|source| drop(catch_unwind(AssertUnwindSafe(|| look(source)))));
        }
        for id in std::mem::take(&mut *desk.to_make.lock()) {
            jobs.make(&shared_now, id);
        }
        if let Some(probe) = &parts.probe {
            shared_now.to_probe().into_iter().for_each(|(id, meta)| jobs.probe(&shared_now, probe, id, meta));
        }
        if let Some(id) = shared_now.to_start() {
            jobs.start(&shared_now, id);
        }
        shared_now.to_stop().into_iter().for_each(|id| jobs.stop(&shared_now, id));
        let mut next = shared_now.next_of_task(silence_from);
        if desk.look_again.load(Relaxed) {
            next = Some(next.map_or(look_from, |next| next.min(look_from)));
        }
        drop(shared_now);

        let next = next.map_or_else(|| time::after(time::now(), AT_LEAST), |next| clock.instant(next));
        let mut timer = pin!(next.map(Sleep::until));
        let mut wake = pin!(desk.wake.notified());
        // All reports have been read that came before this.
        let mut heard = Duration::ZERO;
        let mut waited = false;
        let news = poll_fn(|cx| {
            if let Poll::Ready(Some(job)) = jobs.set.poll_join_next_with_id(cx) {
                return Poll::Ready(News::Job(job));
            }
            let before = clock.now();
            if let Some(news) = poll_reports(parts, cx) {
                return Poll::Ready(news);
            }
            heard = before;
            if let Some(news) = poll_members(parts, cx) {
                return Poll::Ready(news);
            }
            let woken = wake.as_mut().poll(cx).is_ready();
            let due = timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
            waited |= !woken && !due;
            if woken || due { Poll::Ready(News::Look) } else { Poll::Pending }
        })
        .await;

        let Some(shared_now) = shared.upgrade() else { return };
        match news {
            News::Look => {
                drop(shared_now.look(clock.now()));
                if stall::is_stalled() {
                    // Who reports may have been held up as we were.
                    silence_from = clock.now().saturating_add(shared_now.settings.get().check.fast);
                } else if heard >= silence_from {
                    shared_now.judge_silence(heard);
                }
            }
            News::Members(source, change) => shared_now.apply(source, Some(change), |now| parts.checked(now)),
            News::Source(event) => shared_now.tell(event),
            News::Ended(number, event) => {
                shared_now.apply(number, None, |now| parts.checked(now));
                shared_now.tell(event);
            }
            News::Report(key, report) => shared_now.reported(&key, report),
            News::Job(done) => jobs.done(&shared_now, done, parts),
        }
        drop(shared_now);
        in_a_row = if waited { 0 } else { in_a_row + 1 };
        if in_a_row == IN_A_ROW {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn poll_reports<S>(parts: &mut Parts<S>, cx: &mut Context<'_>) -> Option<News<S>> {
    match parts.reports.as_mut()?.poll_report(cx) {
        Poll::Ready(Some((key, report))) => return Some(News::Report(key, report)),
        Poll::Ready(None) => parts.reports = None,
        Poll::Pending => {}
    }
    None
}

fn poll_members<S: 'static>(parts: &mut Parts<S>, cx: &mut Context<'_>) -> Option<News<S>> {
    for at in 0..parts.members.len() {
        let source = &mut parts.members[at];
        let number = source.number;
        // One that panics has come to its end, and the others go on.
        let news = match catch_unwind(AssertUnwindSafe(|| source.poll(cx))) {
            Ok(Poll::Pending) => continue,
            Ok(Poll::Ready(Polled::Change(change))) => News::Members(number, change),
            Ok(Poll::Ready(Polled::Event(event))) => News::Source(event),
            ended => {
                let source = parts.members.remove(at).name;
                let why = match ended {
                    Ok(Poll::Ready(Polled::Ended(why))) => why,
                    _ => Some(Name::from_static("it panicked")),
                };
                return Some(News::Ended(number, FailoverEvent::MembersEnded { source, why }));
            }
        };
        // Then it is the turn of the next one.
        parts.members.rotate_left(at + 1);
        return Some(news);
    }
    None
}
