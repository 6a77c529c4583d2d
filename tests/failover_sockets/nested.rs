//! A handler that writes something, then calls another service through a client of its own, which refuses.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::Router;
use steadfast::{
    Rejected, RejectedKind,
    boundary::BoundaryLayer,
    failover::{Endpoint, Failover},
    retry::Retry,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneSyncService};

use crate::{
    ends,
    http::{Answer, Ask, CallError, Meaning},
    over, replay,
    server::Server,
};

type Handler = BoxCloneSyncService<Ask, Answer, CallError>;

/// Writes, then calls a server that is gone. `written` counts.
async fn handler(written: &Arc<AtomicU32>) -> Handler {
    let mut gone = Server::start("gone", Router::new()).await;
    gone.kill().await;
    let (client, handle) = over(&[&gone]).with(|settings| settings.max_hold = Duration::ZERO).build().unwrap();
    while handle.snapshot().all_out.is_none() {
        ends(client.clone().oneshot(Ask::get("/"))).await.unwrap_err();
    }
    let written = Arc::clone(written);
    Handler::new(service_fn(move |_: Ask| {
        written.fetch_add(1, SeqCst);
        client.clone().oneshot(Ask::get("/"))
    }))
}

/// Sends a POST to two such handlers by way of a retry. How often it was written, and what the caller is told.
async fn write(around: impl Fn(Handler) -> Handler) -> (u32, Rejected) {
    let written = Arc::new(AtomicU32::new(0));
    let endpoints = [("a", handler(&written).await), ("b", handler(&written).await)];
    let endpoints = endpoints.map(|(key, handler)| Endpoint::new(key, around(handler)));
    let (outer, _) = Failover::builder().endpoints(endpoints).classify(Meaning).replay(replay()).build().unwrap();
    let retry = Retry::builder().classify(Meaning).replay(replay()).build().unwrap();
    let outer = ServiceBuilder::new().layer(retry).service(outer);
    let error = ends(outer.oneshot(Ask::post("/"))).await.unwrap_err();
    (written.load(SeqCst), error.rejected().expect("a refusal").clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_behind_a_boundary_writes_once_though_a_client_inside_of_it_refuses() {
    let (written, told) = write(|handler| Handler::new(BoundaryLayer.layer(handler))).await;
    assert_eq!(written, 1);
    assert!(told.reached_service());
    assert_eq!(told.kind(), RejectedKind::InDoubt);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_boundary_its_refusal_is_taken_for_ours_and_it_is_written_again() {
    let (written, told) = write(|handler| handler).await;
    assert!(written > 1);
    assert_eq!(told.kind(), RejectedKind::NoEndpoint);
}
