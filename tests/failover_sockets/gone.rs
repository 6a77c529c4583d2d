//! Endpoints that err, and come back (field fault 25).

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use axum::{Router, http::StatusCode};
use steadfast::{RejectedKind, failover::EndpointState};
use tower::ServiceExt;

use crate::{MS, ends, http::Ask, over, server::Server};

fn answers() -> Router {
    Router::new().fallback(|| async { "here" })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_errs_once_is_called_again() {
    let calls = Arc::new(AtomicU32::new(0));
    let of_a = Arc::clone(&calls);
    let errs_once = Router::new().fallback(move || async move {
        if of_a.fetch_add(1, SeqCst) == 0 { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK }
    });
    let (a, b) = (Server::start("a", errs_once).await, Server::start("b", answers()).await);
    let (client, handle) = over(&[&a, &b]).with(|settings| settings.penalty = 10 * MS).build().unwrap();
    while calls.load(SeqCst) < 10 {
        assert_eq!(ends(client.clone().oneshot(Ask::get("/"))).await.unwrap().status, 200);
    }
    let a = handle.snapshot().endpoint("a").unwrap().clone();
    assert_eq!((a.failures, a.in_row, a.state), (1, 0, EndpointState::In));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_gone_calls_are_told_why_and_the_first_that_answers_ends_it() {
    let (mut a, mut b) = (Server::start("a", answers()).await, Server::start("b", answers()).await);
    let (client, handle) = over(&[&a, &b]).name("orders").build().unwrap();
    ends(client.clone().oneshot(Ask::get("/"))).await.unwrap();
    a.kill().await;
    b.kill().await;
    // None hangs, and in the end all are told the same.
    let mut told = None;
    for _ in 0..20 {
        let error = ends(client.clone().oneshot(Ask::post("/"))).await.unwrap_err();
        if let Some(rejected) = error.rejected().filter(|rejected| rejected.kind() == RejectedKind::NoEndpoint) {
            told = Some(rejected.clone());
            break;
        }
    }
    let told = told.expect("a refusal");
    assert!(!told.reached_service());
    let endpoints = told.endpoints().expect("why");
    assert_eq!(endpoints.endpoints.len(), 2);
    assert!(endpoints.all_out.is_some());
    assert!(endpoints.endpoints.iter().all(|endpoint| !endpoint.state.is_in()), "{endpoints:?}");
    let text = told.to_string();
    assert!(text.starts_with("failover `orders`: no endpoint to call: `a` ejected for "), "{text}");
    assert!(text.contains(", `b` ejected for "), "{text}");

    let held: Vec<_> = (0..8).map(|_| tokio::spawn(client.clone().oneshot(Ask::post("/")))).collect();
    let b = Server::start_at("b", b.address, answers()).await;
    for call in held {
        assert_eq!(ends(call).await.unwrap().unwrap().body, "here");
    }
    let now = handle.snapshot();
    assert_eq!(now.all_out, None);
    assert!(now.endpoint(b.key).unwrap().state.is_in());
}
