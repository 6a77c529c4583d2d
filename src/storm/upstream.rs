//! What a stack is put around: the backends, as a client reaches them.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project::{pin_project, pinned_drop};
use tower::Service;

use super::{
    Failure, Request, Response,
    conditions::Millis,
    net::{Fate, Gauge, Net},
};
use crate::{
    context::{self, CallContext},
    time::Sleep,
};

/// The backends of a world, as one client reaches them: by name, or one by one. A service; its error is a
/// [`Failure`].
///
/// By name, attempts go to the backends that the name stands for in turn, as with a DNS name of many addresses.
/// [`endpoints`](Self::endpoints) gives them one by one, for a stack that chooses by itself.
#[derive(Clone)]
pub struct Upstream {
    net: Arc<Net>,
    client: u32,
    /// `None`: by name.
    backend: Option<usize>,
}

impl Upstream {
    pub(super) fn new(net: Arc<Net>, client: u32) -> Self {
        Self { net, client, backend: None }
    }

    /// The number of the client, from 0.
    pub fn client(&self) -> u32 {
        self.client
    }

    /// Each backend on its own, standbys included.
    pub fn endpoints(&self) -> Vec<Self> {
        let backends = self.net.conditions.scenario.world.backends.len();
        (0..backends).map(|backend| Self { backend: Some(backend), ..self.clone() }).collect()
    }

    /// The number of the backend, if it is one.
    pub fn endpoint(&self) -> Option<usize> {
        self.backend
    }

    /// The deadline of those who ask, for the stack to set; a class may have its own, see [`Request::deadline`].
    pub fn deadline(&self) -> std::time::Duration {
        self.net.conditions.scenario.world.deadline
    }

    /// Shows a figure of the stack in the timeline: the mean over all clients, each second.
    pub fn gauge(&self, name: impl Into<String>, read: impl Fn() -> f64 + Send + 'static) {
        self.net.gauges().push(Gauge { name: name.into(), read: Box::new(read) });
    }

    fn choose(&self) -> usize {
        let conditions = &self.net.conditions;
        if let Some(backend) = self.backend {
            return backend;
        }
        let now = self.net.now();
        let named = || {
            (0..conditions.scenario.world.backends.len())
                .filter(|backend| conditions.is_named(now, self.client, *backend))
        };
        let turn = self.net.turn(self.client);
        named().nth(turn % named().count().max(1)).unwrap_or(0)
    }
}

impl Service<Request> for Upstream {
    type Response = Response;
    type Error = Failure;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Call {
        Call { upstream: self.clone(), request, state: State::Start }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { client, backend, .. } = self;
        f.debug_struct("Upstream").field("client", client).field("backend", backend).finish_non_exhaustive()
    }
}

/// An attempt on its way. Dropping it does not reach the backend: what was sent arrives, and what has arrived is worked on.
#[pin_project(PinnedDrop)]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Call {
    upstream: Upstream,
    request: Request,
    #[pin]
    state: State,
}

#[pin_project(project = StateProj)]
enum State {
    Start,
    There {
        attempt: u64,
        backend: usize,
        /// What the call carries along.
        context: CallContext,
        arrives: Millis,
        #[pin]
        timer: Sleep,
    },
    Served(Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>),
    Back {
        outcome: Result<Response, Failure>,
        #[pin]
        timer: Sleep,
    },
    Lost,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "Start",
            Self::There { .. } => "There",
            Self::Served(_) => "Served",
            Self::Back { .. } => "Back",
            Self::Lost => "Lost",
        })
    }
}

impl Future for Call {
    type Output = Result<Response, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let net = Arc::clone(&this.upstream.net);
        let back = |at: Millis, outcome| {
            let timer = Sleep::until(net.at(at + net.conditions.ways(at).1));
            State::Back { outcome, timer }
        };
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Start => {
                    let attempt = net.attempt(this.request);
                    let backend = this.upstream.choose();
                    let now = net.now();
                    let arrives = now + net.conditions.ways(now).0;
                    let timer = Sleep::until(net.at(arrives));
                    let context = carried();
                    State::There { attempt, backend, context, arrives, timer }
                }
                StateProj::There { attempt, backend, context, timer, .. } => {
                    if !timer.poll_elapsed(cx) {
                        return Poll::Pending;
                    }
                    match net.arrives(*this.request, *attempt, *backend, *context) {
                        Fate::Known(at, outcome) => back(at, outcome),
                        Fate::Served(served) => State::Served(served),
                        Fate::Never => State::Lost,
                    }
                }
                StateProj::Served(served) => {
                    let outcome = ready!(served.as_mut().poll(cx));
                    back(net.now(), outcome)
                }
                StateProj::Back { outcome, timer } => {
                    return if timer.poll_elapsed(cx) { Poll::Ready(*outcome) } else { Poll::Pending };
                }
                StateProj::Lost => return Poll::Pending,
            };
            this.state.set(next);
        }
    }
}

/// What a call carries along to a server.
fn carried() -> CallContext {
    let here = context::current();
    let there = CallContext::default().with_priority(here.priority()).with_repeated(here.is_repeated());
    here.deadline().map_or(there, |deadline| there.with_deadline(deadline))
}

#[pinned_drop]
impl PinnedDrop for Call {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        // It is under way already. Without a runtime the run is over.
        if let (StateProj::There { attempt, backend, context, arrives, .. }, Ok(runtime)) =
            (this.state.project(), tokio::runtime::Handle::try_current())
        {
            let (net, request) = (Arc::clone(&this.upstream.net), *this.request);
            let (attempt, backend, context, arrives) = (*attempt, *backend, *context, *arrives);
            runtime.spawn(async move {
                Sleep::until(net.at(arrives)).await;
                if let Fate::Served(served) = net.arrives(request, attempt, backend, context) {
                    let _ = served.await;
                }
            });
        }
    }
}
