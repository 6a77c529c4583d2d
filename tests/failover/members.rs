//! Endpoints that come and go.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    Error, RejectedKind,
    failover::{Endpoint, EndpointState, Failover, FailoverHandle, members::Change},
};
use tokio::time::Instant;
use tower::{Service, ServiceExt};

use crate::{sent::*, support::*};

#[tokio::test(start_paused = true)]
async fn those_that_stay_keep_what_is_known_and_those_that_are_missing_are_drained() {
    let [a, b, c] = nodes(["a", "b", "c"]);
    let (sender, members) = source();
    let (client, handle) = Failover::builder().members(members).seed(7).classify(Meaning).build().unwrap();
    sender.send(set([&a, &b])).unwrap();
    soon().await;
    load(&client, 20).await;
    let before = handle.snapshot().endpoint("a").unwrap().calls;
    assert!(before > 0);
    [&a, &b].iter().for_each(|node| node.does(Does::Answers(500 * MS)));
    let under_way = tokio::spawn(async move { load(&client, 10).await });
    tokio::time::sleep(150 * MS).await;
    let other = Node::new("a");
    let stays = other.endpoint().tier(3).weight(7.0).zone("z");
    sender.send(Change::Set(vec![stays, c.endpoint()])).unwrap();
    soon().await;
    assert_eq!(services(&other), 0, "the service that is known stays");
    let snapshot = handle.snapshot();
    let of_a = snapshot.endpoint("a").unwrap();
    assert_eq!((of_a.meta.tier(), of_a.meta.weight(), of_a.meta.zone().unwrap().as_str()), (3, 7.0, "z"));
    assert!(of_a.calls > before);
    assert_eq!(snapshot.endpoint("b").unwrap().state, EndpointState::Draining);
    b.take();
    assert!(services(&b) > 0);
    assert_eq!(failures(&under_way.await.unwrap()), 0);
    assert_eq!((b.calls(), services(&b)), (0, 0));
    assert_eq!(keys(&handle), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_inserted_again_is_replaced_and_the_new_one_is_meant_from_then_on() {
    let [old, new, newer] = nodes(["a", "a", "a"]);
    let (sender, members) = source();
    let (client, handle) = Failover::builder().members(members).seed(7).classify(Meaning).build().unwrap();
    sender.send(Change::Insert(old.endpoint())).unwrap();
    soon().await;
    old.does(Does::Answers(5000 * MS));
    let under_way = tokio::spawn(client.clone().oneshot(1));
    soon().await;
    sender.send(Change::Insert(new.endpoint())).unwrap();
    soon().await;
    call(&client).await.unwrap();
    assert_eq!((old.calls(), new.calls()), (1, 1));
    assert!(handle.snapshot().endpoint("a").unwrap().state.is_in(), "not the one that leaves");
    sender.send(set([&newer])).unwrap();
    soon().await;
    call(&client).await.unwrap();
    assert_eq!((old.calls(), new.calls(), services(&newer)), (1, 2, 0));
    sender.send(Change::Remove("a".into())).unwrap();
    soon().await;
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.rejected().unwrap().kind(), RejectedKind::NoEndpoint);
    assert_eq!((services(&new), under_way.await.unwrap().unwrap()), (0, "a"));
    assert_eq!((services(&old), handle.snapshot().endpoints.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_back_while_it_drains_goes_on_with_its_service() {
    let [a, b, again] = nodes(["a", "b", "a"]);
    let (sender, members) = source();
    let (client, handle) = Failover::builder().members(members).seed(7).classify(Meaning).build().unwrap();
    sender.send(set([&a])).unwrap();
    soon().await;
    a.does(Does::Answers(1000 * MS));
    let under_way = tokio::spawn(client.clone().oneshot(1));
    soon().await;
    sender.send(set([&b])).unwrap();
    soon().await;
    sender.send(set([&again])).unwrap();
    soon().await;
    a.does(Does::Answers(10 * MS));
    call(&client).await.unwrap();
    assert_eq!((a.calls(), again.calls(), under_way.await.unwrap().unwrap()), (2, 0, "a"));
    assert_eq!(keys(&handle), ["a"]);
    // And it can go once more.
    sender.send(set([&b])).unwrap();
    soon().await;
    assert_eq!((keys(&handle), services(&a)), (vec!["b".to_owned()], 0));
}

#[tokio::test(start_paused = true)]
async fn a_set_that_makes_no_sense_does_no_harm() {
    let [a, twice] = nodes(["a", "a"]);
    let (sender, members) = source();
    let (client, handle) = Failover::builder().members(members).seed(7).classify(Meaning).build().unwrap();
    sender.send(Change::Set(vec![a.endpoint().weight(2.0), twice.endpoint().weight(3.0)])).unwrap();
    soon().await;
    let weight = || handle.snapshot().endpoint("a").unwrap().meta.weight();
    assert_eq!((keys(&handle).len(), weight(), services(&twice)), (1, 2.0, 0));
    for (weighs, counts) in
        [(f64::NAN, 1.0), (-3.0, 1.0), (0.0, 1.0), (f64::INFINITY, 1000.0), (1e9, 1000.0), (5.0, 5.0)]
    {
        for change in [Change::Set(vec![a.endpoint().weight(weighs)]), Change::Insert(a.endpoint().weight(weighs))] {
            sender.send(change).unwrap();
            soon().await;
            assert_eq!(weight(), counts, "{weighs}");
            call(&client).await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_first_set_and_are_refused_once_it_is_empty() {
    let [a] = nodes(["a"]);
    let (sender, members) = source();
    let (client, _handle) = Failover::builder().members(members).seed(7).classify(Meaning).build().unwrap();
    let begun = Instant::now();
    let refused = call(&client).await.unwrap_err();
    assert_eq!((begun.elapsed(), refused.rejected().unwrap().kind()), (1000 * MS, RejectedKind::NoEndpoint));
    let waits = tokio::spawn(client.clone().oneshot(1));
    tokio::time::sleep(700 * MS).await;
    sender.send(set([&a])).unwrap();
    assert_eq!(waits.await.unwrap().unwrap(), "a");
    sender.send(set([])).unwrap();
    soon().await;
    let begun = Instant::now();
    let error = call(&client).await.unwrap_err();
    assert_eq!(begun.elapsed(), Duration::ZERO, "that was meant");
    assert!(error.to_string().contains("there are none"), "{error}");
    sender.send(Change::Insert(a.endpoint())).unwrap();
    soon().await;
    call(&client).await.unwrap();

    let (sender, members) = source::<Node>();
    let (client, _handle) = Failover::builder().members(members).classify(Meaning).build().unwrap();
    drop(sender);
    soon().await;
    let begun = Instant::now();
    assert!(client.oneshot(1).await.is_err());
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody is going to come");
}

#[tokio::test(start_paused = true)]
async fn a_drain_by_hand_ends_though_the_set_is_told_again() {
    let [a, b] = nodes(["a", "b"]);
    let (sender, members) = source();
    let (client, handle) = Failover::builder().members(members).seed(7).classify(Meaning).build().unwrap();
    sender.send(set([&a])).unwrap();
    soon().await;
    a.does(Does::Answers(500 * MS));
    let under_way = tokio::spawn(client.clone().oneshot(1));
    soon().await;
    let drained = tokio::spawn(async move { handle.drain("a").await });
    soon().await;
    sender.send(set([&a, &b])).unwrap();
    under_way.await.unwrap().unwrap();
    tokio::time::timeout(10 * MS, drained).await.expect("its last call has ended").unwrap().unwrap();
    a.take();
    load(&client, 10).await;
    assert_eq!(a.calls(), 0, "by hand");
}

/// Looks at its client when it is dropped.
#[derive(Clone)]
struct Looks(#[allow(dead_code)] Arc<Look>); // For its drop.

struct Look(Arc<OnceLock<FailoverHandle<Looks>>>, Arc<AtomicBool>);

impl Drop for Look {
    fn drop(&mut self) {
        if let Some(handle) = self.0.get() {
            handle.snapshot();
            self.1.store(true, Relaxed);
        }
    }
}

impl Service<u32> for Looks {
    type Response = ();
    type Error = Error<Fault>;
    type Future = std::future::Ready<Result<(), Error<Fault>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        std::future::ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_may_look_at_its_client_as_it_is_dropped() {
    let (sender, members) = source();
    let (_client, handle) = Failover::builder().members(members).classify(Meaning).build().unwrap();
    let client: Failover<Looks, Meaning> = _client;
    let looks = |key: &'static str| {
        let dropped = Arc::new(AtomicBool::new(false));
        let handles = Arc::new(OnceLock::new());
        assert!(handles.set(handle.clone()).is_ok());
        (Endpoint::new(key, Looks(Arc::new(Look(handles, Arc::clone(&dropped))))), dropped)
    };
    let ((first, of_first), (second, of_second), (third, of_third)) = (looks("a"), looks("a"), looks("b"));
    sender.send(Change::Set(vec![first])).unwrap();
    sender.send(Change::Set(vec![second])).unwrap();
    soon().await;
    assert!(of_second.load(Relaxed) && !of_first.load(Relaxed));
    sender.send(Change::Set(vec![third])).unwrap();
    soon().await;
    assert!(of_first.load(Relaxed));
    sender.send(Change::Set(Vec::new())).unwrap();
    soon().await;
    assert!(of_third.load(Relaxed));
    drop(client);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_changes_under_load_lose_no_call_and_leave_nothing_behind() {
    let pool = nodes(["a", "b", "c", "d"]);
    let (sender, members) = source();
    let (client, handle) = Failover::builder().members(members).seed(7).classify(Meaning).build().unwrap();
    sender.send(set([&pool[0]])).unwrap();
    let calls = tokio::spawn(async move { load(&client, 1100).await });
    let most = Arc::new(Mutex::new(0));
    for turn in 0..10_000_usize {
        let (one, other) = (&pool[turn % 4], &pool[(turn + 1) % 4]);
        let change = match turn % 3 {
            0 => set([one, other]),
            1 => Change::Insert(one.endpoint()),
            _ => set([other]),
        };
        sender.send(change).unwrap();
        soon().await;
        let mut most = most.lock().unwrap();
        *most = (*most).max(handle.snapshot().endpoints.len());
    }
    let outcomes = calls.await.unwrap();
    assert_eq!(failures(&outcomes), 0, "{:?}", outcomes.iter().find(|outcome| outcome.is_err()));
    assert!(*most.lock().unwrap() < 12);
    sender.send(set([&pool[0]])).unwrap();
    tokio::time::sleep(100 * MS).await;
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.endpoints.len(), snapshot.endpoints[0].in_flight), (1, 0));
    assert_eq!(pool.iter().map(services).sum::<usize>(), 1);
}

#[test]
fn no_call_is_refused_while_other_threads_replace_the_set() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_time().build().unwrap();
    runtime.block_on(async {
        let pool = nodes(["a", "b"]);
        pool.iter().for_each(|node| node.does(Does::Answers(Duration::ZERO)));
        let (sender, members) = source();
        let builder = Failover::builder().members(members).classify(Meaning);
        let (client, _handle) = builder.with(|settings| settings.max_hold = Duration::ZERO).build().unwrap();
        sender.send(set([&pool[0]])).unwrap();
        while call(&client).await.is_err() {}
        let over = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (client, over) = (client.clone(), Arc::clone(&over));
                tokio::spawn(async move {
                    while !over.load(Relaxed) {
                        call(&client).await.expect("there is always one");
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for turn in 0..20_000 {
            sender.send(set([&pool[turn % 2]])).unwrap();
            if turn % 64 == 0 {
                tokio::task::yield_now().await;
            }
        }
        over.store(true, Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
    });
}
