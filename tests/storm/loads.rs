//! Loads and kinds of requests, with a stack of nothing, or of what counts.
#![allow(clippy::disallowed_methods)] // The clock is paused.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use steadfast::storm::{
    Call, Candidate, Failure, FaultKind, Load, Report, Request, Response, Scenario, ServiceTime, Stack, Status,
    Upstream,
};
use tokio::time::Instant;
use tower::Service;

const SECOND: Duration = Duration::from_secs(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Without faults and without queues: calls take 20 ms and 2 ms for the network, and 1,000 are worked on at once.
fn calm(load: Load) -> Scenario {
    let mut scenario = Scenario::new("calm");
    scenario.window = 5 * SECOND..25 * SECOND;
    scenario.world.load = load;
    for backend in &mut scenario.world.backends {
        backend.workers = 200;
        backend.service = ServiceTime::Fixed(millis(20));
    }
    scenario
}

fn run(scenario: &Scenario, seed: u64) -> Report {
    Stack::new("bare", |upstream| upstream).run(scenario, seed).unwrap()
}

/// What was asked and how long it took, by the class of the request and what came of it.
type Times = HashMap<(usize, Option<Status>), Vec<Duration>>;

#[derive(Clone)]
struct Watch {
    upstream: Upstream,
    seen: Arc<Mutex<Times>>,
}

impl Service<Request> for Watch {
    type Response = Response;
    type Error = Failure;
    type Future = BoxFuture<'static, Result<Response, Failure>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.upstream.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (call, seen, began): (Call, _, _) = (self.upstream.call(request), Arc::clone(&self.seen), Instant::now());
        Box::pin(async move {
            let outcome = call.await;
            let status = outcome.as_ref().ok().map(Response::status);
            seen.lock().unwrap().entry((request.class(), status)).or_default().push(began.elapsed());
            outcome
        })
    }
}

fn watch(scenario: &Scenario) -> (Report, Times) {
    let seen = Arc::<Mutex<Times>>::default();
    let watched = Arc::clone(&seen);
    let stack = Stack::new("watched", move |upstream| Watch { upstream, seen: Arc::clone(&watched) });
    let report = stack.run(scenario, 1).unwrap();
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (report, seen)
}

fn mean(times: &[Duration]) -> f64 {
    times.iter().map(Duration::as_secs_f64).sum::<f64>() * 1000.0 / times.len() as f64
}

#[test]
fn a_trace_comes_when_it_says() {
    let times = [0, 10, 10, 999, 1000, 4999, 12_000, 12_001, 24_999, 25_000, 80_000];
    let scenario = calm(Load::Trace(times.map(millis).to_vec()));
    let report = run(&scenario, 1);
    let offered = |second: usize| report.timeline[second].offered;
    assert_eq!([0, 1, 2, 4, 12, 24].map(offered), [4, 1, 0, 1, 2, 1]);
    // From 5 s on, and before 25 s.
    assert_eq!((report.timeline.len(), report.requests, report.answered, report.oracle), (25, 3, 1.0, 1.0));
    assert_eq!((report.p50, report.p999), (Some(millis(22)), Some(millis(22))));
    assert_eq!(run(&scenario, 1), report, "the same seed");
    assert_eq!(scenario.oracle(1), Ok(1.0));
}

/// Little's law: users = calls a second × (time for the answer + time to think).
#[test]
fn users_ask_as_often_as_they_have_time() {
    for (users, think) in [(50, 100), (300, 1000), (5, 10)] {
        let scenario = calm(Load::Closed { users, think: millis(think) });
        let report = run(&scenario, 1);
        assert_eq!((report.answered, report.p50, report.p999), (1.0, Some(millis(22)), Some(millis(22))));
        // A call takes 22 ms; and who thinks does for whole milliseconds, half a one less in the mean.
        let expected = f64::from(users) / (22.0 + think as f64 - 0.5) * 1000.0 * 20.0;
        let off = report.requests as f64 / expected - 1.0;
        assert!(off.abs() < 0.03, "{} of {expected:.0}", report.requests);
        assert_eq!(run(&scenario, 1), report, "the same seed");
        assert_ne!(run(&scenario, 2).timeline, report.timeline);
    }
}

/// Who waits does not ask, so there is never more than one call of each user.
#[test]
fn users_wait_while_nothing_is_answered() {
    let scenario =
        calm(Load::Closed { users: 50, think: millis(100) }).fault(FaultKind::Swallow, 5 * SECOND, 10 * SECOND);
    let report = run(&scenario, 1);
    let offered = |second: usize| report.timeline[second].offered as f64;
    // Up to the deadline of 1 s, and 5 ms more.
    let during = (7..14).map(offered).sum::<f64>() / 7.0;
    assert!((during * 1.1045 / 50.0 - 1.0).abs() < 0.1, "{during}");
    let after = (17..25).map(offered).sum::<f64>() / 8.0;
    assert!((after * 0.1215 / 50.0 - 1.0).abs() < 0.05, "{after}");
}

#[test]
fn classes_have_their_share_and_their_work() {
    let mut scenario = calm(Load::Poisson { rate: 500.0 });
    let class = scenario.world.classes[0].clone();
    let mut heavy = class.clone();
    (heavy.share, heavy.work, heavy.priority, heavy.idempotent) = (1.0, 5.0, 7, false);
    scenario.world.classes = vec![class.clone(), heavy];
    scenario.world.classes[0].share = 3.0;
    assert_eq!(scenario.world.capacity(), 1000.0 / 0.02 / 2.0);
    let (report, seen) = watch(&scenario);
    let [light, heavy] = [0, 1].map(|class| &seen[&(class, Some(Status::Ok))]);
    let share = light.len() as f64 / (light.len() + heavy.len()) as f64;
    assert!((share - 0.75).abs() < 0.01, "{share}");
    assert!((mean(light) - 22.0).abs() < 1e-6 && (mean(heavy) - 102.0).abs() < 1e-6 && report.answered == 1.0);
    assert_eq!((report.p50, report.p99), (Some(millis(22)), Some(millis(102))));
}

#[test]
fn a_class_can_have_a_deadline_of_its_own() {
    let mut scenario = calm(Load::Poisson { rate: 500.0 });
    let class = scenario.world.classes[0].clone();
    scenario.world.classes = vec![class.clone(), class.clone(), class];
    scenario.world.classes[0].share = 2.0;
    // Calls take 22 ms.
    scenario.world.classes[1].deadline = Some(millis(21));
    scenario.world.classes[2].deadline = Some(millis(22));
    let (report, _) = watch(&scenario);
    assert!((report.answered - 0.75).abs() < 0.01, "{}", report.answered);
    // With nothing in its way, the oracle answers the same: who waits as long as a call takes, and not who waits 1 ms less.
    let is_the_best = |report: &Report| assert_eq!((report.oracle, report.goodput), (report.answered, 100.0));
    is_the_best(&report);
    // Who is judged by the deadline of all others is not answered.
    scenario.world.deadline = millis(21);
    let (report, _) = watch(&scenario);
    assert!((report.answered - 0.25).abs() < 0.01, "{}", report.answered);
    is_the_best(&report);
}

#[test]
fn service_times_have_their_mean() {
    let recorded = ServiceTime::Recorded(vec![(millis(5), 100), (millis(20), 30), (millis(50), 1), (millis(9), 0)]);
    let means = [
        (ServiceTime::Fixed(Duration::from_micros(20_300)), 20.3),
        (ServiceTime::Exponential { mean: millis(20) }, 20.0),
        (ServiceTime::LogNormal { mean: millis(20), sigma: 0.8 }, 20.0),
        (recorded, 1150.0 / 131.0),
    ];
    for (service, expected) in means {
        let mut scenario = calm(Load::Poisson { rate: 1000.0 });
        for backend in &mut scenario.world.backends {
            backend.service = service.clone();
        }
        let stated = service.mean().as_secs_f64() * 1000.0;
        assert!((stated - expected).abs() < 1e-3, "{service:?}: {stated}");
        let (_, seen) = watch(&scenario);
        let measured = mean(&seen[&(0, Some(Status::Ok))]) - 2.0;
        assert!((measured / expected - 1.0).abs() < 0.02, "{service:?}: {measured}");
    }
}

/// Not only in the mean.
#[test]
fn service_times_are_spread_as_they_should_be() {
    let sorted = |service| {
        let mut scenario = calm(Load::Poisson { rate: 1000.0 });
        for backend in &mut scenario.world.backends {
            backend.service = ServiceTime::clone(&service);
        }
        let mut times = watch(&scenario).1.remove(&(0, Some(Status::Ok))).unwrap();
        times.sort_unstable();
        times
    };
    let times = sorted(ServiceTime::Exponential { mean: millis(100) });
    for (quantile, expected) in [(0.1, 10.5), (0.5, 69.3), (0.9, 230.3), (0.99, 460.5)] {
        let time = times[(quantile * times.len() as f64) as usize].as_secs_f64() * 1000.0 - 2.0;
        assert!((time / expected - 1.0).abs() < 0.05, "{quantile}: {time}");
    }
    let times = sorted(ServiceTime::Recorded(vec![(millis(5), 60), (millis(20), 30), (millis(400), 10)]));
    let share = |time: u64| times.iter().filter(|one| **one == millis(time + 2)).count() as f64 / times.len() as f64;
    assert!([(5, 0.6), (20, 0.3), (400, 0.1)].iter().all(|(time, part)| (share(*time) - part).abs() < 0.01));
    let times = sorted(ServiceTime::Fixed(millis(20)));
    assert_eq!((times[0], times[times.len() - 1]), (millis(22), millis(22)));
}

#[test]
fn a_time_with_hardly_any_load_ends_when_it_is_over() {
    let quiet = FaultKind::Load { factor: 0.001 };
    let scenario = Scenario::new("quiet").fault(quiet, 20 * SECOND, 10 * SECOND);
    let report = Stack::new("none", |upstream: Upstream| upstream).run(&scenario, 0).unwrap();
    let offered: Vec<_> = report.timeline.iter().map(|second| second.offered).collect();
    assert!(offered[20..30].iter().sum::<u64>() < 30, "{offered:?}");
    assert!(offered[30..].iter().all(|offered| *offered > 450), "{offered:?}");
}

#[test]
fn faults_that_leave_the_load_as_it_is_leave_what_comes_as_it_is() {
    let arrivals = |scenario: &Scenario| {
        let report = run(scenario, 0);
        report.timeline.iter().map(|second| second.offered).collect::<Vec<_>>()
    };
    let calm = calm(Load::Poisson { rate: 500.0 });
    let mut changes = calm.clone();
    for second in 0..240 {
        let same = FaultKind::Load { factor: 1.0 };
        changes = changes.fault(same, second * SECOND / 10, SECOND / 20);
    }
    assert_eq!(arrivals(&changes), arrivals(&calm));
}
