//! What is evidence against an endpoint, and what is not; and that somebody tries when all are out.

use std::time::Duration;

use steadfast::{
    failover::{EndpointState, Failover},
    timeout::Timeout,
};
use tower::{ServiceBuilder, ServiceExt};

use super::support::{Does, MS, Meaning, Node};

/// Calls that are cut off after so long, all at once; how many were answered.
macro_rules! at_once {
    ($client:expr, $number:expr, $within:expr) => {{
        let layer = Timeout::builder($within).build().unwrap();
        let service = ServiceBuilder::new().layer(layer).service($client.clone());
        let calls = (0..$number).map(|_| service.clone().oneshot(1));
        futures::future::join_all(calls).await.into_iter().filter(Result::is_ok).count()
    }};
}

/// One endpoint and its client, of which calls have taken so long.
macro_rules! client {
    ($nodes:expr, $took:expr) => {{
        let endpoints = $nodes.iter().map(Node::endpoint);
        let builder = Failover::builder().endpoints(endpoints).classify(Meaning).seed(1);
        let (client, handle) = builder.build().unwrap();
        for node in &$nodes {
            node.does(Does::Answers($took));
        }
        assert_eq!(at_once!(client, 4, Duration::from_secs(9)), 4);
        (client, handle)
    }};
}

fn is_in(state: &EndpointState) -> bool {
    state.is_in()
}

#[tokio::test(start_paused = true)]
async fn calls_with_too_little_time_say_nothing_of_who_was_asked() {
    let nodes = [Node::new("a")];
    let (client, handle) = client!(nodes, 100 * MS);
    for _ in 0..20 {
        assert_eq!(at_once!(client, 1, 90 * MS), 0);
    }
    assert!(is_in(&handle.snapshot().endpoints[0].state));
}

#[tokio::test(start_paused = true)]
async fn calls_that_end_at_once_are_no_row_but_those_that_follow_are() {
    let nodes = [Node::new("a")];
    let (client, handle) = client!(nodes, 10 * MS);
    nodes[0].does(Does::Hangs);
    assert_eq!(at_once!(client, 8, 100 * MS), 0);
    assert!(is_in(&handle.snapshot().endpoints[0].state));
    assert_eq!(at_once!(client, 1, 100 * MS), 0);
    assert!(!is_in(&handle.snapshot().endpoints[0].state));
}

#[tokio::test(start_paused = true)]
async fn where_calls_took_as_long_as_there_is_time_somebody_tries_all_the_same() {
    let nodes = [Node::new("a")];
    let (client, handle) = client!(nodes, 900 * MS);
    nodes[0].does(Does::Refuses);
    assert_eq!(at_once!(client, 4, 1000 * MS), 0);
    assert!(!is_in(&handle.snapshot().endpoints[0].state));
    nodes[0].does(Does::Answers(10 * MS));
    assert_eq!(at_once!(client, 4, 1000 * MS), 4);
}

#[tokio::test(start_paused = true)]
async fn when_one_of_all_that_were_out_answers_each_is_tried_by_the_next_calls() {
    let nodes = ["a", "b", "c", "d"].map(Node::new);
    let (client, handle) = client!(nodes, 10 * MS);
    nodes.iter().for_each(|node| node.does(Does::Refuses));
    // Each has been tried and ejected again by then, for most of a second.
    tokio::time::timeout(3000 * MS, async {
        loop {
            at_once!(client, 1, 500 * MS);
        }
    })
    .await
    .unwrap_err();
    assert_eq!(handle.snapshot().endpoints.iter().filter(|one| is_in(&one.state)).count(), 0);
    nodes.iter().for_each(|node| node.does(Does::Answers(10 * MS)));
    for _ in 0..5 {
        assert_eq!(at_once!(client, 1, 1000 * MS), 1);
    }
    assert!(handle.snapshot().endpoints.iter().all(|one| is_in(&one.state)));
}
