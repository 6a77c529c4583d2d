//! Endpoints that do as they are told.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    Error, Rejected, RejectedKind,
    failover::{Endpoint, Failover, FailoverBuilder, FailoverEvent, FailoverHandle},
    telemetry::{Events, Received},
};
use tower::{Service, ServiceExt};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// What an endpoint does with a call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Does {
    Answers(Duration),
    /// The connection is refused: nothing was sent.
    Refuses,
    /// An answer that is an error, after so long.
    Errs(Duration),
    /// The connection is reset after so long.
    Resets(Duration),
    Hangs,
    /// It says that it is a replica.
    NotPrimary,
    /// A layer around it refuses: its breaker is open.
    IsOpen,
    Panics,
}

/// An endpoint of a test: what it does, and what was sent to it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) key: &'static str,
    does: Arc<Mutex<Does>>,
    pub(crate) calls: Arc<AtomicU32>,
    pub(crate) done: Arc<AtomicU32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Refused,
    Errs,
    Reset,
    NotPrimary,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Fault {}

impl Node {
    pub(crate) fn new(key: &'static str) -> Self {
        let does = Arc::new(Mutex::new(Does::Answers(10 * MS)));
        Self { key, does, calls: Arc::default(), done: Arc::default() }
    }

    pub(crate) fn does(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    pub(crate) fn calls(&self) -> u32 {
        self.calls.load(Relaxed)
    }

    /// How many calls have come since it was asked last.
    pub(crate) fn take(&self) -> u32 {
        self.calls.swap(0, Relaxed)
    }

    pub(crate) fn endpoint(&self) -> Endpoint<Node> {
        Endpoint::new(self.key, self.clone())
    }
}

impl Service<u32> for Node {
    type Response = &'static str;
    type Error = Error<Fault>;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, Error<Fault>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.calls.fetch_add(1, Relaxed);
        let (does, key, done) = (*self.does.lock().unwrap(), self.key, Arc::clone(&self.done));
        Box::pin(async move {
            let fault = match does {
                Does::Answers(after) => {
                    tokio::time::sleep(after).await;
                    done.fetch_add(1, Relaxed);
                    return Ok(key);
                }
                Does::Refuses => Fault::Refused,
                Does::NotPrimary => Fault::NotPrimary,
                Does::Errs(after) => {
                    tokio::time::sleep(after).await;
                    Fault::Errs
                }
                Does::Resets(after) => {
                    tokio::time::sleep(after).await;
                    Fault::Reset
                }
                Does::IsOpen => return Err(Rejected::new(RejectedKind::CircuitOpen, key).into()),
                Does::Hangs => std::future::pending().await,
                Does::Panics => panic!("on purpose"),
            };
            Err(Error::Inner(fault))
        })
    }
}

/// What the outcomes of nodes mean.
#[derive(Clone, Copy)]
pub(crate) struct Meaning;

impl steadfast::Classify<&'static str, Error<Fault>> for Meaning {
    fn classify(&self, outcome: Result<&&'static str, &Error<Fault>>) -> steadfast::Verdict {
        if outcome.is_ok() { steadfast::Verdict::Success } else { steadfast::Verdict::TRANSIENT }
    }

    fn reached_service(&self, error: &Error<Fault>) -> bool {
        !matches!(error.inner(), Some(Fault::Refused | Fault::NotPrimary))
    }

    fn in_doubt(&self, error: &Error<Fault>) -> bool {
        !matches!(error.inner(), Some(Fault::Errs))
    }

    fn wrong_role(&self, outcome: Result<&&'static str, &Error<Fault>>) -> bool {
        matches!(outcome, Err(Error::Inner(Fault::NotPrimary)))
    }
}

pub(crate) type Client = Failover<Node, Meaning>;

pub(crate) fn nodes<const N: usize>(keys: [&'static str; N]) -> [Node; N] {
    keys.map(Node::new)
}

/// A client of these nodes, all in tier 0.
pub(crate) fn over(nodes: &[Node]) -> FailoverBuilder<Node, Meaning> {
    Failover::builder().endpoints(nodes.iter().map(Node::endpoint)).seed(7).classify(Meaning)
}

/// A client of these nodes, each in a tier of its own.
pub(crate) fn tiers(nodes: &[Node]) -> FailoverBuilder<Node, Meaning> {
    let endpoints = nodes.iter().zip(0..).map(|(node, tier)| node.endpoint().tier(tier));
    Failover::builder().endpoints(endpoints).seed(7).classify(Meaning)
}

pub(crate) fn build(builder: FailoverBuilder<Node, Meaning>) -> (Client, FailoverHandle<Node>) {
    builder.build().unwrap()
}

pub(crate) async fn call(client: &Client) -> Result<&'static str, Error<Fault>> {
    client.clone().oneshot(1).await
}

/// So many calls, one every 10 ms, each on its own.
pub(crate) async fn load(client: &Client, calls: u32) -> Vec<Result<&'static str, Error<Fault>>> {
    let mut under_way = Vec::new();
    for _ in 0..calls {
        under_way.push(tokio::spawn(client.clone().oneshot(1)));
        tokio::time::sleep(10 * MS).await;
    }
    let mut outcomes = Vec::new();
    for call in under_way {
        outcomes.push(call.await.unwrap());
    }
    outcomes
}

/// What was told since it was asked last.
pub(crate) fn told(events: &mut Events<FailoverEvent>) -> Vec<FailoverEvent> {
    let mut all = Vec::new();
    while let Some(Received::Event(event)) = events.try_recv() {
        all.push(event);
    }
    all
}

/// What was sent to them is not counted.
pub(crate) fn forget(nodes: &[Node]) {
    for node in nodes {
        node.take();
    }
}

pub(crate) fn failures<T, E>(outcomes: &[Result<T, E>]) -> usize {
    outcomes.iter().filter(|outcome| outcome.is_err()).count()
}
