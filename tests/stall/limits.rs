//! What ends late in a stall lowers no limit.

use std::time::Duration;

use futures::future::join_all;
use steadfast::{
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitLayer},
    timeout::Timeout,
};
use tokio::time::sleep;
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::{
    SECOND, block_this_thread, http, inner, one_thread,
    upstream::{Client, Upstream},
};

/// So many calls at once, and a stall when they are under way, or a pause.
async fn calls(limit: &AdaptiveLimitLayer, client: &Client, stall: bool) {
    let stack = ServiceBuilder::new().layer(Timeout::builder(SECOND).build().unwrap()).layer(limit.clone());
    let stack = stack.service(inner(client.clone()));
    let calls: Vec<_> = (0..40).map(|_| tokio::spawn(stack.clone().oneshot(()))).collect();
    sleep(Duration::from_millis(100)).await;
    if stall {
        block_this_thread().await;
    }
    join_all(calls).await;
    // One more, after the window.
    sleep(Duration::from_millis(600)).await;
    let _ = limit.layer(inner(client.clone())).oneshot(()).await;
}

#[test]
fn calls_that_are_late_by_a_stall_lower_no_adaptive_limit() {
    let upstream = Upstream::start();
    let client = upstream.client(http());
    one_thread().block_on(async {
        // As many as are in use: it cannot grow.
        let limit = AdaptiveLimit::builder(2 * SECOND).initial(40).max(40).build().unwrap();
        calls(&limit, &client, false).await;
        calls(&limit, &client, true).await;
        let snapshot = limit.handle().snapshot();
        assert_eq!((snapshot.limit, snapshot.lowered, snapshot.cutting), (40, 0, false), "{snapshot:?}");
    });
}
