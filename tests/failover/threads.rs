//! Many threads at once. They do not sleep: what has to be waited for is over after a nanosecond.

use std::{
    future::{Ready, ready},
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use futures::executor::block_on;
use steadfast::{
    Error,
    backoff::{Backoff, Jitter},
    failover::{Endpoint, Failover, FailoverHandle},
};
use tower::{Service, ServiceExt};

use crate::support::{Fault, Meaning};

/// Counts how many calls it has at once.
#[derive(Clone, Default)]
struct Counted(Arc<Counts>);

#[derive(Default)]
struct Counts {
    refuses: AtomicBool,
    now: AtomicU32,
    most: AtomicU32,
    calls: AtomicU32,
}

impl Service<u32> for Counted {
    type Response = &'static str;
    type Error = Error<Fault>;
    type Future = Ready<Result<&'static str, Error<Fault>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.0.calls.fetch_add(1, SeqCst);
        let now = self.0.now.fetch_add(1, SeqCst) + 1;
        self.0.most.fetch_max(now, SeqCst);
        (0..100).for_each(|_| spin_loop());
        self.0.now.fetch_sub(1, SeqCst);
        ready(if self.0.refuses.load(SeqCst) { Err(Error::Inner(Fault::Refused)) } else { Ok("answered") })
    }
}

type Client = Failover<Counted, Meaning>;

fn client(nodes: &[Counted; 2]) -> (Client, FailoverHandle<Counted>) {
    let endpoints = nodes.iter().zip(["a", "b"]).map(|(node, key)| Endpoint::new(key, node.clone()));
    let builder = Failover::builder().endpoints(endpoints).classify(Meaning).seed(3).with(|settings| {
        settings.ejection = Backoff::fixed(Duration::from_nanos(1)).jitter(Jitter::None);
        (settings.trial_timeout, settings.penalty) = (Duration::from_secs(3600), Duration::ZERO);
    });
    builder.build().unwrap()
}

/// So many threads, each with its clone, until all are done.
fn from_threads(client: &Client, work: impl Fn(Client) + Send + Sync) {
    thread::scope(|scope| {
        for _ in 0..4 {
            let (client, work) = (client.clone(), &work);
            scope.spawn(move || work(client));
        }
    });
}

#[test]
fn of_all_that_find_an_ejection_over_one_tries_the_endpoint_at_a_time() {
    let nodes = [Counted::default(), Counted::default()];
    let (client, handle) = client(&nodes);
    nodes[0].0.refuses.store(true, SeqCst);
    while handle.snapshot().endpoint("a").unwrap().state.is_in() {
        block_on(client.clone().oneshot(1)).unwrap();
    }
    nodes[0].0.most.store(0, SeqCst);
    let before = nodes[0].0.calls.load(SeqCst);
    // Whoever tries may be interrupted meanwhile, so it is not said after how many calls.
    let trials = || nodes[0].0.calls.load(SeqCst) - before;
    from_threads(&client, |client| {
        for _ in 0..200_000 {
            assert_eq!(block_on(client.clone().oneshot(1)), Ok("answered"));
            if trials() >= 500 {
                break;
            }
        }
    });
    let trials = trials();
    assert!(trials >= 500, "{trials}");
    assert_eq!(nodes[0].0.most.load(SeqCst), 1, "of {trials} trials");
    let in_flight: u32 = handle.snapshot().endpoints.iter().map(|endpoint| endpoint.in_flight).sum();
    assert_eq!(in_flight, 0);
}

#[test]
fn whoever_drains_an_endpoint_is_told_and_then_no_call_is_there_or_comes() {
    let nodes = [Counted::default(), Counted::default()];
    let (client, handle) = client(&nodes);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            let (client, done) = (client.clone(), &done);
            scope.spawn(move || {
                while !done.load(SeqCst) {
                    assert_eq!(block_on(client.clone().oneshot(1)), Ok("answered"));
                }
            });
        }
        for _ in 0..100 {
            // It would hang if nobody told.
            block_on(handle.drain("a")).unwrap();
            let before = nodes[0].0.calls.load(SeqCst);
            for _ in 0..100 {
                assert_eq!(nodes[0].0.now.load(SeqCst), 0);
            }
            assert_eq!(nodes[0].0.calls.load(SeqCst), before);
            handle.undrain("a").unwrap();
            while nodes[0].0.calls.load(SeqCst) == before {
                thread::yield_now();
            }
        }
        done.store(true, SeqCst);
    });
}

/// Ejected and tried again and again while others still end.
#[test]
fn after_many_ejections_it_is_in_with_nothing_against_it_and_each_call_is_counted_once() {
    let nodes = [Counted::default(), Counted::default()];
    let (client, handle) = client(&nodes);
    nodes[0].0.refuses.store(true, SeqCst);
    from_threads(&client, |client| {
        for _ in 0..500 {
            assert_eq!(block_on(client.clone().oneshot(1)), Ok("answered"));
        }
    });
    nodes[0].0.refuses.store(false, SeqCst);
    while handle.snapshot().endpoint("a").unwrap().successes == 0 {
        block_on(client.clone().oneshot(1)).unwrap();
    }
    let snapshot = handle.snapshot();
    let a = snapshot.endpoint("a").unwrap();
    assert_eq!((a.in_flight, a.in_row), (0, 0), "{snapshot:?}");
    assert_eq!(a.calls, a.successes + a.failures + a.abandoned);
}
