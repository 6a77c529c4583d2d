//! Calls that need the primary, or a replica.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use steadfast::{
    Error, LayerError, RejectedKind,
    failover::{
        Check, FailoverEvent, FailoverHandle, FailoverSettings, Meta, Need,
        probe::{self, Report, Role},
    },
    telemetry::Received,
    timeout::Timeout,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::support::*;

/// What endpoints say of themselves; and how often they were asked.
#[derive(Clone, Default)]
struct Says {
    reports: Arc<Mutex<HashMap<String, Report>>>,
    asked: Arc<AtomicU32>,
}

impl Says {
    fn says(&self, key: &str, report: Report) {
        self.reports.lock().unwrap().insert(key.to_owned(), report);
    }
}

fn primary(epoch: u64) -> Report {
    Report::new().role(Role::Primary).epoch(epoch)
}

fn replica(lag: Duration) -> Report {
    Report::new().role(Role::Replica).epoch(1).lag(lag)
}

/// What a request of this number needs.
fn need(request: &u32) -> Need {
    match request {
        0 => Need::Any,
        1 => Need::Primary,
        2 => Need::Replica,
        _ => Need::ReplicaPreferred { max_lag: 1000 * MS },
    }
}

type Outcome = Result<&'static str, Error<Fault>>;

trait Asks: Service<u32, Response = &'static str, Error = Error<Fault>, Future: Send> + Clone + Send + 'static {}
impl<S> Asks for S where
    S: Service<u32, Response = &'static str, Error = Error<Fault>, Future: Send> + Clone + Send + 'static
{
}

fn client(all: &[Node], says: &Says, edit: fn(&mut FailoverSettings)) -> (impl Asks + use<>, FailoverHandle<Node>) {
    let said = says.clone();
    let probe = probe::from_fn(move |meta: Meta, _: Option<Node>| {
        said.asked.fetch_add(1, Relaxed);
        let report = said.reports.lock().unwrap().get(&**meta.key()).copied();
        async move { report.ok_or(Fault::Refused) }
    });
    let (client, handle) = over(all).probe(probe).need(need).with(edit).build().unwrap();
    (client, handle)
}

async fn ask(client: &impl Asks, request: u32) -> Outcome {
    client.clone().oneshot(request).await
}

#[tokio::test(start_paused = true)]
async fn reads_go_to_a_replica_that_is_near_or_else_to_the_primary() {
    let all = nodes(["a", "b", "c"]);
    let says = Says::default();
    says.says("a", primary(1));
    says.says("b", replica(100 * MS));
    says.says("c", replica(9000 * MS));
    let (client, _) = client(&all, &says, |_| ());
    for _ in 0..50 {
        assert_eq!(ask(&client, 1).await.unwrap(), "a");
        assert_eq!(ask(&client, 3).await.unwrap(), "b");
        assert_ne!(ask(&client, 2).await.unwrap(), "a");
    }
    says.says("b", replica(5000 * MS));
    sleep(Duration::from_secs(3)).await;
    for _ in 0..50 {
        assert_eq!(ask(&client, 3).await.unwrap(), "a", "none is near");
        assert_ne!(ask(&client, 2).await.unwrap(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn while_there_is_no_primary_all_wait_for_one_search_and_all_go_on() {
    let all = nodes(["a", "b", "c"]);
    let says = Says::default();
    says.says("a", primary(1));
    ["b", "c"].into_iter().for_each(|key| says.says(key, replica(MS)));
    let (client, handle) = client(&all, &says, |_| ());
    let client = ServiceBuilder::new().layer(Timeout::builder(3000 * MS).build().unwrap()).service(client);
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "a");
    // It is demoted, and says so to whoever calls.
    all[0].does(Does::NotPrimary);
    says.says("a", replica(MS));
    let before = says.asked.load(Relaxed);
    let waiting: Vec<_> = (0..50).map(|_| tokio::spawn(client.clone().oneshot(1))).collect();
    sleep(900 * MS).await;
    assert!(waiting.iter().all(|call| !call.is_finished()));
    assert_eq!(handle.snapshot().primary, None);
    let rounds = (says.asked.load(Relaxed) - before) / 3;
    assert!((3..=9).contains(&rounds), "{rounds} rounds");
    says.says("b", primary(2));
    let since = Instant::now();
    for call in waiting {
        assert_eq!(call.await.unwrap().unwrap(), "b");
    }
    assert!(since.elapsed() < 600 * MS, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn callers_that_wait_for_a_primary_are_told_before_their_time_is_up() {
    let all = nodes(["a", "b"]);
    let says = Says::default();
    ["a", "b"].into_iter().for_each(|key| says.says(key, replica(MS)));
    let (client, _) = client(&all, &says, |_| ());
    sleep(100 * MS).await;
    let timed = ServiceBuilder::new().layer(Timeout::builder(700 * MS).build().unwrap()).service(client.clone());
    let since = Instant::now();
    let error = timed.oneshot(1).await.unwrap_err();
    let rejected = error.rejected().unwrap();
    assert_eq!(rejected.kind(), RejectedKind::NoEndpoint);
    assert!(rejected.to_string().contains("`a` is a replica"), "{rejected}");
    assert!((690..700).contains(&since.elapsed().as_millis()));
    let error = timeout(1100 * MS, ask(&client, 1)).await.expect("held for a second at most").unwrap_err();
    assert_eq!(error.rejected().unwrap().kind(), RejectedKind::NoEndpoint);
    assert!(ask(&client, 2).await.is_ok() && ask(&client, 0).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn with_two_primaries_the_first_stays_or_writes_are_refused() {
    for refuse in [false, true] {
        let all = nodes(["a", "b"]);
        let says = Says::default();
        says.says("a", primary(1));
        says.says("b", replica(MS));
        let edit: fn(&mut FailoverSettings) = match refuse {
            true => |settings| settings.refuse_writes_on_split_brain = true,
            false => |_| (),
        };
        let (client, handle) = client(&all, &says, edit);
        let mut events = handle.subscribe();
        assert_eq!(ask(&client, 1).await.unwrap(), "a");
        says.says("b", primary(1));
        sleep(Duration::from_secs(3)).await;
        assert!(handle.snapshot().split_brain);
        let told = std::iter::from_fn(|| events.try_recv());
        let split = told.filter_map(|event| match event {
            Received::Event(FailoverEvent::SplitBrain { keys }) => Some(keys.len()),
            _ => None,
        });
        assert_eq!(split.collect::<Vec<_>>(), [2]);
        match ask(&client, 1).await {
            Ok(key) => assert_eq!((key, refuse), ("a", false)),
            Err(error) => {
                let rejected = error.rejected().unwrap();
                assert_eq!((rejected.kind(), refuse), (RejectedKind::SplitBrain, true));
                assert!(!rejected.reached_service());
            }
        }
        says.says("a", replica(MS));
        sleep(Duration::from_secs(3)).await;
        assert_eq!((ask(&client, 1).await.unwrap(), handle.snapshot().split_brain), ("b", false));
    }
}

/// A call that looked on and on would do so in one poll, and nothing else on its thread could tell: hence one of its own.
#[test]
fn a_read_that_finds_two_primaries_none_of_which_is_used_and_no_replica_ends() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let all = nodes(["a", "b"]);
            let says = Says::default();
            ["a", "b"].into_iter().for_each(|key| says.says(key, primary(1)));
            let (client, handle) = client(&all, &says, |settings| settings.refuse_writes_on_split_brain = true);
            sleep(100 * MS).await;
            assert!(handle.snapshot().split_brain);
            let since = Instant::now();
            let error = ask(&client, 3).await.unwrap_err();
            tell.send((error.rejected().unwrap().kind(), since.elapsed())).unwrap();
        })
    });
    let (kind, took) = told.recv_timeout(Duration::from_secs(30)).expect("an end");
    assert_eq!((kind, took), (RejectedKind::NoEndpoint, 1000 * MS));
}

#[tokio::test(start_paused = true)]
async fn without_probes_the_primary_is_whoever_takes_writes() {
    let all = nodes(["a", "b", "c"]);
    let (client, handle) = over(&all).need(need).build().unwrap();
    let becomes = |at: usize| {
        let does = |it| if it == at { Does::Answers(10 * MS) } else { Does::NotPrimary };
        (0..3).for_each(|it| all[it].does(does(it)));
    };
    for at in [1, 2, 0, 1] {
        becomes(at);
        for _ in 0..10 {
            let _ = ask(&client, 1).await;
            sleep(50 * MS).await;
        }
        forget(&all);
        for _ in 0..50 {
            assert_eq!(ask(&client, 1).await.unwrap(), all[at].key);
        }
        assert_eq!(all.iter().map(Node::calls).sum::<u32>(), 50);
        assert_eq!(handle.snapshot().primary.as_deref(), Some(all[at].key));
    }
}

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

#[tokio::test(start_paused = true)]
async fn replicas_that_are_still_starting_are_asked_no_more_than_two_for_a_call() {
    let [a, b] = nodes(["a", "b"]);
    [&a, &b].into_iter().for_each(|node| node.does(Does::NotPrimary));
    let (client, _) = over(&[a.clone(), b.clone()]).need(|_: &u32| Need::Replica).build().unwrap();
    assert_eq!(client.clone().oneshot(1).await.unwrap_err().inner(), Some(&Fault::NotPrimary));
    assert_eq!(a.calls() + b.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_snapshot_shows_the_epochs_and_lags_that_were_said_last() {
    let pool = nodes(["a", "b", "c"]);
    let says = Says::default();
    says.says("a", primary(7));
    says.says("b", replica(300 * MS));
    says.says("c", Report::new());
    let (_client, handle) = client(&pool, &says, |_| ());
    sleep(10 * MS).await;
    let shows = || {
        let snapshot = handle.snapshot();
        let of = |key: &str| snapshot.endpoint(key).map(|of| (of.epoch, of.lag)).unwrap();
        (snapshot.highest_epoch, ["a", "b", "c"].map(of))
    };
    let of_a = (Some(7), None);
    assert_eq!(shows(), (Some(7), [of_a, (Some(1), Some(300 * MS)), (None, None)]));
    says.says("b", replica(2000 * MS).epoch(9));
    sleep(2500 * MS).await;
    assert_eq!(shows(), (Some(9), [of_a, (Some(9), Some(2000 * MS)), (None, None)]));
    handle.forget_epochs();
    assert_eq!(shows().0, None);
}

/// What it says may be that there is one by now.
#[tokio::test(start_paused = true)]
async fn a_read_waits_for_a_probe_that_is_under_way_or_soon_due_and_no_longer() {
    let a = Node::new("a");
    let probe = probe::from_fn(|_: Meta, _: Option<Node>| async {
        sleep(100 * MS).await;
        Ok::<_, Fault>(primary(1))
    });
    let builder = over(std::slice::from_ref(&a)).probe(probe).need(need);
    let (client, _) = builder.with(|settings| settings.check = Check::default().jitter(0.0)).build().unwrap();
    let client =
        Timeout::builder(Duration::from_secs(30)).build().map(|layer| tower::Layer::layer(&layer, client)).unwrap();
    assert_eq!(ask(&client, 1).await.unwrap(), "a");
    // Until probes are not fast any more: it would wait for the next one each time.
    sleep(Duration::from_secs(31)).await;
    let mut waited = Vec::new();
    for _ in 0..40 {
        sleep(130 * MS).await;
        let begun = Instant::now();
        let error = ask(&client, 2).await.unwrap_err();
        assert_eq!(error.as_rejected().unwrap().kind(), RejectedKind::NoEndpoint);
        waited.push(begun.elapsed());
        if waited.last() > Some(&(900 * MS)) {
            // The next one is under way by then.
            sleep(1920 * MS).await;
        }
    }
    let longest = *waited.iter().max().unwrap();
    let for_one_under_way = waited.iter().filter(|waited| (20 * MS..100 * MS).contains(waited)).count();
    // For a probe that is due within a second, until it has said something.
    assert!((1010 * MS..=1200 * MS).contains(&longest) && for_one_under_way > 1, "{waited:?}");
}
