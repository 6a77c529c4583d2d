//! What could keep a client from using what is there: nothing does.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    Error, Rejected, RejectedKind,
    failover::{Endpoint, Failover, FailoverHandle, Need, TierPolicy, members, probe},
    retry::{Budget, CloneRequest, only_unsent_unless},
    timeout::Timeout,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn with_all_out_one_whose_breaker_is_open_is_tried_in_its_turn_and_not_on_and_on() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(over(&[a.clone(), b.clone()]));
    [&a, &b].into_iter().for_each(|node| node.does(Does::Refuses));
    load(&client, 4).await;
    assert!(handle.snapshot().all_out.is_some());
    [&a, &b].into_iter().for_each(|node| node.does(Does::IsOpen));
    a.take();
    b.take();
    let error = timeout(Duration::from_secs(5), call(&client)).await.expect("an end").unwrap_err();
    assert_eq!(error.rejected().unwrap().kind(), RejectedKind::NoEndpoint);
    assert!(a.take() + b.take() < 12, "some trials in a second");
    b.does(Does::Answers(10 * MS));
    assert_eq!(call(&client).await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_comes_back_though_all_calls_have_little_time() {
    let [a] = nodes(["a"]);
    let (client, handle) = build(over(std::slice::from_ref(&a)));
    let client = ServiceBuilder::new().layer(Timeout::builder(1000 * MS).build().unwrap()).service(client);
    a.does(Does::Answers(300 * MS));
    for _ in 0..20 {
        client.clone().oneshot(1).await.unwrap();
    }
    a.does(Does::Refuses);
    for _ in 0..4 {
        let _ = client.clone().oneshot(1).await;
    }
    assert!(handle.snapshot().all_out.is_some());
    a.does(Does::Answers(300 * MS));
    for _ in 0..3 {
        let _ = client.clone().oneshot(1).await;
    }
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_write_tries_the_only_endpoint_that_is_left_to_it() {
    let [a, b] = nodes(["a", "b"]);
    let once = only_unsent_unless(CloneRequest, |_: &u32| false);
    let (client, _) = over(&[a.clone(), b.clone()]).need(|_: &u32| Need::Primary).replay(once).build().unwrap();
    b.does(Does::NotPrimary);
    client.clone().oneshot(1).await.unwrap();
    a.does(Does::Refuses);
    for _ in 0..2 {
        client.clone().oneshot(1).await.unwrap_err();
    }
    a.does(Does::Answers(10 * MS));
    sleep(400 * MS).await;
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_held_looks_again_as_soon_as_time_has_changed_something() {
    let [a, b] = nodes(["a", "b"]);
    let (client, _) = over(&[a.clone(), b.clone()]).need(|_: &u32| Need::Primary).build().unwrap();
    [&a, &b].into_iter().for_each(|node| node.does(Does::NotPrimary));
    client.clone().oneshot(1).await.unwrap_err();
    let held = tokio::spawn(client.clone().oneshot(1));
    sleep(10 * MS).await;
    assert!(!held.is_finished());
    let since = Instant::now();
    [&a, &b].into_iter().for_each(|node| node.does(Does::Answers(10 * MS)));
    held.await.unwrap().unwrap();
    assert!(since.elapsed() < 100 * MS, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_hangs_is_given_up_though_nobody_new_calls() {
    let [a] = nodes(["a"]);
    let (client, handle) = build(over(std::slice::from_ref(&a)).with(|settings| settings.trial_timeout = 200 * MS));
    a.does(Does::Refuses);
    load(&client, 4).await;
    assert!(handle.snapshot().all_out.is_some());
    a.does(Does::Hangs);
    let hangs = tokio::spawn(client.clone().oneshot(1));
    sleep(450 * MS).await;
    let timed = ServiceBuilder::new().layer(Timeout::builder(Duration::from_secs(20)).build().unwrap()).service(client);
    a.does(Does::Answers(10 * MS));
    let since = Instant::now();
    assert_eq!(timed.oneshot(1).await.unwrap(), "a");
    assert!(since.elapsed() < 1000 * MS, "{:?}", since.elapsed());
    hangs.abort();
}

type UnderWay = Vec<tokio::task::JoinHandle<Result<&'static str, Error<Fault>>>>;

/// A set of both with eight calls under way.
async fn busy_members(
    a: &Node,
    b: &Node,
) -> (tokio::sync::watch::Sender<Vec<Node>>, Client, FailoverHandle<Node>, UnderWay) {
    let (sets, watched) = tokio::sync::watch::channel(vec![a.clone(), b.clone()]);
    let set = members::watch(watched, |nodes: Vec<Node>| nodes.iter().map(Node::endpoint).collect());
    let (client, handle) = Failover::builder().members(set).seed(7).classify(Meaning).build().unwrap();
    [a, b].into_iter().for_each(|node| node.does(Does::Answers(300 * MS)));
    sleep(MS).await;
    let under_way: Vec<_> = (0..8).map(|_| tokio::spawn(client.clone().oneshot(1))).collect();
    sleep(10 * MS).await;
    (sets, client, handle, under_way)
}

#[tokio::test(start_paused = true)]
async fn a_set_that_is_sent_again_leaves_a_drain_as_it_is() {
    let [a, b] = nodes(["a", "b"]);
    let (sets, client, handle, under_way) = busy_members(&a, &b).await;
    let (of_drain, sent) = (handle.clone(), a.calls());
    let drain = tokio::spawn(async move { of_drain.drain("a").await });
    sleep(10 * MS).await;
    sets.send_modify(|_| ());
    timeout(Duration::from_secs(5), drain).await.expect("drained").unwrap().unwrap();
    for call in under_way {
        call.await.unwrap().unwrap();
    }
    load(&client, 20).await;
    assert_eq!(a.calls(), sent);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_removed_goes_though_it_is_drained_no_more() {
    let [a, b] = nodes(["a", "b"]);
    let (sets, _client, handle, under_way) = busy_members(&a, &b).await;
    sets.send(vec![b.clone()]).unwrap();
    sleep(10 * MS).await;
    handle.undrain("a").unwrap();
    for call in under_way {
        call.await.unwrap().unwrap();
    }
    assert!(handle.snapshot().endpoint("a").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_began_in_the_second_tier_goes_to_the_first_before_the_third() {
    let [a, b, c, d] = nodes(["a", "b", "c", "d"]);
    let tier = |node: &Node, tier| node.endpoint().tier(tier);
    let all = [tier(&a, 0), tier(&b, 0), tier(&c, 1), tier(&d, 2)];
    let spilling = Failover::builder().endpoints(all).seed(7).classify(Meaning);
    let (client, handle) = build(spilling.with(|settings| settings.tiers = TierPolicy::spillover()));
    handle.drain("b").await.unwrap();
    c.does(Does::IsOpen);
    assert_eq!(failures(&load(&client, 200).await), 0);
    assert!(c.calls() > 30, "{}", c.calls());
    assert_eq!((a.calls(), d.calls()), (200, 0));
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_gives_the_token_back_that_it_had() {
    let [a, b] = nodes(["a", "b"]);
    let budget = Arc::new(Budget::refund());
    let (client, _) = build(tiers(&[a.clone(), b.clone()]).budget(Arc::clone(&budget)));
    a.does(Does::Errs(MS));
    b.does(Does::Refuses);
    let before = budget.tokens();
    call(&client).await.unwrap_err();
    assert_eq!((a.calls(), b.calls(), budget.tokens()), (1, 1, before));
    b.does(Does::Errs(MS));
    call(&client).await.unwrap_err();
    assert_eq!((a.calls(), b.calls(), budget.tokens()), (2, 2, before - 1.0));
}

/// Refuses while it is driven to ready, if it is told to.
#[derive(Clone)]
struct Gate(&'static str, bool);

impl Service<u32> for Gate {
    type Response = &'static str;
    type Error = Error<Fault>;
    type Future = std::future::Ready<Result<&'static str, Error<Fault>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        let refused = || Rejected::new(RejectedKind::CircuitOpen, self.0).into();
        Poll::Ready(if self.1 { Err(refused()) } else { Ok(()) })
    }

    fn call(&mut self, _: u32) -> Self::Future {
        std::future::ready(Ok(self.0))
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_refuses_before_the_call_is_no_failure_of_the_endpoint() {
    let endpoints = [Endpoint::new("a", Gate("a", true)), Endpoint::new("b", Gate("b", false)).tier(1)];
    let (client, handle) = Failover::builder().endpoints(endpoints).seed(7).classify(Meaning).build().unwrap();
    for _ in 0..10 {
        assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
    }
    let a = handle.snapshot().endpoint("a").unwrap().clone();
    assert!(a.state.is_in(), "{:?}", a.state);
    assert_eq!((a.calls, a.failures), (10, 0));
}

#[test]
fn probes_go_on_in_another_runtime() {
    let [a] = nodes(["a"]);
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let ask = move |_, _: Option<Node>| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move {
            if first {
                std::future::pending::<()>().await;
            }
            Ok::<_, Fault>(())
        }
    };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let (client, _) = over(&[a]).probe(probe::from_fn(ask)).build().unwrap();
    let of_first = client.clone();
    let first = runtime();
    first.block_on(async {
        assert!(timeout(10 * MS, of_first.oneshot(1)).await.is_err());
    });
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    drop(first);
    let second = runtime().block_on(async { timeout(Duration::from_secs(5), client.oneshot(1)).await });
    assert_eq!(second.unwrap().unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_before_it_is_sent_elsewhere_gives_its_token_back() {
    let a = Node::new("a");
    a.does(Does::Errs(MS));
    let budget = Arc::new(Budget::refund());
    let never = Endpoint::make("b", std::future::pending::<Result<Node, Fault>>).tier(1);
    let builder = over(std::slice::from_ref(&a)).endpoint(never).budget(Arc::clone(&budget));
    let (client, handle) = build(builder);
    let before = budget.tokens();
    let given_up = tokio::spawn(client.oneshot(1));
    sleep(100 * MS).await;
    assert_eq!((handle.snapshot().endpoint("b").unwrap().in_flight, budget.tokens()), (1, before - 1.0));
    given_up.abort();
    sleep(MS).await;
    assert_eq!(budget.tokens(), before);
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_elsewhere_has_been_sent_and_keeps_its_token() {
    let [a, b] = nodes(["a", "b"]);
    a.does(Does::Errs(MS));
    b.does(Does::Panics);
    let budget = Arc::new(Budget::refund());
    let (client, _) = build(tiers(&[a, b]).budget(Arc::clone(&budget)));
    let before = budget.tokens();
    assert!(tokio::spawn(client.oneshot(1)).await.unwrap_err().is_panic());
    assert_eq!(budget.tokens(), before - 1.0);
}
