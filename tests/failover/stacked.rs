//! Below a retry and a hedge: no endpoint twice, nothing done twice, attempts and tokens counted once.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    Error,
    backoff::Backoff,
    failover::{Endpoint, Failover},
    hedge::Hedge,
    retry::{Budget, CloneRequest, Retry, only_unsent_unless},
    timeout::Timeout,
};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_endpoints_that_have_not_been_tried_first() {
    let [a, b, c] = nodes(["a", "b", "c"]);
    let one_each = tiers(&[a.clone(), b.clone(), c.clone()]).with(|settings| settings.max_endpoints_per_call = 1);
    let (client, _) = build(one_each);
    let retry = Retry::builder().classify(Meaning).max_attempts(3).backoff(Backoff::none()).build().unwrap();
    let client = ServiceBuilder::new().layer(retry).service(client);
    [&a, &b].into_iter().for_each(|node| node.does(Does::Errs(MS)));
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "c");
    assert_eq!([a.take(), b.take(), c.take()], [1; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_goes_to_another_endpoint_than_what_it_is_to_overtake() {
    let [a, b] = nodes(["a", "b"]);
    let (client, _) = build(tiers(&[a.clone(), b.clone()]));
    let hedge = Hedge::after(50 * MS).alone().classify(Meaning).build().unwrap();
    let client = ServiceBuilder::new().layer(hedge).service(client);
    a.does(Does::Hangs);
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
    assert_eq!([a.take(), b.take()], [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_once_over_all_and_tokens_are_spent_once() {
    let [a, b, c, d] = nodes(["a", "b", "c", "d"]);
    let budget = Arc::new(Budget::refund());
    let (client, _) = build(tiers(&[a.clone(), b.clone(), c.clone(), d.clone()]).budget(Arc::clone(&budget)));
    let retry = Retry::builder().classify(Meaning).max_attempts(3).backoff(Backoff::none());
    let retry = retry.budget(Arc::clone(&budget)).build().unwrap();
    let client = ServiceBuilder::new().layer(retry).service(client);
    let all = [&a, &b, &c, &d];
    all.into_iter().for_each(|node| node.does(Does::Errs(MS)));
    let before = budget.tokens();
    client.clone().oneshot(1).await.unwrap_err();
    assert_eq!(all.map(Node::take), [1, 1, 1, 0], "three in all");
    assert_eq!(budget.tokens(), before - 2.0);
    c.does(Does::Answers(MS));
    client.clone().oneshot(1).await.unwrap();
    assert_eq!(all.map(Node::take), [1, 1, 1, 0]);
    assert_eq!(budget.tokens(), before - 3.0, "that of the one that succeeded is given back");
    a.does(Does::Refuses);
    b.does(Does::Answers(MS));
    client.clone().oneshot(1).await.unwrap();
    assert!(budget.tokens() >= before - 3.0, "what was not sent costs nothing");
}

#[tokio::test(start_paused = true)]
async fn past_its_deadline_a_call_goes_nowhere_else() {
    let [a, b] = nodes(["a", "b"]);
    let (client, _) = build(tiers(&[a.clone(), b.clone()]));
    let client = ServiceBuilder::new().layer(Timeout::builder(100 * MS).build().unwrap()).service(client);
    a.does(Does::Resets(100 * MS));
    client.clone().oneshot(1).await.unwrap_err();
    sleep(Duration::from_secs(1)).await;
    assert_eq!((a.calls(), b.calls()), (1, 0));
    a.does(Does::Resets(90 * MS));
    b.does(Does::Hangs);
    let since = Instant::now();
    client.clone().oneshot(1).await.unwrap_err();
    assert_eq!((since.elapsed().as_millis(), b.calls()), (100, 1));
}

/// What has been sent to whom.
#[derive(Clone)]
struct Ledger {
    key: &'static str,
    sent: Arc<Mutex<HashMap<u32, Vec<&'static str>>>>,
    random: Arc<Mutex<u64>>,
}

fn draw(random: &Mutex<u64>, below: u64) -> u64 {
    let mut random = random.lock().unwrap();
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*random >> 33) % below
}

impl Service<u32> for Ledger {
    type Response = &'static str;
    type Error = Error<Fault>;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, Error<Fault>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let (does, time) = (draw(&self.random, 10), Duration::from_millis(draw(&self.random, 60)));
        let (key, sent) = (self.key, Arc::clone(&self.sent));
        if (1..=2).contains(&does) {
            return Box::pin(std::future::ready(Err(Error::Inner(Fault::Refused))));
        }
        sent.lock().unwrap().entry(request).or_default().push(key);
        Box::pin(async move {
            sleep(time).await;
            match does {
                3 | 4 => Err(Error::Inner(Fault::Reset)),
                5 => Err(Error::Inner(Fault::Errs)),
                6 => std::future::pending().await,
                _ => Ok(key),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_done_twice_is_sent_once_and_nothing_goes_to_an_endpoint_twice() {
    let (sent, random) = (Arc::default(), Arc::new(Mutex::new(7)));
    let ledger = |key| Ledger { key, sent: Arc::clone(&sent), random: Arc::clone(&random) };
    let endpoints = ["a", "b", "c", "d"].map(|key| Endpoint::new(key, ledger(key)));
    // Those of odd numbers.
    let once = || only_unsent_unless(CloneRequest, |request: &u32| request.is_multiple_of(2));
    let own = Failover::builder().endpoints(endpoints).seed(7).classify(Meaning).budget(None).replay(once());
    let never_out = own.with(|settings| {
        (settings.consecutive_failures, settings.connect_failures, settings.all_out_failures) = (None, None, None);
        settings.max_endpoints_per_call = 3;
    });
    let (client, handle) = never_out.build().unwrap();
    let retry = Retry::builder().classify(Meaning).max_attempts(3).budget(None).replay(once());
    let retry = retry.backoff(Backoff::fixed(5 * MS)).hedge(Hedge::after(30 * MS).budget(1.0, 1000)).build().unwrap();
    let stack = ServiceBuilder::new().layer(Timeout::builder(500 * MS).build().unwrap()).layer(retry).service(client);
    let (mut twice, mut moved) = (0, 0);
    let mut under_way = Vec::new();
    for request in 0..4000 {
        under_way.push(tokio::spawn(stack.clone().oneshot(request)));
        if under_way.len() == 20 {
            for call in under_way.drain(..) {
                let _ = call.await.unwrap();
            }
        }
    }
    for (request, at) in &*sent.lock().unwrap() {
        assert!(request.is_multiple_of(2) || at.len() == 1, "{request}: {at:?}");
        let mut distinct = at.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() == at.len() && at.len() <= 3, "{request}: {at:?}");
        (twice, moved) = (twice + u32::from(at.len() > 1), moved + u32::from(at.len() > 2));
    }
    assert!(twice > 200 && moved > 20, "{twice}, {moved}");
    assert!(handle.snapshot().endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn drained_under_any_load_nothing_is_lost_and_nothing_new_comes() {
    let all = nodes(["a", "b", "c"]);
    let (client, handle) = build(over(&all));
    let random = Mutex::new(11);
    for _ in 0..60 {
        let at = draw(&random, 3) as usize;
        all.iter().for_each(|node| node.does(Does::Answers(Duration::from_millis(1 + draw(&random, 200)))));
        let mut under_way = Vec::new();
        let mut send = |calls: u64| (0..calls).for_each(|_| under_way.push(tokio::spawn(client.clone().oneshot(1))));
        send(draw(&random, 30));
        sleep(Duration::from_millis(draw(&random, 50))).await;
        let of_drain = handle.clone();
        let drain = tokio::spawn(async move { of_drain.drain(all_key(at)).await });
        tokio::task::yield_now().await;
        let before = all[at].calls();
        send(draw(&random, 30));
        drain.await.unwrap().unwrap();
        let of = handle.snapshot().endpoint(all[at].key).unwrap().clone();
        assert_eq!((all[at].calls(), of.in_flight), (before, 0));
        for call in under_way {
            call.await.unwrap().unwrap();
        }
        handle.undrain(all[at].key).unwrap();
    }
    assert_eq!(all.iter().map(Node::calls).sum::<u32>(), all.iter().map(done).sum::<u32>());
}

fn all_key(at: usize) -> &'static str {
    ["a", "b", "c"][at]
}

fn done(node: &Node) -> u32 {
    node.done.load(std::sync::atomic::Ordering::Relaxed)
}
