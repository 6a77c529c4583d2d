//! Which share of the calls each endpoint is sent.

use std::time::Duration;

use steadfast::failover::{Balance, Failover, TierPolicy};
use tokio::time::sleep;
use tower::ServiceExt;

use crate::support::*;

/// What share of so many calls went to the nodes whose keys begin so.
async fn share(client: &Client, nodes: &[Node], begins: char) -> f64 {
    forget(nodes);
    for _ in 0..8000 {
        client.clone().oneshot(1).await.unwrap();
    }
    let of = |node: &&Node| node.key.starts_with(begins);
    let theirs: u32 = nodes.iter().filter(of).map(Node::calls).sum();
    f64::from(theirs) / 8000.0
}

fn close(share: f64, to: f64) {
    assert!((share - to).abs() < 0.03, "{share}, not {to}");
}

#[tokio::test(start_paused = true)]
async fn a_tier_that_is_short_spills_over_by_how_much() {
    let all = nodes(["a1", "a2", "a3", "a4", "b1", "b2"]);
    let tier = |node: &Node| node.endpoint().tier(u32::from(node.key.starts_with('b')));
    let builder = Failover::builder().endpoints(all.iter().map(tier)).seed(7).classify(Meaning);
    let (client, handle) = build(builder.with(|settings| settings.tiers = TierPolicy::spillover()));
    close(share(&client, &all, 'a').await, 1.0);
    for (drained, wanted) in [("a1", 1.0), ("a2", 0.7), ("a3", 0.35), ("a4", 0.0)] {
        handle.drain(drained).await.unwrap();
        close(share(&client, &all, 'a').await, wanted);
    }
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_short_spills_over_too() {
    let all = nodes(["a1", "a2", "b1", "b2"]);
    let zone = |node: &Node| node.endpoint().zone(node.key[..1].to_owned());
    let builder = Failover::builder().endpoints(all.iter().map(zone)).seed(7).classify(Meaning);
    let (client, handle) = build(builder.with(|settings| settings.zone = Some("a".into())));
    close(share(&client, &all, 'a').await, 1.0);
    handle.drain("a1").await.unwrap();
    close(share(&client, &all, 'a').await, 0.7);
    handle.drain("a2").await.unwrap();
    close(share(&client, &all, 'a').await, 0.0);
    handle.undrain("a1").unwrap();
    handle.change(|settings| settings.zone = None).unwrap();
    sleep(Duration::from_secs(20)).await;
    close(share(&client, &all, 'a').await, 0.34);
}

#[tokio::test(start_paused = true)]
async fn weights_are_kept_to() {
    let all = nodes(["a1", "b1"]);
    let weigh = |node: &Node| node.endpoint().weight(if node.key == "a1" { 3.0 } else { 1.0 });
    let builder = Failover::builder().endpoints(all.iter().map(weigh)).seed(7).classify(Meaning);
    let (client, _) = build(builder.with(|settings| settings.balance = Balance::Weighted));
    close(share(&client, &all, 'a').await, 0.75);
}
