//! What the task of a client has under way, each in a task of its own that ends with it: one that panics or blocks harms no other.

use std::{
    collections::HashSet,
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::task::{Id, JoinError, JoinSet};

use super::{
    Meta,
    endpoint::Source,
    probe::{Probe, Report},
    shared::Shared,
    task::Parts,
    view::Slot,
};
use crate::{
    BoxError, stall,
    telemetry::Name,
    time::{self, Sleep},
};

/// What a job has come to.
pub(super) enum Done<S> {
    /// `None`: it says nothing of the endpoint.
    Probed(Option<Result<Report, Name>>),
    Made(Result<S, Name>),
    Started(Result<S, Name>),
    Stopped(Result<(), Name>),
}

/// What a job is about: one that panics cannot say so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Probe,
    Make,
    Start,
    Stop,
}

pub(super) struct Jobs<S> {
    pub(super) set: JoinSet<Done<S>>,
    /// Which endpoint a job is for.
    about: Vec<(Id, u32, About)>,
    making: HashSet<u32>,
}

impl<S: Send + 'static> Default for Jobs<S> {
    fn default() -> Self {
        Self { set: JoinSet::new(), about: Vec::new(), making: HashSet::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Jobs<S> {
    fn spawn(&mut self, id: u32, about: About, job: impl Future<Output = Done<S>> + Send + 'static) {
        let job = self.set.spawn(job);
        self.about.push((job.id(), id, about));
    }

    pub(super) fn make(&mut self, shared: &Shared<S>, id: u32) {
        let Some(slot) = shared.slot(id) else { return };
        let Source::Make(make) = &slot.source else { return };
        // Another call may have had it made meanwhile.
        if slot.made.load().is_some() || !self.making.insert(id) {
            return;
        }
        let (make, limit) = (Arc::clone(make), shared.settings.get().acquire_timeout);
        self.spawn(id, About::Make, async move {
            let made = within(limit, async move { make().await }).await;
            Done::Made(said(made, "made", limit))
        });
    }

    pub(super) fn probe(&mut self, shared: &Shared<S>, probe: &Arc<dyn Probe<S>>, id: u32, meta: Meta) {
        let Some(slot) = shared.slot(id) else { return };
        let (probe, limit) = (Arc::clone(probe), shared.settings.get().check.timeout);
        self.spawn(id, About::Probe, async move {
            let asked = async move {
                let service = service(&slot);
                drop(slot);
                probe.probe(&meta, service).await
            };
            let result = match within(limit, asked).await {
                Some(Ok(report)) => Ok(report),
                Some(Err(error)) => Err(Name::from(error.to_string())),
                None => Err(Name::from(format!("no answer within {limit:?}"))),
            };
            // Here, as stalls are those of a thread.
            let excused = result.is_err() && stall::excuses();
            Done::Probed((!excused).then_some(result))
        });
    }

    /// A cold standby.
    pub(super) fn start(&mut self, shared: &Shared<S>, id: u32) {
        let Some(slot) = shared.slot(id) else { return };
        let Source::Cold(cold) = &slot.source else { return };
        let limit = cold.rules.deadline;
        self.spawn(id, About::Start, async move {
            let starts = async {
                let Source::Cold(cold) = &slot.source else { return Err("it is not cold".into()) };
                cold.begin().await
            };
            Done::Started(said(within(limit, starts).await, "started", limit))
        });
    }

    pub(super) fn stop(&mut self, shared: &Shared<S>, id: u32) {
        let Some(slot) = shared.slot(id) else { return };
        slot.made.store(None);
        let Source::Cold(cold) = &slot.source else { return };
        if let Some(stop) = cold.stop.clone() {
            let limit = cold.rules.deadline;
            self.spawn(id, About::Stop, async move {
                Done::Stopped(said(within(limit, async move { stop().await }).await, "stopped", limit))
            });
        }
    }

    pub(super) fn done(&mut self, shared: &Shared<S>, done: Result<(Id, Done<S>), JoinError>, parts: &Parts<S>) {
        let job = match &done {
            Ok((job, _)) => *job,
            Err(error) => error.id(),
        };
        let at = self.about.iter().position(|(id, ..)| *id == job).expect("each job is noted");
        let (_, endpoint, about) = self.about.swap_remove(at);
        if about == About::Make {
            self.making.remove(&endpoint);
        }
        match (done, about) {
            (Ok((_, Done::Probed(Some(result)))), _) => shared.probed(endpoint, result),
            (Ok((_, Done::Probed(None))), _) => shared.probe_lost(endpoint),
            (Ok((_, Done::Made(made))), _) => shared.made(endpoint, made),
            (Ok((_, Done::Started(started))), _) => shared.started(endpoint, started, |now| parts.checked(now)),
            (Ok((_, Done::Stopped(stopped))), _) => shared.stopped(endpoint, stopped),
            (Err(error), about) if error.is_panic() => match about {
                About::Stop => shared.stopped(endpoint, Err(Name::from_static("its stop panicked"))),
                About::Make => shared.made(endpoint, Err(Name::from_static("its maker panicked"))),
                About::Start => {
                    shared.started(endpoint, Err(Name::from_static("its start panicked")), |now| parts.checked(now));
                }
                About::Probe => shared.probed(endpoint, Err(Name::from_static("the probe panicked"))),
            },
            // The runtime ends. What is to be made or started is so by the next task.
            (Err(_), About::Make | About::Start) => {}
            (Err(_), About::Probe) => shared.probe_lost(endpoint),
            (Err(_), About::Stop) => shared.stopped(endpoint, Err(Name::from_static("its runtime has ended"))),
        }
    }
}

/// What a job said that should have been `done` in time. In the job, as an error's text is made by its own code.
fn said<T>(result: Option<Result<T, BoxError>>, done: &str, limit: Duration) -> Result<T, Name> {
    match result {
        Some(result) => result.map_err(|error| Name::from(error.to_string())),
        None => Err(Name::from(format!("not {done} within {limit:?}"))),
    }
}

fn service<S: Clone>(slot: &Slot<S>) -> Option<S> {
    match &slot.source {
        Source::Ready(service) => Some(service.clone()),
        Source::Make(_) | Source::Cold(_) => slot.made.load_full().map(|service| (*service).clone()),
    }
}

/// The outcome, unless it takes longer.
async fn within<F: Future + Send>(limit: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut timer = pin!(time::after(time::now(), limit).map(Sleep::until));
    poll_fn(|cx| {
        // A stall is known before anything is judged.
        timer.as_mut().as_pin_mut().into_iter().for_each(Sleep::notice);
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
