//! Cold standbys: started once, when nothing else is left, and stopped when they are no longer needed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use steadfast::{
    backoff::{Backoff, Jitter},
    failover::{Cold, Endpoint, EndpointState, Failback, FailoverEvent, FailoverHandle, members, probe},
    telemetry::Name,
};

use crate::support::*;

const SECOND: Duration = Duration::from_secs(1);

/// A cold standby that takes so long to start, and what is done with it.
#[derive(Clone, Default)]
struct Starts {
    begun: Arc<AtomicU32>,
    log: Arc<Mutex<Vec<&'static str>>>,
}

impl Starts {
    fn note(&self, what: &'static str) {
        self.log.lock().unwrap().push(what);
    }

    fn log(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    fn start(&self, node: &Node, takes: Duration) -> Cold<Node> {
        let (starts, node) = (self.clone(), node.clone());
        Cold::start(move || {
            starts.begun.fetch_add(1, Relaxed);
            let node = node.clone();
            async move {
                tokio::time::sleep(takes).await;
                Ok::<_, std::io::Error>(node)
            }
        })
    }
}

fn state(handle: &FailoverHandle<Node>, key: &str) -> EndpointState {
    handle.snapshot().endpoint(key).unwrap().state.clone()
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_start_it_once_and_it_takes_over() {
    let [a, dr] = nodes(["a", "dr"]);
    let starts = Starts::default();
    let cold = Endpoint::cold("dr", starts.start(&dr, 3 * SECOND)).tier(1);
    let (client, handle) = build(over(std::slice::from_ref(&a)).endpoint(cold));
    let mut events = handle.subscribe();
    assert_eq!(state(&handle, "dr"), EndpointState::Cold);
    a.does(Does::Refuses);
    // 100 a second, for ten seconds.
    let outcomes = load(&client, 1000).await;
    assert_eq!(starts.begun.load(Relaxed), 1);
    let first = outcomes.iter().position(|outcome| *outcome == Ok("dr")).expect("it took over");
    // One second without any, three for the start; calls are held for up to one.
    assert!((300..460).contains(&first), "{first}");
    assert_eq!(failures(&outcomes[460..]), 0);
    let activated = told(&mut events).into_iter().find_map(|event| match event {
        FailoverEvent::Activated { key, took } => Some((key.to_string(), took.as_secs())),
        _ => None,
    });
    assert_eq!(activated, Some(("dr".to_owned(), 3)));
}

#[tokio::test(start_paused = true)]
async fn it_is_not_started_for_what_is_over_in_a_moment() {
    let [a, dr] = nodes(["a", "dr"]);
    let starts = Starts::default();
    let (client, _handle) =
        build(over(std::slice::from_ref(&a)).endpoint(Endpoint::cold("dr", starts.start(&dr, MS)).tier(1)));
    a.does(Does::Refuses);
    for _ in 0..2 {
        assert!(call(&client).await.is_err());
    }
    tokio::time::sleep(500 * MS).await;
    a.does(Does::Answers(MS));
    load(&client, 500).await;
    assert_eq!(starts.begun.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_or_hangs_or_panics_is_tried_again_after_a_wait() {
    let [a, dr] = nodes(["a", "dr"]);
    let (starts, began) = (Starts::default(), tokio::time::Instant::now());
    let at = Arc::new(Mutex::new(Vec::new()));
    let (times, node) = (Arc::clone(&at), dr.clone());
    let cold = Cold::start(move || {
        let mut times = times.lock().unwrap();
        times.push(began.elapsed().as_millis() / 100);
        let (number, node) = (times.len(), node.clone());
        async move {
            match number {
                1 => Err("no capacity"),
                2 => std::future::pending().await,
                3 => panic!("on purpose"),
                _ => Ok(node),
            }
        }
    });
    let cold = cold.deadline(5 * SECOND).retry(Backoff::exponential(SECOND).jitter(Jitter::None));
    let (client, handle) = build(over(std::slice::from_ref(&a)).endpoint(Endpoint::cold("dr", cold).tier(1)));
    let mut events = handle.subscribe();
    a.does(Does::Refuses);
    load(&client, 2500).await;
    // A second after all are out, when a call has failed again; then waits of 1, 2 and 4 s; the second one hangs for 5 s.
    let at = at.lock().unwrap().clone();
    assert!((10..15).contains(&at[0]), "{at:?}");
    assert_eq!(at.iter().map(|tenths| tenths - at[0]).collect::<Vec<_>>(), [0, 10, 80, 120]);
    let failed: Vec<String> = told(&mut events)
        .into_iter()
        .filter_map(|event| match event {
            FailoverEvent::ActivationFailed { why, .. } => Some(why.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(failed, ["no capacity", "not started within 5s", "its start panicked"]);
    assert_eq!(call(&client).await, Ok("dr"));
    drop(starts);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_promoted_before_the_fence_has_done_its_work_and_the_old_one_is_left_alone() {
    let [a, dr] = nodes(["a", "dr"]);
    let starts = Starts::default();
    let (log, promoted) = (starts.clone(), starts.clone());
    let refusals = AtomicU32::new(1);
    let fence = move || {
        log.note("fence");
        let holds = refusals.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        async move { if holds { Err("it does not answer") } else { Ok(()) } }
    };
    let node = dr.clone();
    let promote = move || {
        promoted.note("promote");
        let node = node.clone();
        async move { Ok::<_, std::io::Error>(node) }
    };
    let cold = Cold::promote(fence, promote).retry(Backoff::fixed(3 * SECOND));
    let cold = Endpoint::cold("dr", cold).tier(1);
    let (client, handle) =
        build(over(std::slice::from_ref(&a)).endpoint(cold).with(|settings| settings.failback = Failback::Immediate));
    let mut events = handle.subscribe();
    a.does(Does::Refuses);
    for _ in 0..2 {
        assert!(call(&client).await.is_err());
    }
    tokio::time::sleep(5 * SECOND).await;
    assert_eq!(starts.log(), [""; 0], "nobody has asked again");
    assert!(call(&client).await.is_err());
    assert_eq!(starts.log(), ["fence"]);
    let why = told(&mut events).into_iter().find_map(|event| match event {
        FailoverEvent::ActivationFailed { why, .. } => Some(why.to_string()),
        _ => None,
    });
    assert_eq!(why.as_deref(), Some("the old primary could not be fenced: it does not answer"));
    load(&client, 500).await;
    assert_eq!(starts.log(), ["fence", "promote"]);
    // It is back, and must not be written to.
    a.does(Does::Answers(MS));
    a.take();
    load(&client, 1000).await;
    assert_eq!((a.take(), state(&handle, "a")), (0, EndpointState::Fenced));
    handle.fail_back();
    load(&client, 300).await;
    assert_eq!(call(&client).await, Ok("a"));
}

#[tokio::test(start_paused = true)]
async fn it_is_stopped_when_it_has_not_been_used_for_as_long_as_it_was_said() {
    let [a, dr] = nodes(["a", "dr"]);
    let starts = Starts::default();
    let log = starts.clone();
    let cold = starts.start(&dr, MS).idle(60 * SECOND, move || {
        log.note("stop");
        async { Ok::<_, std::io::Error>(()) }
    });
    let (client, handle) = build(over(std::slice::from_ref(&a)).endpoint(Endpoint::cold("dr", cold).tier(1)));
    a.does(Does::Refuses);
    load(&client, 300).await;
    assert_eq!((call(&client).await, starts.begun.load(Relaxed)), (Ok("dr"), 1));
    a.does(Does::Answers(MS));
    // A hold of 30 s, with up to a tenth more, then a minute.
    load(&client, 8500).await;
    assert_eq!(starts.log(), [""; 0]);
    tokio::time::sleep(12 * SECOND).await;
    assert_eq!((starts.log(), state(&handle, "dr")), (vec!["stop"], EndpointState::Cold));
    // And again.
    a.does(Does::Refuses);
    load(&client, 300).await;
    assert_eq!((call(&client).await, starts.begun.load(Relaxed)), (Ok("dr"), 2));
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_a_stop_is_told() {
    let [a, dr] = nodes(["a", "dr"]);
    let starts = Starts::default();
    let times = AtomicU32::new(0);
    let cold = starts.start(&dr, MS).deadline(5 * SECOND).idle(10 * SECOND, move || {
        let time = times.fetch_add(1, Relaxed);
        async move {
            match time {
                0 => Ok(()),
                1 => Err("it is being used"),
                2 => std::future::pending().await,
                _ => panic!("on purpose"),
            }
        }
    });
    let builder = over(std::slice::from_ref(&a)).endpoint(Endpoint::cold("dr", cold).tier(1));
    let (client, handle) = build(builder.with(|settings| settings.failback = Failback::Immediate));
    let key = Name::from_static("dr");
    let failed = |why| FailoverEvent::StopFailed { key: key.clone(), why: Name::from_static(why) };
    for expected in [
        FailoverEvent::Stopped { key: key.clone() },
        failed("it is being used"),
        failed("not stopped within 5s"),
        failed("its stop panicked"),
    ] {
        a.does(Does::Refuses);
        load(&client, 400).await;
        assert_eq!(call(&client).await, Ok("dr"));
        a.does(Does::Answers(MS));
        load(&client, 300).await;
        let mut events = handle.subscribe();
        tokio::time::sleep(20 * SECOND).await;
        let of_stops =
            |event: &FailoverEvent| matches!(event, FailoverEvent::Stopped { .. } | FailoverEvent::StopFailed { .. });
        let of_stops: Vec<_> = told(&mut events).into_iter().filter(of_stops).collect();
        assert_eq!((of_stops, state(&handle, "dr")), (vec![expected], EndpointState::Cold));
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_used_only_when_its_probe_has_passed_and_not_probed_while_it_is_cold() {
    let [a, dr] = nodes(["a", "dr"]);
    let starts = Starts::default();
    let asked = Arc::new(AtomicU32::new(0));
    let (count, ready) = (Arc::clone(&asked), Arc::new(AtomicU32::new(0)));
    let passes = Arc::clone(&ready);
    let probe = probe::from_fn(move |endpoint: steadfast::failover::Meta, node: Option<Node>| {
        let cold = *endpoint.key() == "dr";
        count.fetch_add(u32::from(cold), Relaxed);
        let ok = !cold || node.is_some() && passes.load(Relaxed) > 0;
        async move { if ok { Ok(()) } else { Err("not ready") } }
    });
    let (client, handle) = build(
        over(std::slice::from_ref(&a)).endpoint(Endpoint::cold("dr", starts.start(&dr, MS)).tier(1)).probe(probe),
    );
    load(&client, 300).await;
    assert_eq!(asked.load(Relaxed), 0);
    a.does(Does::Refuses);
    load(&client, 300).await;
    assert!(asked.load(Relaxed) > 1);
    assert_eq!((dr.calls(), starts.begun.load(Relaxed)), (0, 1));
    assert!(matches!(state(&handle, "dr"), EndpointState::Down(why) if why == "not ready"));
    ready.store(1, Relaxed);
    load(&client, 500).await;
    assert_eq!(call(&client).await, Ok("dr"));
}

#[tokio::test(start_paused = true)]
async fn an_old_primary_that_leaves_the_set_and_comes_back_is_fenced_all_the_same() {
    let [a, dr] = nodes(["a", "dr"]);
    let (node, there) = (dr.clone(), tokio::sync::watch::channel(true).0);
    let fence = || async { Ok::<_, std::io::Error>(()) };
    let promote = move || {
        let node = node.clone();
        async move { Ok::<_, std::io::Error>(node) }
    };
    let old = a.clone();
    let set = members::watch(there.subscribe(), move |there: bool| there.then(|| old.endpoint()).into_iter().collect());
    let cold = Endpoint::cold("dr", Cold::promote(fence, promote)).tier(1);
    let (client, handle) = build(over(&[]).members(set).endpoint(cold));
    let mut events = handle.subscribe();
    load(&client, 1).await;
    a.does(Does::Refuses);
    load(&client, 300).await;
    assert_eq!(call(&client).await, Ok("dr"));
    assert!(told(&mut events).iter().any(|event| matches!(event, FailoverEvent::Fenced { key } if *key == "a")));
    a.does(Does::Answers(MS));
    for is_there in [false, true] {
        there.send(is_there).unwrap();
        tokio::time::sleep(MS).await;
    }
    a.take();
    load(&client, 300).await;
    assert_eq!((a.take(), state(&handle, "a")), (0, EndpointState::Fenced));
    handle.fail_back();
    assert_eq!(state(&handle, "a"), EndpointState::In);
}

#[tokio::test(start_paused = true)]
async fn each_of_several_is_started_when_its_own_time_has_come() {
    let [a, first, second] = nodes(["a", "first", "second"]);
    let (late, early) = (Starts::default(), Starts::default());
    let builder = over(std::slice::from_ref(&a))
        .endpoint(Endpoint::cold("first", late.start(&first, MS).after(60 * SECOND)).tier(1))
        .endpoint(Endpoint::cold("second", early.start(&second, MS)).tier(2));
    let (client, _handle) = build(builder);
    a.does(Does::Refuses);
    load(&client, 300).await;
    assert_eq!((late.begun.load(Relaxed), early.begun.load(Relaxed)), (0, 1));
    assert_eq!(call(&client).await, Ok("second"));
}

#[tokio::test(start_paused = true)]
async fn it_is_not_started_while_it_is_still_being_stopped() {
    let [a, dr] = nodes(["a", "dr"]);
    let (starts, stopped) = (Starts::default(), Arc::new(AtomicU32::new(0)));
    let (begun, ended, order) = (starts.clone(), Arc::clone(&stopped), Arc::clone(&stopped));
    let node = dr.clone();
    let cold = Cold::start(move || {
        // How many stops have ended before each start.
        begun.note(if order.load(Relaxed) == 0 { "first" } else { "after the stop" });
        let node = node.clone();
        async move { Ok::<_, std::io::Error>(node) }
    });
    let cold = cold.idle(10 * SECOND, move || {
        let ended = Arc::clone(&ended);
        async move {
            tokio::time::sleep(20 * SECOND).await;
            ended.fetch_add(1, Relaxed);
            Ok::<_, std::io::Error>(())
        }
    });
    let builder = over(std::slice::from_ref(&a)).endpoint(Endpoint::cold("dr", cold).tier(1));
    let (client, handle) = build(builder.with(|settings| settings.failback = Failback::Immediate));
    a.does(Does::Refuses);
    load(&client, 300).await;
    a.does(Does::Answers(MS));
    load(&client, 300).await;
    tokio::time::sleep(12 * SECOND).await;
    assert_eq!(state(&handle, "dr"), EndpointState::Cold);
    a.does(Does::Refuses);
    load(&client, 2500).await;
    assert_eq!((starts.log(), call(&client).await), (vec!["first", "after the stop"], Ok("dr")));
}

#[test]
fn a_start_that_is_lost_with_its_runtime_is_begun_anew_where_the_client_is_used() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let [a, dr] = nodes(["a", "dr"]);
    let starts = Starts::default();
    let cold = Endpoint::cold("dr", starts.start(&dr, 3 * SECOND)).tier(1);
    let first = runtime();
    let (client, handle) = first.block_on(async { build(over(std::slice::from_ref(&a)).endpoint(cold)) });
    a.does(Does::Refuses);
    first.block_on(async { load(&client, 200).await });
    assert_eq!((starts.begun.load(Relaxed), state(&handle, "dr")), (1, EndpointState::Starting));
    drop(first);
    runtime().block_on(async {
        load(&client, 1000).await;
        assert_eq!((starts.begun.load(Relaxed), call(&client).await), (2, Ok("dr")));
    });
}
