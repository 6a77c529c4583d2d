//! Faults of other libraries, by their numbers in the list that this crate is checked against.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use steadfast::{
    RejectedKind,
    backoff::Backoff,
    failover::{
        Check, EndpointState, Failover, Need, members,
        probe::{self, Report, Role},
    },
    retry::{CloneRequest, only_unsent_unless},
};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn fault_25_an_endpoint_that_errs_once_is_not_gone_and_with_all_gone_calls_end() {
    let [a, b] = nodes(["a", "b"]);
    let (client, _) = build(over(&[a.clone(), b.clone()]));
    a.does(Does::Refuses);
    while a.take() == 0 {
        call(&client).await.unwrap();
    }
    a.does(Does::Answers(10 * MS));
    load(&client, 200).await;
    assert!(a.calls() > 20, "{}", a.calls());
    [&a, &b].into_iter().for_each(|node| node.does(Does::Refuses));
    for _ in 0..20 {
        timeout(1100 * MS, call(&client)).await.expect("an end").unwrap_err();
    }
    [&a, &b].into_iter().for_each(|node| node.does(Does::Answers(10 * MS)));
    assert_eq!(failures(&load(&client, 20).await), 0);
}

#[tokio::test(start_paused = true)]
async fn fault_26_a_check_that_passes_does_not_lift_an_ejection_at_once() {
    let [a, b] = nodes(["a", "b"]);
    let well = probe::from_fn(|_, _: Option<Node>| async { Ok::<_, Fault>(()) });
    let settings = over(&[a.clone(), b.clone()]).probe(well).with(|settings| {
        settings.check = Check::default().every(200 * MS).fast(200 * MS).rise(3).jitter(0.0);
        settings.ejection = Backoff::fixed(Duration::from_secs(60));
    });
    let (client, handle) = build(settings);
    let state = || handle.snapshot().endpoint("a").unwrap().state.clone();
    call(&client).await.unwrap();
    a.does(Does::Refuses);
    while state().is_in() {
        call(&client).await.unwrap();
    }
    sleep(390 * MS).await;
    assert!(matches!(state(), EndpointState::Ejected { .. }), "{:?}", state());
    sleep(220 * MS).await;
    assert!(state().is_in(), "{:?}", state());
    a.take();
    assert_eq!(failures(&load(&client, 1000).await), 0);
    assert!(a.calls() <= 2 * 17, "{}", a.calls());
}

#[tokio::test(start_paused = true)]
async fn fault_27_error_answers_never_eject_all() {
    for errs in 2..=3 {
        let nodes = nodes(["a", "b", "c"]);
        let (client, handle) = build(over(&nodes).with(|settings| settings.all_out_failures = None));
        nodes[..errs].iter().for_each(|node| node.does(Does::Errs(10 * MS)));
        for _ in 0..100 {
            load(&client, 5).await;
            let snapshot = handle.snapshot();
            let is_in = snapshot.endpoints.iter().filter(|endpoint| endpoint.state.is_in()).count();
            assert!(is_in >= 2 && snapshot.all_out.is_none(), "{snapshot:?}");
        }
        assert!(nodes[..errs].iter().all(|node| node.calls() > 10), "they get calls");
    }
}

#[tokio::test(start_paused = true)]
async fn fault_28_a_primary_that_was_demoted_gets_no_writes_though_it_answers() {
    let [a, b] = nodes(["a", "b"]);
    let primary = |epoch| Report::new().role(Role::Primary).epoch(epoch);
    let says = Arc::new(Mutex::new([primary(1), Report::new().role(Role::Replica).epoch(1)]));
    let said = Arc::clone(&says);
    let probe = probe::from_fn(move |meta: steadfast::failover::Meta, _: Option<Node>| {
        let report = said.lock().unwrap()[usize::from(**meta.key() == *"b")];
        async move { Ok::<_, Fault>(report) }
    });
    let both = over(&[a.clone(), b.clone()]).probe(probe).need(|_: &u32| Need::Primary);
    let (client, handle) = both.build().unwrap();
    for _ in 0..10 {
        assert_eq!(client.clone().oneshot(1).await.unwrap(), "a");
    }
    says.lock().unwrap()[1] = primary(2);
    sleep(2300 * MS).await;
    a.take();
    for _ in 0..100 {
        assert_eq!(client.clone().oneshot(1).await.unwrap(), "b");
        sleep(100 * MS).await;
    }
    assert_eq!((a.calls(), handle.snapshot().primary.as_deref()), (0, Some("b")));
}

#[tokio::test(start_paused = true)]
async fn fault_29_a_write_whose_answer_is_lost_is_not_sent_again() {
    let [a, b] = nodes(["a", "b"]);
    let once = only_unsent_unless(CloneRequest, |request: &u32| *request == 2);
    let (client, _) = tiers(&[a.clone(), b.clone()]).replay(once).build().unwrap();
    a.does(Does::Resets(10 * MS));
    let error = client.clone().oneshot(1).await.unwrap_err();
    assert_eq!(error.rejected().unwrap().kind(), RejectedKind::InDoubt);
    assert_eq!((a.take(), b.take()), (1, 0));
    assert_eq!(client.clone().oneshot(2).await.unwrap(), "b", "this one may be done twice");
}

#[tokio::test(start_paused = true)]
async fn fault_30_an_address_that_is_gone_is_left_by_clients_that_are_busy() {
    let [a, b] = nodes(["a", "b"]);
    let (sets, watched) = tokio::sync::watch::channel(vec![a.clone()]);
    let set = members::watch(watched, |nodes: Vec<Node>| nodes.iter().map(Node::endpoint).collect());
    let (client, handle) = Failover::builder().members(set).seed(7).classify(Meaning).build().unwrap();
    sleep(MS).await;
    let busy: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    call(&client).await.unwrap();
                }
            })
        })
        .collect();
    sleep(305 * MS).await;
    sets.send(vec![b.clone()]).unwrap();
    sleep(MS).await;
    let before = a.calls();
    for calls in busy {
        calls.await.unwrap();
    }
    assert_eq!((a.calls(), a.calls() + b.calls()), (before, 800));
    assert!(before < 300 && handle.snapshot().endpoint("a").is_none());
}
