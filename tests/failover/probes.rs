//! Probes and reports: when endpoints are asked, what counts, and that it ends.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Waker},
    time::Duration,
};

use steadfast::{
    backoff::Backoff,
    failover::{
        Check, EndpointState, FailoverEvent, members,
        probe::{Heartbeats, Report},
    },
    telemetry::{Name, Received},
};
use tokio::{runtime::Handle, time::Instant};
use tower::ServiceExt;

use crate::{asks::*, support::*};

fn exact() -> Check {
    Check::default().jitter(0.0)
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

fn down(why: &'static str) -> EndpointState {
    EndpointState::Down(Name::from_static(why))
}

#[tokio::test(start_paused = true)]
async fn nothing_is_used_unproven_and_calls_wait_for_the_first_result() {
    let [a, b, c] = nodes(["a", "b", "c"]);
    let asks = Asks::new();
    asks.says("a", Says::Passes(300 * MS, Report::new())).says("b", Says::Fails(100 * MS));
    let (client, handle) = build(over(&[a.clone(), b.clone(), c.clone()]).probe(asks.clone()));
    let mut events = handle.subscribe();
    let begun = Instant::now();
    let early = tokio::spawn(client.clone().oneshot(1));
    // The view has changed meanwhile.
    tokio::time::sleep(200 * MS).await;
    let late = tokio::spawn(client.clone().oneshot(1));
    assert_eq!((early.await.unwrap().unwrap(), late.await.unwrap().unwrap()), ("a", "a"));
    assert_eq!(begun.elapsed().as_millis() / 10, 31);
    assert_eq!((a.calls(), b.calls(), c.calls()), (2, 0, 0));
    assert_eq!(handle.snapshot().endpoint("b").unwrap().state, down("it is ill"));
    assert_eq!(handle.snapshot().endpoint("c").unwrap().state, EndpointState::Unproven);
    while let Some(event) = events.try_recv() {
        assert!(
            !matches!(event, Received::Event(FailoverEvent::Recovered { .. } | FailoverEvent::AllOut)),
            "{event:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_hangs_is_dropped_and_calls_do_not_wait_longer_than_they_may() {
    let [a] = nodes(["a"]);
    let asks = Asks::new();
    let (client, handle) =
        build(over(std::slice::from_ref(&a)).probe(asks.clone()).with(|settings| settings.max_hold = 400 * MS));
    let begun = Instant::now();
    let error = call(&client).await.unwrap_err();
    assert_eq!(begun.elapsed(), 400 * MS);
    assert!(error.to_string().contains("`a` not proven yet"), "{error}");
    assert_eq!(asks.under_way.load(Relaxed), 1);
    tokio::time::sleep(601 * MS).await;
    assert_eq!(asks.under_way.load(Relaxed), 0);
    assert_eq!(handle.snapshot().endpoint("a").unwrap().state, down("no answer within 1s"));
    let begun = Instant::now();
    assert!(call(&client).await.is_err());
    assert_eq!(begun.elapsed(), Duration::ZERO, "two passes take too long");
}

#[tokio::test(start_paused = true)]
async fn it_takes_three_failures_to_fall_and_two_passes_to_rise_faster_while_it_changes() {
    let [a, b] = nodes(["a", "b"]);
    let asks = Asks::new();
    asks.passes("a").passes("b");
    let begun = Instant::now();
    let (_client, handle) = build(over(&[a, b]).probe(asks.clone()).with(|settings| settings.check = exact()));
    let is_in = || handle.snapshot().endpoint("a").unwrap().state.is_in();
    tokio::time::sleep(4100 * MS).await;
    asks.says("a", Says::Fails(Duration::ZERO));
    tokio::time::sleep(2800 * MS).await;
    assert!(is_in(), "two failures");
    tokio::time::sleep(300 * MS).await;
    assert_eq!(handle.snapshot().endpoint("a").unwrap().state, down("it is ill"));
    asks.passes("a");
    tokio::time::sleep(2000 * MS).await;
    assert!(!is_in(), "one pass");
    tokio::time::sleep(500 * MS).await;
    assert!(is_in());
    let asked: Vec<u128> = asks.take("a", begun).iter().map(|at| at / 10 * 10).collect();
    assert_eq!(asked, [0, 2000, 4000, 6000, 6500, 7000, 9000, 9500]);
    tokio::time::sleep(10_000 * MS).await;
    assert_eq!(asks.take("b", begun).len(), 10, "one that is well is asked every 2 s");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_has_failed_and_the_others_go_on() {
    for panics in [Says::Panics, Says::PanicsAtOnce] {
        let [a, b] = nodes(["a", "b"]);
        let asks = Asks::new();
        asks.says("a", panics).passes("b");
        let begun = Instant::now();
        let (client, handle) = build(over(&[a, b]).probe(asks.clone()));
        assert_eq!(call(&client).await.unwrap(), "b");
        tokio::time::sleep(11_000 * MS).await;
        assert_eq!(handle.snapshot().endpoint("a").unwrap().state, down("the probe panicked"));
        assert!(asks.take("b", begun).len() >= 5 && asks.take("a", begun).len() >= 5);
        asks.passes("a");
        tokio::time::sleep(4000 * MS).await;
        assert!(handle.snapshot().endpoint("a").unwrap().state.is_in());
    }
}

#[tokio::test(start_paused = true)]
async fn passes_lift_an_ejection_only_if_they_were_asked_for_after_it() {
    let [a, b] = nodes(["a", "b"]);
    let asks = Asks::new();
    asks.says("a", Says::Passes(500 * MS, Report::new())).passes("b");
    let (client, handle) = build(tiers(&[a.clone(), b]).probe(asks.clone()).with(|settings| {
        settings.check = exact();
        settings.ejection = Backoff::exponential(60_000 * MS).max(60_000 * MS);
    }));
    // Asked at 2.5 s, and ejected while that is under way.
    tokio::time::sleep(2600 * MS).await;
    a.does(Does::Refuses);
    load(&client, 2).await;
    let ejected = |when: &str| {
        let state = handle.snapshot().endpoint("a").unwrap().state.clone();
        assert!(matches!(state, EndpointState::Ejected { .. }), "{when}: {state:?}");
    };
    // The one under way ends at 3 s; those after it at 4 s and at 5 s.
    tokio::time::sleep(2000 * MS).await;
    ejected("one pass since");
    tokio::time::sleep(500 * MS).await;
    let state = handle.snapshot().endpoint("a").unwrap().state.clone();
    assert!(!matches!(state, EndpointState::Ejected { .. }), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_ejected_is_asked_faster_at_once() {
    let [a, b] = nodes(["a", "b"]);
    let asks = Asks::new();
    asks.passes("a").passes("b");
    let (client, _handle) = build(tiers(&[a.clone(), b]).probe(asks.clone()).with(|settings| {
        settings.check = exact().every(60_000 * MS);
        settings.ejection = Backoff::exponential(60_000 * MS).max(60_000 * MS);
    }));
    tokio::time::sleep(5000 * MS).await;
    let begun = Instant::now();
    asks.asked.lock().unwrap().clear();
    a.does(Does::Refuses);
    load(&client, 2).await;
    tokio::time::sleep(1000 * MS).await;
    assert!(asks.take("a", begun).len() >= 2);
}

#[tokio::test(start_paused = true)]
async fn what_an_endpoint_says_of_itself_counts_if_it_makes_sense() {
    let [a, b] = nodes(["a", "b"]);
    let asks = Asks::new();
    asks.passes("b");
    let (client, handle) = build(over(&[a.clone(), b.clone()]).probe(asks.clone()).with(|settings| {
        settings.check = exact();
    }));
    let weight = || handle.snapshot().endpoint("a").unwrap().meta.weight();
    let says = |report| {
        asks.says("a", Says::Passes(Duration::ZERO, report));
        tokio::time::sleep(2001 * MS)
    };
    for (said, is) in
        [(3.0, 3.0), (f64::NAN, 1.0), (7.0, 7.0), (-1.0, 1.0), (0.0, 1.0), (f64::INFINITY, 1000.0), (1e300, 1000.0)]
    {
        says(Report::new().weight(said)).await;
        assert_eq!(weight(), is, "{said}");
        assert_eq!(failures(&load(&client, 10).await), 0);
    }
    a.take();
    a.does(Does::Answers(3000 * MS));
    let under_way = tokio::spawn({
        let client = client.clone();
        async move { load(&client, 5).await }
    });
    says(Report::new().drain(true)).await;
    let calls = a.take();
    assert_eq!(handle.snapshot().endpoint("a").unwrap().state, EndpointState::Draining);
    assert_eq!((failures(&load(&client, 10).await), a.take()), (0, 0));
    says(Report::new().maintenance(true)).await;
    assert_eq!(handle.snapshot().endpoint("a").unwrap().state, EndpointState::Maintenance);
    assert_eq!((failures(&under_way.await.unwrap()), a.take()), (0, 0));
    assert!(calls > 0);
    says(Report::new()).await;
    assert!(handle.snapshot().endpoint("a").unwrap().state.is_in());
}

#[tokio::test(start_paused = true)]
async fn maintenance_is_told_when_it_begins_and_when_it_ends() {
    let [a, b] = nodes(["a", "b"]);
    let asks = Asks::new();
    asks.passes("a").passes("b");
    let (_client, handle) = build(over(&[a, b]).probe(asks.clone()).with(|settings| settings.check = exact()));
    tokio::time::sleep(MS).await;
    let mut events = handle.subscribe();
    let key = Name::from_static("a");
    for (drains, worked_on) in [(false, true), (false, true), (true, true), (false, false), (false, false)] {
        asks.says("a", Says::Passes(Duration::ZERO, Report::new().drain(drains).maintenance(worked_on)));
        tokio::time::sleep(2000 * MS).await;
    }
    let up = FailoverEvent::EndpointUp { key: key.clone(), after: Some(6000 * MS) };
    let began = FailoverEvent::MaintenanceBegan { key: key.clone() };
    let draining = FailoverEvent::EndpointDraining { key: key.clone() };
    assert_eq!(told(&mut events), [began, draining, FailoverEvent::MaintenanceEnded { key }, up]);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_is_down_once_all_that_was_said_has_been_read() {
    let [a, b, c] = nodes(["a", "b", "c"]);
    let heartbeats = Heartbeats::new();
    let (sender, receiver) = tokio::sync::watch::channel(Vec::new());
    let later = members::watch(receiver, |nodes: Vec<Node>| nodes.iter().map(Node::endpoint).collect());
    let (client, handle) = build(over(&[a, b]).heartbeats(&heartbeats).members(later));
    let state = |key| handle.snapshot().endpoint(key).unwrap().state.clone();
    let first = tokio::spawn(client.clone().oneshot(1));
    tokio::time::sleep(500 * MS).await;
    heartbeats.beat("a", ());
    assert_eq!(first.await.unwrap().unwrap(), "a", "it was waited for");
    tokio::time::sleep(5400 * MS).await;
    assert_eq!((state("a"), state("b")), (EndpointState::In, EndpointState::Unproven));
    tokio::time::sleep(200 * MS).await;
    assert_eq!(state("b"), down("it has not reported in time"));
    // We are held up ourselves: the report is there, and nobody has read it.
    heartbeats.beat("a", ());
    let _ = pin!(tokio::time::advance(10_000 * MS)).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(state("a"), EndpointState::In);
    tokio::time::sleep(5900 * MS).await;
    assert_eq!(state("a"), EndpointState::In);
    tokio::time::sleep(200 * MS).await;
    assert_eq!(state("a"), down("it has not reported in time"));
    // Nobody can report any more, so whoever comes now is not proven either.
    drop(heartbeats);
    tokio::time::sleep(MS).await;
    sender.send(vec![c]).unwrap();
    tokio::time::sleep(MS).await;
    assert_eq!(state("c"), EndpointState::Unproven);
}

#[tokio::test(start_paused = true)]
async fn settings_of_checks_that_change_hold_at_once_and_what_is_known_stays() {
    let [a] = nodes(["a"]);
    let asks = Asks::new();
    asks.passes("a");
    let (client, handle) = build(over(&[a]).probe(asks.clone()).with(|settings| {
        settings.check = exact().every(3_600_000 * MS);
    }));
    call(&client).await.unwrap();
    let begun = Instant::now();
    asks.asked.lock().unwrap().clear();
    handle.change(|settings| settings.check = exact().every(1000 * MS).timeout(200 * MS).fall(1)).unwrap();
    assert!(handle.snapshot().endpoint("a").unwrap().state.is_in());
    tokio::time::sleep(3500 * MS).await;
    assert!((3..=4).contains(&asks.take("a", begun).len()));
    asks.says("a", Says::Hangs);
    tokio::time::sleep(1200 * MS).await;
    assert_eq!(handle.snapshot().endpoint("a").unwrap().state, down("no answer within 200ms"));
}

#[tokio::test(start_paused = true)]
async fn the_task_and_what_it_has_under_way_end_with_the_last_handle() {
    let before = tasks();
    let [a, b] = nodes(["a", "b"]);
    let asks = Asks::new();
    asks.passes("a");
    let (client, handle) = build(over(&[a.clone(), b]).probe(asks.clone()));
    assert_eq!(tasks(), before + 1, "with `build`");
    call(&client).await.unwrap();
    drop(client);
    tokio::time::sleep(500 * MS).await;
    assert_eq!((tasks(), asks.under_way.load(Relaxed)), (before + 2, 1));
    drop(handle);
    tokio::time::sleep(1 * MS).await;
    assert_eq!((tasks(), asks.under_way.load(Relaxed)), (before, 0));
    assert_eq!((Arc::strong_count(&a.calls), Arc::strong_count(&asks.says)), (1, 1));
    let asked = asks.asked.lock().unwrap().len();
    tokio::time::sleep(60_000 * MS).await;
    assert_eq!(asks.asked.lock().unwrap().len(), asked);
    // Without anything for it to do there is none.
    let (client, _handle) = build(over(&[a]));
    call(&client).await.unwrap();
    assert_eq!(tasks(), before);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

#[test]
fn probes_go_on_where_the_client_is_used_when_their_runtime_has_ended() {
    let [a] = nodes(["a"]);
    let asks = Asks::new();
    // Outside of a runtime there is no task yet.
    let (client, handle) = build(over(&[a]).probe(asks.clone()).with(|settings| settings.check = exact()));
    let first = runtime();
    first.block_on(async {
        asks.says("a", Says::Passes(100 * MS, Report::new()));
        call(&client).await.unwrap();
        tokio::time::sleep(2020 * MS).await;
        assert_eq!(asks.under_way.load(Relaxed), 1);
    });
    drop(first);
    assert_eq!(asks.under_way.load(Relaxed), 0);
    asks.says("a", Says::Fails(Duration::ZERO));
    let second = runtime();
    second.block_on(async {
        call(&client).await.unwrap();
        assert_eq!(tasks(), 1);
        tokio::time::sleep(5000 * MS).await;
        assert_eq!(handle.snapshot().endpoint("a").unwrap().state, down("it is ill"));
    });
}

#[test]
fn settings_of_a_probe_are_checked_when_the_client_is_built() {
    let asks = Asks::new();
    asks.passes("none");
    let error = over(&nodes(["a"])).probe(asks).build().unwrap_err();
    assert!(error.to_string().contains("check.jitter"), "{error}");
}

#[test]
fn probes_that_fail_while_we_are_stalled_ourselves_say_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let [a] = nodes(["a"]);
        let asks = Asks::new();
        asks.passes("a");
        let check = exact().every(20 * MS).fast(10 * MS).timeout(100 * MS).fall(1);
        let (client, handle) = build(over(&[a]).probe(asks.clone()).with(|settings| settings.check = check));
        call(&client).await.unwrap();
        asks.says("a", Says::Hangs);
        while asks.under_way.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        // A handler that computes.
        std::thread::sleep(400 * MS);
        asks.passes("a");
        let begun = std::time::Instant::now();
        let asked_again = || asks.under_way.load(Relaxed) == 0 && asks.asked.lock().unwrap().len() > 2;
        while begun.elapsed() < 50 * MS || !asked_again() {
            assert!(handle.snapshot().endpoint("a").unwrap().state.is_in());
            assert!(begun.elapsed() < 10_000 * MS, "it is asked again");
            tokio::task::yield_now().await;
        }
    });
}
