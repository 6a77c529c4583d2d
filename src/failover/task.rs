//! The one task of a client: makes services, probes endpoints, reads reports and changes of the set. Ends with the last
//! service and handle.

use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::Notify,
    task::{Id, JoinError, JoinSet},
};

use super::{
    Meta,
    check::Checked,
    endpoint::Source,
    members::Membership,
    probe::{Probe, Report, heartbeat::Reports},
    shared::Shared,
    view::Slot,
};
use crate::{
    BoxError,
    sync::Mutex,
    telemetry::Name,
    time::{self, Sleep},
};

/// What the task works with.
pub(super) struct Parts<S> {
    pub(super) probe: Option<Arc<dyn Probe<S>>>,
    pub(super) reports: Option<Reports>,
    pub(super) members: Vec<Box<dyn Membership<S>>>,
}

impl<S> Parts<S> {
    pub(super) fn have_work(&self) -> bool {
        self.probe.is_some() || self.reports.is_some() || !self.members.is_empty()
    }

    /// A new endpoint, as checks see it.
    pub(super) fn checked(&self, now: Duration) -> Checked {
        if self.reports.is_some() && self.probe.is_none() {
            Checked::reports(now)
        } else {
            Checked::new(self.probe.is_some())
        }
    }
}

/// What the task is asked for.
#[derive(Debug)]
pub(super) struct Desk {
    /// Numbers of the endpoints whose services are to be made.
    to_make: Mutex<Vec<u32>>,
    /// Calls fail to connect.
    look_again: AtomicBool,
    wake: Notify,
}

impl Default for Desk {
    fn default() -> Self {
        Self { to_make: Mutex::new(Vec::new()), look_again: AtomicBool::new(false), wake: Notify::new() }
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

    /// Begins the task, if there is one to begin and a runtime for it.
    pub(super) fn start(&self, shared: &Arc<Shared<S>>)
    where
        S: Clone + Send + Sync + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return };
        if let Some(parts) = self.0.lock().take() {
            shared.idle.store(false, Relaxed);
            let parts = Borrowed { parts: Some(parts), of: Arc::downgrade(shared) };
            runtime.spawn(run(Arc::downgrade(shared), Arc::clone(&shared.desk), parts));
        }
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
            shared.ask_again();
            shared.idle.store(true, Relaxed);
        }
    }
}

/// What a job has come to.
enum Done<S> {
    Probed(u32, Result<Report, Name>),
    Made(u32, Result<S, BoxError>),
    Started(u32, Result<S, Name>),
    Stopped,
}

/// What a job is about: one that panics cannot say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Probed,
    Made,
    Started,
    Stopped,
}

/// What has happened.
enum News<S> {
    Job(Result<(Id, Done<S>), JoinError>),
    Members(super::members::Change<S>),
    Report(Name, Report),
    Look,
}

/// How long it takes at most until the next look, if nothing else is due.
const AT_LEAST: Duration = Duration::from_secs(3600);

async fn run<S: Clone + Send + Sync + 'static>(shared: Weak<Shared<S>>, desk: Arc<Desk>, mut parts: Borrowed<S>) {
    let mut jobs: JoinSet<Done<S>> = JoinSet::new();
    // Which endpoint a job is for.
    let mut about: Vec<(Id, u32, About)> = Vec::new();
    let mut making: HashSet<u32> = HashSet::new();
    loop {
        let Some(shared_now) = shared.upgrade() else { return };
        let parts = parts.parts.as_mut().expect("only given back when dropped");
        if desk.look_again.swap(false, Relaxed) {
            parts.members.iter_mut().for_each(|members| members.look_again());
        }
        for id in std::mem::take(&mut *desk.to_make.lock()) {
            if making.insert(id)
                && let Some(slot) = shared_now.slot(id)
                && let Source::Make(make) = &slot.source
            {
                let made = make();
                let limit = shared_now.settings.get().acquire_timeout;
                let job = jobs.spawn(async move {
                    let made = within(limit, made).await;
                    Done::Made(id, made.unwrap_or_else(|| Err(format!("not made within {limit:?}").into())))
                });
                about.push((job.id(), id, About::Made));
            }
        }
        if let Some(probe) = &parts.probe {
            for (id, meta) in shared_now.to_probe() {
                let Some(slot) = shared_now.slot(id) else { continue };
                let asked = ask(&**probe, &meta, &slot);
                let limit = shared_now.settings.get().check.timeout;
                let job = jobs.spawn(async move {
                    let result = match within(limit, asked).await {
                        Some(Ok(report)) => Ok(report),
                        Some(Err(error)) => Err(Name::from(error.to_string())),
                        None => Err(Name::from(format!("no answer within {limit:?}"))),
                    };
                    Done::Probed(id, result)
                });
                about.push((job.id(), id, About::Probed));
            }
        }
        if let Some(id) = shared_now.to_start()
            && let Some(slot) = shared_now.slot(id)
            && let Source::Cold(cold) = &slot.source
        {
            let (starts, limit) = (cold.begin(), cold.rules.deadline);
            let job = jobs.spawn(async move {
                Done::Started(
                    id,
                    match within(limit, starts).await {
                        Some(started) => started.map_err(|error| Name::from(error.to_string())),
                        None => Err(Name::from(format!("not started within {limit:?}"))),
                    },
                )
            });
            about.push((job.id(), id, About::Started));
        }
        for id in shared_now.to_stop() {
            let Some(slot) = shared_now.slot(id) else { continue };
            slot.made.store(None);
            if let Source::Cold(cold) = &slot.source
                && let Some(stop) = cold.stop.clone()
            {
                let limit = cold.rules.deadline;
                let job = jobs.spawn(async move {
                    let _ = within(limit, stop()).await;
                    Done::Stopped
                });
                about.push((job.id(), id, About::Stopped));
            }
        }
        let next = shared_now.next_of_task().map(|next| shared_now.clock.instant(next));
        drop(shared_now);

        let timer = next.unwrap_or_else(|| time::after(time::now(), AT_LEAST)).map(Sleep::until);
        let mut timer = pin!(timer);
        let mut wake = pin!(desk.wake.notified());
        let news = poll_fn(|cx| {
            if let Poll::Ready(Some(job)) = jobs.poll_join_next_with_id(cx) {
                return Poll::Ready(News::Job(job));
            }
            if let Some(news) = poll_parts(parts, cx) {
                return Poll::Ready(news);
            }
            let woken = wake.as_mut().poll(cx).is_ready();
            let due = timer.as_mut().as_pin_mut().is_some_and(|timer| timer.poll(cx).is_ready());
            if woken || due { Poll::Ready(News::Look) } else { Poll::Pending }
        })
        .await;

        let Some(shared_now) = shared.upgrade() else { return };
        match news {
            News::Look => drop(shared_now.look(shared_now.clock.now())),
            News::Members(change) => shared_now.apply(change, |now| parts.checked(now)),
            News::Report(key, report) => shared_now.reported(&key, report),
            News::Job(done) => {
                let job = match &done {
                    Ok((job, _)) => *job,
                    Err(error) => error.id(),
                };
                let at = about.iter().position(|(id, ..)| *id == job).expect("each job is noted");
                let (_, id, about) = about.swap_remove(at);
                if about == About::Made {
                    making.remove(&id);
                }
                match (done.map(|(_, done)| done), about) {
                    (Ok(Done::Probed(id, result)), _) => shared_now.probed(id, result),
                    (Ok(Done::Made(id, made)), _) => shared_now.made(id, made.ok()),
                    (Ok(Done::Started(id, started)), _) => shared_now.started(id, started, |now| parts.checked(now)),
                    (Err(_), About::Probed) => shared_now.probed(id, Err(Name::from_static("the probe panicked"))),
                    (Err(_), About::Made) => shared_now.made(id, None),
                    (Err(_), About::Started) => {
                        shared_now.started(id, Err(Name::from_static("its start panicked")), |now| parts.checked(now));
                    }
                    (Ok(Done::Stopped), _) | (Err(_), About::Stopped) => {}
                }
            }
        }
    }
}

fn poll_parts<S: 'static>(parts: &mut Parts<S>, cx: &mut Context<'_>) -> Option<News<S>> {
    if let Some(reports) = &mut parts.reports {
        match reports.poll_report(cx) {
            Poll::Ready(Some((key, report))) => return Some(News::Report(key, report)),
            Poll::Ready(None) => parts.reports = None,
            Poll::Pending => {}
        }
    }
    let mut at = 0;
    while let Some(members) = parts.members.get_mut(at) {
        match members.poll_change(cx) {
            Poll::Ready(Some(change)) => return Some(News::Members(change)),
            Poll::Ready(None) => drop(parts.members.remove(at)),
            Poll::Pending => at += 1,
        }
    }
    None
}

fn ask<S: Clone + 'static>(
    probe: &dyn Probe<S>,
    meta: &Meta,
    slot: &Slot<S>,
) -> Pin<Box<dyn Future<Output = Result<Report, BoxError>> + Send>> {
    let service = match &slot.source {
        Source::Ready(service) => Some(service.clone()),
        Source::Make(_) | Source::Cold(_) => slot.made.load_full().map(|service| (*service).clone()),
    };
    probe.probe(meta, service)
}

/// The outcome, unless it takes longer.
async fn within<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(time::after(time::now(), limit).map(Sleep::until));
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        match timer.as_mut().as_pin_mut().map(|timer| timer.poll(cx)) {
            Some(Poll::Ready(())) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await
}
