//! Calls that come before anything is known.

use steadfast::{
    RejectedKind,
    failover::{Failover, members, probe},
};
use tokio::{sync::watch, time::Instant};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_first_set_of_members() {
    let [a] = nodes(["a"]);
    let (_set, sets) = watch::channel(());
    let members = members::watch(sets, move |()| vec![a.endpoint()]);
    let (client, _) = build(Failover::builder().members(members).classify(Meaning));
    assert_eq!(call(&client).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn an_empty_set_is_a_set_and_calls_are_refused_at_once() {
    let (_set, sets) = watch::channel(());
    let members = members::watch(sets, |()| Vec::new());
    let (client, _) = build(Failover::builder().members(members).classify(Meaning));
    for _ in 0..2 {
        let begun = Instant::now();
        let error = call(&client).await.unwrap_err();
        assert_eq!(error.rejected().unwrap().kind(), RejectedKind::NoEndpoint);
        assert!(begun.elapsed() < 10 * MS);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_first_probe() {
    let [a] = nodes(["a"]);
    let probe = probe::from_fn(|_, _: Option<Node>| async {
        tokio::time::sleep(300 * MS).await;
        Ok::<_, std::io::Error>(())
    });
    let (client, _) = build(over(&[a]).probe(probe));
    for begins in [0, 100] {
        let client = client.clone();
        tokio::spawn(async move {
            tokio::time::sleep(begins * MS).await;
            assert_eq!(call(&client).await.unwrap(), "a");
        })
        .await
        .unwrap();
    }
}
