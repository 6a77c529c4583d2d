//! Runs a stack through a scenario, on a thread and a paused clock of its own.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use tower::Service;

use super::{
    Load, Report, Request, Response, Scenario, Status, StormError, Upstream, Work,
    conditions::{Conditions, Millis},
    draw::About,
    net::Net,
    oracle::oracle,
    serving::{self, Handler, MakeServer, Serve},
};
use crate::{
    context::{self, CallContext},
    ready::ReadyFuture,
    rng,
    time::Sleep,
};

/// For so long after its deadline a user still waits: the stack's own timeout comes first.
const GRACE: Millis = 5;

/// A stack of layers that is put through storms: what each client puts around its [`Upstream`], and, if given, what each
/// backend puts around its [`Handler`].
pub struct Stack<C> {
    name: String,
    client: C,
    server: Option<MakeServer>,
}

impl<C, S> Stack<C>
where
    C: Fn(Upstream) -> S + Send + Sync + 'static,
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    /// The stack that `client` makes. Called once for each client, within the run: what it makes is that client's own.
    ///
    /// Make the layers in there. A layer that is made outside and cloned in owns one state for all clients, which outlives
    /// the run, while the clock of the next begins anew: an open breaker then stays open, and a budget stays spent.
    pub fn new(name: impl Into<String>, client: C) -> Self {
        Self { name: name.into(), client, server: None }
    }

    /// The layers of the server side, made by `server` once for each backend. Whatever error they end a call with is a
    /// [`Failure::Overloaded`](super::Failure::Overloaded) to the client.
    #[must_use]
    pub fn server<F, T>(mut self, server: F) -> Self
    where
        F: Fn(Handler) -> T + Send + Sync + 'static,
        T: Service<Work, Response = Response> + Clone + Send + 'static,
        T::Future: Send,
        T::Error: Send,
    {
        self.server = Some(Arc::new(move |handler| serving::erase(server(handler))));
        self
    }
}

/// A [`Stack`] of whatever layers.
pub trait Candidate: Send + Sync {
    /// What it is called.
    fn name(&self) -> &str;

    /// Runs a scenario, and measures it against the oracle. The same seed gives the same report, as long as the stack's
    /// own chance comes from this crate or from a seed. Blocks until it is over, which is well under a second for a
    /// hundred simulated ones.
    ///
    /// # Errors
    /// The scenario cannot be.
    fn run(&self, scenario: &Scenario, seed: u64) -> Result<Report, StormError>;
}

impl<C, S> Candidate for Stack<C>
where
    C: Fn(Upstream) -> S + Send + Sync + 'static,
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn run(&self, scenario: &Scenario, seed: u64) -> Result<Report, StormError> {
        scenario.check()?;
        let conditions = Conditions::new(scenario, seed);
        // A thread of its own: there may be a runtime on this one, with a clock that goes on.
        let ran =
            thread::scope(|scope| scope.spawn(|| simulate(&self.client, self.server.as_ref(), &conditions)).join());
        let run = ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let answered = oracle(&conditions, &run.arrivals);
        Ok(Report::new(&self.name, seed, &conditions, &run, &answered))
    }
}

impl<C> fmt::Debug for Stack<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("name", &self.name)
            .field("server", &self.server.is_some())
            .finish_non_exhaustive()
    }
}

/// What happened in a run.
#[derive(Debug)]
pub(super) struct Ran {
    /// Requests in the order of their numbers, with the time they came.
    pub(super) arrivals: Vec<(Millis, Request)>,
    /// What became of each.
    pub(super) ends: Vec<End>,
    pub(super) attempts: Vec<u32>,
    pub(super) attempts_in: Vec<u64>,
    pub(super) worked: Duration,
    pub(super) used: Duration,
    /// Calls that panicked.
    pub(super) panics: u64,
    /// What was read of the stacks: a name, and the mean of each second.
    pub(super) gauges: Vec<(String, Vec<f64>)>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// In an error, or not at all.
    #[default]
    Failed,
    /// With an answer after so long.
    Answered(Millis),
    /// With one that was made up.
    Degraded,
}

fn simulate<C, S>(client: &C, server: Option<&MakeServer>, conditions: &Conditions) -> Ran
where
    C: Fn(Upstream) -> S,
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    rng::repeatable(conditions.draws.bits(About::Seed, 0, 0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing that could be missing");
    runtime.block_on(async {
        let world = &conditions.scenario.world;
        let serve = server.map(|make| Serve::new(&world.backends, make));
        let net = Arc::new(Net::new(conditions.clone(), serve));
        let stacks: Vec<S> =
            (0..world.clients).map(|client_number| client(Upstream::new(Arc::clone(&net), client_number))).collect();
        let log = Arc::new(Mutex::new(Log::default()));
        let gauges = tokio::spawn(read_gauges(Arc::clone(&net)));
        match world.load {
            Load::Closed { users, think } => closed(&net, &log, &stacks, users, think).await,
            _ => open(&net, &log, &stacks).await,
        }
        drop(stacks);
        let gauges = gauges.await.unwrap_or_default();
        let log = std::mem::take(&mut *lock(&log));
        let mut book = net.book();
        let served = net.serve.as_ref().map_or(0, |serve| serve.worked.load(std::sync::atomic::Ordering::Relaxed));
        Ran {
            arrivals: log.arrivals,
            ends: log.ends,
            panics: log.panics,
            attempts: std::mem::take(&mut book.attempts),
            attempts_in: std::mem::take(&mut book.attempts_in),
            worked: book.worked + Duration::from_millis(served),
            used: book.used,
            gauges,
        }
    })
}

#[derive(Debug, Default)]
struct Log {
    arrivals: Vec<(Millis, Request)>,
    ends: Vec<End>,
    panics: u64,
}

type Logs = Arc<Mutex<Log>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests come of themselves.
async fn open<S>(net: &Arc<Net>, logs: &Logs, stacks: &[S])
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    let arrivals = net.conditions.arrivals();
    let end = net.conditions.window().end;
    *lock(logs) = Log { ends: vec![End::Failed; arrivals.len()], arrivals: arrivals.clone(), panics: 0 };
    let mut now = 0;
    for (at, request) in arrivals {
        if at > now {
            Sleep::until(net.at(at)).await;
            now = at;
        }
        let stack = stacks[request.client as usize].clone();
        tokio::spawn(ask(Arc::clone(net), Arc::clone(logs), stack, request, at));
    }
    Sleep::until(net.at(end + longest_deadline(net) + 2 * GRACE)).await;
}

/// Each user asks, waits, thinks, and asks again.
async fn closed<S>(net: &Arc<Net>, logs: &Logs, stacks: &[S], users: u32, think: Duration)
where
    S: Service<Request, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    let end = net.conditions.window().end;
    let stacks = Arc::new(Mutex::new(stacks.to_vec()));
    for user in 0..u64::from(users) {
        let (net, logs, stacks) = (Arc::clone(net), Arc::clone(logs), Arc::clone(&stacks));
        tokio::spawn(async move {
            for round in 0.. {
                let thinks = think.as_secs_f64() * 1000.0 * net.conditions.draws.exponential(About::Gap, user, round);
                Sleep::until(net.at(net.now() + thinks as Millis)).await;
                let now = net.now();
                if now >= end {
                    return;
                }
                let request = {
                    let mut log = lock(&logs);
                    let request = net.conditions.request(log.arrivals.len() as u64, now);
                    log.arrivals.push((now, request));
                    log.ends.push(End::Failed);
                    request
                };
                let stack = lock(&stacks)[request.client as usize].clone();
                ask(Arc::clone(&net), Arc::clone(&logs), stack, request, now).await;
            }
        });
    }
    Sleep::until(net.at(end + longest_deadline(net) + 2 * GRACE)).await;
}

fn longest_deadline(net: &Net) -> Millis {
    let classes = 0..net.conditions.scenario.world.classes.len();
    classes.map(|class| net.conditions.waits(class)).max().unwrap_or_default()
}

/// A user, up to the answer or until the deadline is over.
async fn ask<S>(net: Arc<Net>, logs: Logs, stack: S, request: Request, at: Millis)
where
    S: Service<Request, Response = Response>,
{
    let _panics = CountsPanics(&logs);
    let mut patience = std::pin::pin!(Sleep::until(net.at(request.by + GRACE)));
    let context = CallContext::default().with_priority(net.conditions.priority(&request));
    let mut call = std::pin::pin!(context::scope(context, ReadyFuture::waiting(stack, request)));
    let outcome = std::future::poll_fn(|cx| {
        use std::task::Poll;
        if let Poll::Ready(outcome) = call.as_mut().poll(cx) {
            return Poll::Ready(outcome.ok());
        }
        if patience.as_mut().poll_elapsed(cx) { Poll::Ready(None) } else { Poll::Pending }
    });
    let now_and = outcome.await.map(|response| (net.now(), response));
    let end = match now_and {
        Some((now, response)) if now <= request.by => match (response.status, response.worked) {
            (Status::Degraded, _) | (_, None) => End::Degraded,
            (_, Some(worked)) => {
                net.book().used += worked;
                End::Answered(now - at)
            }
        },
        _ => return,
    };
    lock(&logs).ends[request.id as usize] = end;
}

/// Counts a call that panics.
struct CountsPanics<'a>(&'a Logs);

impl Drop for CountsPanics<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            lock(self.0).panics += 1;
        }
    }
}

/// Reads the gauges once a second. Those of one name are one figure: their mean.
async fn read_gauges(net: Arc<Net>) -> Vec<(String, Vec<f64>)> {
    let mut all: Vec<(String, Vec<f64>)> = Vec::new();
    let seconds = net.conditions.window().end / 1000;
    for second in 1..=seconds {
        Sleep::until(net.at(second * 1000)).await;
        let mut sums: Vec<(&str, f64, u32)> = Vec::new();
        // Read outside of the lock: it is foreign code, and may add another.
        let mut gauges = std::mem::take(&mut *net.gauges());
        for gauge in &gauges {
            let value = (gauge.read)();
            match sums.iter_mut().find(|(name, ..)| *name == gauge.name) {
                Some((_, sum, number)) => (*sum, *number) = (*sum + value, *number + 1),
                None => sums.push((&gauge.name, value, 1)),
            }
        }
        for (name, sum, number) in sums {
            let mean = sum / f64::from(number);
            match all.iter_mut().find(|(present, _)| present == name) {
                Some((_, values)) => values.push(mean),
                None => {
                    // Nothing was shown before.
                    let mut values = vec![0.0; second as usize - 1];
                    values.push(mean);
                    all.push((name.to_owned(), values));
                }
            }
        }
        let mut present = net.gauges();
        gauges.append(&mut present);
        *present = gauges;
    }
    all
}
