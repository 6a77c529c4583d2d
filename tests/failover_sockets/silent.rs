//! A server that accepts connections and stays silent.

use std::time::Duration;

use axum::Router;
use steadfast::{
    failover::{Endpoint, Failover, FailoverEvent},
    telemetry::Received,
    timeout::Timeout,
};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

use crate::{
    MS,
    http::{Ask, Http, Meaning},
    load::{CLIENTS, Load},
    replay,
    server::Server,
};

const ATTEMPT: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_costs_each_client_one_timeout_at_most_and_those_that_take_it_out() {
    // The system accepts for it.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let answers = || {
        Router::new().fallback(|| async {
            tokio::time::sleep(2 * MS).await;
            "here"
        })
    };
    let (b, c) = (Server::start("b", answers()).await, Server::start("c", answers()).await);
    let endpoint = |key, address| Endpoint::new(key, Http::new(address));
    let (client, handle) = Failover::builder()
        .endpoint(endpoint("a", silent.local_addr().unwrap()))
        .endpoints([endpoint("b", b.address), endpoint("c", c.address)])
        .wrap(|meta, service| {
            let attempt = Timeout::builder(ATTEMPT).name(meta.key().clone()).build().expect("a timeout");
            ServiceBuilder::new().layer(attempt).service(service)
        })
        .seed(7)
        .classify(Meaning)
        .replay(replay())
        .build()
        .unwrap();
    let mut events = handle.subscribe();
    let load = Load::start(&client, Ask::get);
    crate::event(&mut events, |event| matches!(event, FailoverEvent::EndpointEjected { .. }).then_some(())).await;
    tokio::time::sleep(1000 * MS).await;
    let calls = load.stop().await;
    let probing = std::iter::from_fn(|| events.try_recv())
        .filter(|event| matches!(event, Received::Event(FailoverEvent::EndpointProbing { .. })))
        .count() as u32;

    let failed = calls.iter().find_map(|call| call.outcome.as_ref().err());
    assert!(failed.is_none(), "{failed:?}");
    let waited = calls.iter().filter(|call| call.took >= ATTEMPT).count() as u32;
    let threshold = handle.settings().consecutive_failures.unwrap();
    assert!(waited >= 1 && waited <= threshold + CLIENTS + probing, "{waited} of {}", calls.len());
    assert!((1..=5).contains(&probing), "{probing}");
    // Who is sent elsewhere is not sent back.
    let asked = handle.snapshot().endpoint("a").unwrap().calls as u32;
    assert!(asked <= threshold + CLIENTS + probing, "{asked}");
    assert!(calls.len() as u32 > 10 * asked, "{}", calls.len());
}
