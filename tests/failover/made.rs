//! Services that are made on first use.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use steadfast::{
    Error,
    failover::{Balance, Cause, Endpoint, EndpointState, Failover, FailoverBuilder, FailoverEvent},
    telemetry::Name,
};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::support::*;

/// What making does.
#[derive(Clone, Copy)]
enum Making {
    Works(Duration),
    Fails,
    Hangs,
    Panics,
    PanicsAtOnce,
}

#[derive(Clone)]
struct Maker {
    node: Node,
    making: Arc<Mutex<Making>>,
    times: Arc<AtomicU32>,
    /// Of the last one made.
    broken: Arc<Mutex<Arc<AtomicBool>>>,
}

/// A service of a node, which breaks.
#[derive(Clone)]
struct Made {
    node: Node,
    broken: Arc<AtomicBool>,
    busy: bool,
}

impl Service<u32> for Made {
    type Response = &'static str;
    type Error = Error<Fault>;
    type Future = <Node as Service<u32>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        match self.broken.load(Relaxed) {
            true => Poll::Ready(Err(Error::Inner(Fault::Reset))),
            false if self.busy => Poll::Pending,
            false => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.node.call(request)
    }
}

impl Maker {
    fn new(key: &'static str, making: Making) -> Self {
        let broken = Arc::new(Mutex::new(Arc::default()));
        Self { node: Node::new(key), making: Arc::new(Mutex::new(making)), times: Arc::default(), broken }
    }

    fn make(&self) -> impl Future<Output = Result<Made, &'static str>> + Send + use<> {
        self.times.fetch_add(1, Relaxed);
        let making = *self.making.lock().unwrap();
        if matches!(making, Making::PanicsAtOnce) {
            panic!("on purpose");
        }
        let (node, broken) = (self.node.clone(), Arc::new(AtomicBool::new(false)));
        *self.broken.lock().unwrap() = Arc::clone(&broken);
        async move {
            match making {
                Making::Works(after) => tokio::time::sleep(after).await,
                Making::Fails => return Err("on purpose"),
                Making::Hangs => std::future::pending().await,
                Making::Panics | Making::PanicsAtOnce => panic!("on purpose"),
            }
            Ok(Made { node, broken, busy: false })
        }
    }

    fn endpoint(&self) -> Endpoint<Made> {
        let maker = self.clone();
        Endpoint::make(self.node.key, move || maker.make())
    }

    fn now(&self, making: Making) {
        *self.making.lock().unwrap() = making;
    }

    fn breaks(&self) {
        self.broken.lock().unwrap().store(true, Relaxed);
    }

    fn times(&self) -> u32 {
        self.times.swap(0, Relaxed)
    }
}

fn ready(node: &Node) -> Endpoint<Made> {
    Endpoint::new(node.key, Made { node: node.clone(), broken: Arc::default(), busy: false })
}

fn of(endpoints: impl IntoIterator<Item = Endpoint<Made>>) -> FailoverBuilder<Made, Meaning> {
    let endpoints = endpoints.into_iter().zip(0..).map(|(endpoint, tier)| endpoint.tier(tier));
    Failover::builder().endpoints(endpoints).seed(7).classify(Meaning)
}

#[tokio::test(start_paused = true)]
async fn a_service_is_made_once_for_all_who_wait_for_it_and_on_first_use() {
    let a = Maker::new("a", Making::Works(300 * MS));
    let (client, _handle) = of([a.endpoint()]).build().unwrap();
    tokio::time::sleep(1000 * MS).await;
    assert_eq!(a.times(), 0);
    let begun = Instant::now();
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(client.clone().oneshot(1))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "a");
    }
    assert_eq!((begun.elapsed().as_millis() / 10, a.times()), (31, 1));
    client.clone().oneshot(1).await.unwrap();
    assert_eq!(a.times(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_made_is_a_failed_connection_and_the_call_moves_on() {
    for making in [Making::Fails, Making::Panics, Making::PanicsAtOnce] {
        let (a, b) = (Maker::new("a", making), Node::new("b"));
        let (client, handle) = of([a.endpoint(), ready(&b)]).build().unwrap();
        let begun = Instant::now();
        for _ in 0..10 {
            assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
        }
        assert_eq!((begun.elapsed().as_millis() / 10, a.times()), (10, 2));
        let snapshot = handle.snapshot();
        let state = &snapshot.endpoint("a").unwrap().state;
        assert!(matches!(state, EndpointState::Ejected { cause: Cause::Connect(2), .. }), "{state:?}");
        a.now(Making::Works(Duration::ZERO));
        tokio::time::sleep(400 * MS).await;
        client.clone().oneshot(1).await.unwrap();
        assert!(a.times() == 1 && a.node.calls() == 1, "a trial makes it anew");
    }
}

#[tokio::test(start_paused = true)]
async fn a_maker_that_fails_is_told_with_what_it_said_and_counted() {
    for (making, why) in [
        (Making::Fails, "on purpose"),
        (Making::Hangs, "not made within 300ms"),
        (Making::Panics, "its maker panicked"),
        (Making::PanicsAtOnce, "its maker panicked"),
    ] {
        let (a, b) = (Maker::new("a", making), Node::new("b"));
        let builder = of([a.endpoint(), ready(&b)]).with(|settings| settings.acquire_timeout = 300 * MS);
        let (client, handle) = builder.build().unwrap();
        let mut events = handle.subscribe();
        assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
        tokio::time::sleep(MS).await;
        let (key, why) = (Name::from_static("a"), Name::from_static(why));
        assert_eq!(told(&mut events), [FailoverEvent::MakeFailed { key, why }]);
        let counted = || {
            let of_a = handle.snapshot().endpoint("a").unwrap().clone();
            (of_a.times_made, of_a.make_failures)
        };
        assert_eq!(counted(), (0, 1));
        a.now(Making::Works(Duration::ZERO));
        tokio::time::sleep(400 * MS).await;
        client.clone().oneshot(1).await.unwrap();
        assert_eq!((counted(), told(&mut events)), ((1, 1), vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn making_and_getting_ready_take_no_longer_than_they_may_together() {
    let (a, b) = (Maker::new("a", Making::Hangs), Node::new("b"));
    let (client, _handle) = of([a.endpoint(), ready(&b)]).build().unwrap();
    let begun = Instant::now();
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
    assert_eq!(begun.elapsed().as_millis() / 10, 101);

    let busy = Made { node: Node::new("a"), broken: Arc::default(), busy: true };
    let slow = Endpoint::make("a", move || {
        let busy = busy.clone();
        async move {
            tokio::time::sleep(600 * MS).await;
            Ok::<_, Fault>(busy)
        }
    });
    let (client, _handle) = of([slow, ready(&b)]).build().unwrap();
    let begun = Instant::now();
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
    assert_eq!(begun.elapsed().as_millis() / 10, 101);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_is_made_anew_once() {
    let (a, b) = (Maker::new("a", Making::Works(Duration::ZERO)), Node::new("b"));
    let builder = of([a.endpoint(), ready(&b)]).with(|settings| settings.connect_failures = None);
    let (client, _handle) = builder.build().unwrap();
    client.clone().oneshot(1).await.unwrap();
    a.breaks();
    for _ in 0..5 {
        client.clone().oneshot(1).await.unwrap();
    }
    assert_eq!((a.times(), a.node.calls(), b.calls()), (2, 5, 1));
}

#[tokio::test(start_paused = true)]
async fn who_still_has_the_broken_one_does_not_give_up_the_new_one() {
    // The first one is busy until it breaks.
    let times = Arc::new(AtomicU32::new(0));
    let broken = Arc::new(AtomicBool::new(false));
    let node = Node::new("a");
    let made = {
        let (times, broken, node) = (Arc::clone(&times), Arc::clone(&broken), node.clone());
        Endpoint::make("a", move || {
            let first = times.fetch_add(1, Relaxed) == 0;
            let broken = if first { Arc::clone(&broken) } else { Arc::default() };
            let made = Made { node: node.clone(), broken, busy: first };
            async move { Ok::<_, Fault>(made) }
        })
    };
    let b = Node::new("b");
    let builder = of([made, ready(&b)]).with(|settings| {
        (settings.connect_failures, settings.consecutive_failures) = (None, None);
    });
    let (client, _handle) = builder.build().unwrap();
    // Two calls wait with a clone of the first one. Each sees that it is broken when it is polled.
    let (mut one, mut other) = (Box::pin(client.clone().oneshot(1)), Box::pin(client.clone().oneshot(1)));
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..5 {
        assert!(one.as_mut().poll(&mut cx).is_pending() && other.as_mut().poll(&mut cx).is_pending());
        tokio::task::yield_now().await;
    }
    broken.store(true, Relaxed);
    assert!(one.as_mut().poll(&mut cx).is_pending(), "it goes to b");
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "a");
    assert!(other.as_mut().poll(&mut cx).is_pending());
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "a");
    assert_eq!(times.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_whose_endpoint_is_ejected_is_made_anew() {
    let (a, b) = (Maker::new("a", Making::Works(Duration::ZERO)), Node::new("b"));
    let (client, _handle) = of([a.endpoint(), ready(&b)]).build().unwrap();
    client.clone().oneshot(1).await.unwrap();
    a.node.does(Does::Resets(MS));
    for _ in 0..10 {
        client.clone().oneshot(1).await.unwrap();
    }
    assert_eq!(a.times(), 1);
    a.node.does(Does::Answers(MS));
    tokio::time::sleep(400 * MS).await;
    client.clone().oneshot(1).await.unwrap();
    assert_eq!(a.times(), 1);
}

#[tokio::test(start_paused = true)]
async fn layers_are_put_around_what_is_made_and_what_comes_later() {
    let wrapped = Arc::new(Mutex::new(Vec::new()));
    let (sender, receiver) = tokio::sync::watch::channel(vec!["c"]);
    let note = Arc::clone(&wrapped);
    let (a, b) = (Maker::new("a", Making::Works(Duration::ZERO)), Node::new("b"));
    let members = steadfast::failover::members::watch(receiver, |keys: Vec<&'static str>| {
        keys.into_iter().map(|key| ready(&Node::new(key)).tier(9)).collect()
    });
    let builder = of([a.endpoint(), ready(&b)]).members(members).wrap(move |meta, service: Made| {
        note.lock().unwrap().push(meta.key().to_string());
        service
    });
    let (client, handle) = builder.build().unwrap();
    assert_eq!(*wrapped.lock().unwrap(), ["b"]);
    tokio::time::sleep(MS).await;
    client.clone().oneshot(1).await.unwrap();
    assert_eq!(*wrapped.lock().unwrap(), ["b", "c", "a"]);
    sender.send(vec!["c", "d"]).unwrap();
    tokio::time::sleep(MS).await;
    assert_eq!(handle.snapshot().endpoints.len(), 4);
    assert!(wrapped.lock().unwrap().contains(&"d".to_owned()));
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn services_are_made_where_the_client_is_used_when_the_runtime_before_has_ended() {
    let a = Maker::new("a", Making::Works(200 * MS));
    let first = runtime();
    let (client, _handle) = first.block_on(async { of([a.endpoint()]).build().unwrap() });
    first.block_on(async {
        let _ = tokio::time::timeout(100 * MS, client.clone().oneshot(1)).await;
    });
    assert_eq!(a.times(), 1);
    // It waits for what is made on the runtime that ends.
    let second = runtime();
    let mut waits = Box::pin(client.clone().oneshot(1));
    second.block_on(async {
        assert!(tokio::time::timeout(100 * MS, &mut waits).await.is_err());
    });
    // That it is wanted has been heard there.
    first.block_on(tokio::task::yield_now());
    drop(first);
    second.block_on(async {
        let begun = Instant::now();
        assert_eq!(waits.await.unwrap(), "a");
        assert_eq!((begun.elapsed().as_millis() / 10, a.times()), (21, 1));
    });
}

#[test]
fn whoever_waits_when_a_runtime_ends_has_its_service_made_on_another() {
    let makers = ["a", "b"].map(|key| Maker::new(key, Making::Works(200 * MS)));
    let first = runtime();
    let in_turn = Failover::builder().endpoints(makers.each_ref().map(Maker::endpoint)).classify(Meaning);
    let in_turn = in_turn.with(|settings| settings.balance = Balance::RoundRobin);
    let (client, _handle) = first.block_on(async { in_turn.build().unwrap() });
    let two = || Box::pin(futures::future::join_all((0..2).map(|_| client.clone().oneshot(1))));
    assert!(first.block_on(async { tokio::time::timeout(50 * MS, two()).await }).is_err());
    assert_eq!(makers.each_ref().map(Maker::times), [1; 2]);
    let (second, mut wait) = (runtime(), two());
    second.block_on(async {
        assert!(tokio::time::timeout(50 * MS, &mut wait).await.is_err());
    });
    // That they are wanted has been heard there.
    first.block_on(async { tokio::time::sleep(MS).await });
    drop(first);
    second.block_on(async {
        let begun = Instant::now();
        let mut answers: Vec<_> = wait.await.into_iter().map(Result::unwrap).collect();
        answers.sort_unstable();
        assert_eq!((answers, begun.elapsed().as_millis() / 10), (vec!["a", "b"], 21));
    });
}
