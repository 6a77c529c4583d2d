//! A name that is given another address, with one pool for each address (field fault 30).

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use steadfast::failover::{Endpoint, Failover, FailoverEvent, members};
use tokio::sync::{Notify, watch};
use tower::{ServiceBuilder, ServiceExt};

use crate::{
    MS, ends, event,
    http::{Ask, Http, Meaning},
    load::Load,
    replay,
    server::{Count, Server},
};

/// Answers with its name at once, but for `/slow`.
fn named(key: &'static str, slow: &Count, go_on: &Arc<Notify>) -> Router {
    let (slow, go_on) = (slow.clone(), Arc::clone(go_on));
    let wait = move || async move {
        slow.add();
        go_on.notified().await;
        key
    };
    Router::new().route("/slow", axum::routing::any(wait)).fallback(move || async move {
        tokio::time::sleep(MS).await;
        key
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_client_moves_with_the_record_and_loses_nothing() {
    let (slow, go_on) = (Count::new(), Arc::new(Notify::new()));
    let a = Server::start("a", named("a", &slow, &go_on)).await;
    let b = Server::start("b", named("b", &slow, &go_on)).await;
    let (record, records) = watch::channel(vec![a.address]);
    let alive = Arc::new(());
    let of_pools = Arc::downgrade(&alive);
    let mut alive = Some(alive);
    let pool = move |address: SocketAddr| {
        // The pool of the first address is known by this.
        let mark = alive.take();
        let keeps = move |ask: Ask| {
            let _ = &mark;
            ask
        };
        Endpoint::new(address.to_string(), ServiceBuilder::new().map_request(keeps).service(Http::new(address)))
    };
    let mut pool = pool;
    let members = members::watch(records, move |set: Vec<SocketAddr>| set.into_iter().map(&mut pool).collect());
    let (client, handle) =
        Failover::builder().members(members).seed(7).classify(Meaning).replay(replay()).build().unwrap();
    let mut events = handle.subscribe();

    let load = Load::start(&client, Ask::get);
    let under_way = tokio::spawn(client.clone().oneshot(Ask::post("/slow")));
    slow.reaches(1).await;
    load.goes_on(200).await;
    record.send_replace(vec![b.address]);
    let new = b.address.to_string();
    let there = |event: &FailoverEvent| matches!(event, FailoverEvent::EndpointUp { key, .. } if *key == *new);
    event(&mut events, |event| there(event).then_some(())).await;
    load.goes_on(200).await;
    let calls = load.stop().await;
    let failed = calls.iter().find_map(|call| call.outcome.as_ref().err());
    assert!(failed.is_none(), "{failed:?}");
    let last = calls.iter().max_by_key(|call| call.id).unwrap();
    assert_eq!(last.outcome.as_ref().unwrap().body, "b");
    for _ in 0..20 {
        assert_eq!(ends(client.clone().oneshot(Ask::get("/"))).await.unwrap().body, "b");
    }

    // What was under way ends where it began; then the pool is dropped.
    assert!(of_pools.upgrade().is_some());
    go_on.notify_one();
    assert_eq!(ends(under_way).await.unwrap().unwrap().body, "a");
    assert!(of_pools.upgrade().is_none());
    assert_eq!(handle.snapshot().endpoints.len(), 1);
}
