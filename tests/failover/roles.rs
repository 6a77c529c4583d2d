//! Calls that need the primary.

use std::time::Duration;

use steadfast::failover::Need;
use tower::ServiceExt;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn without_probes_the_primary_is_found_by_asking_and_waited_for() {
    let [a, b] = nodes(["a", "b"]);
    [&a, &b].into_iter().for_each(|node| node.does(Does::NotPrimary));
    let (client, handle) = over(&[a.clone(), b.clone()])
        .with(|settings| settings.max_hold = Duration::from_secs(3))
        .need(|_: &u32| Need::Primary)
        .build()
        .unwrap();
    let waits = tokio::spawn(client.clone().oneshot(1));
    tokio::time::sleep(700 * MS).await;
    assert!(!waits.is_finished());
    assert!(a.calls() + b.calls() <= 12, "asked at a pace: {} and {}", a.calls(), b.calls());
    b.does(Does::Answers(MS));
    assert_eq!(waits.await.unwrap().unwrap(), "b");
    assert_eq!(handle.snapshot().primary.as_deref(), Some("b"));
    a.take();
    for _ in 0..20 {
        assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
    }
    assert_eq!(a.calls(), 0);
}
