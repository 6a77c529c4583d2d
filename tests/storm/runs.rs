//! What simple stacks come to, and what the metrics say of them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::future::{Ready, ready};
use steadfast::{
    Error, Rejected, RejectedKind,
    bulkhead::Bulkhead,
    storm::{
        Backend, Candidate, FaultKind, Handler, Report, Request, Response, Scenario, ServiceTime, Stack, Status,
        Upstream,
    },
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

fn none() -> impl Candidate {
    Stack::new("none", |upstream: Upstream| upstream)
}

fn run(stack: &dyn Candidate, name: &str) -> Report {
    stack.run(&Scenario::named(name).unwrap(), 0).unwrap()
}

#[test]
fn without_a_policy_the_figures_are_those_known() {
    let known = [
        ("outage_refuse", 97.0),
        ("outage_hang", 97.0),
        ("brownout", 90.0),
        ("gray", 80.0),
        ("net_latency", 100.0),
        ("overload2x", 46.0),
        ("metastable", 39.0),
        ("cold_cache", 3.0),
        ("zone_loss", 80.0),
        ("zone_refuse", 80.0),
        ("flap", 95.0),
        ("bursts", 94.0),
        ("failover", 50.0),
        ("poison", 100.0),
        ("stragglers", 100.0),
    ];
    for (name, figure) in known {
        let goodput = run(&none(), name).goodput;
        let off: f64 = if name == "cold_cache" { 2.0 } else { 3.0 };
        assert!((goodput - figure).abs() <= off, "{name}: {goodput:.1}, and not {figure}");
    }
}

#[test]
fn steady_costs_nothing_and_the_figures_say_so() {
    let report = run(&none(), "steady");
    assert_eq!((report.goodput, report.attempts, report.recovery), (100.0, 1.0, None));
    assert_eq!((report.false_rejects, report.degraded), (0.0, 0.0));
    assert!(report.wasted < 0.01, "{}", report.wasted);
    let (p50, p99) = (report.p50.unwrap().as_millis(), report.p99.unwrap().as_millis());
    // Median of the work 17.6 ms, 2 ms under way; a queue that is seldom there.
    assert!((20..=25).contains(&p50) && (55..=75).contains(&p99), "{p50} {p99}");
    let offered: u64 = report.timeline[10..70].iter().map(|second| second.offered).sum();
    assert_eq!(offered, report.requests);
    assert!((35_000..37_000).contains(&offered), "{offered}");
}

#[test]
fn recovery_is_counted_from_the_end_of_the_faults() {
    assert_eq!(run(&none(), "outage_refuse").recovery, Some(Duration::ZERO));
    assert_eq!(run(&none(), "net_latency").recovery, Some(Duration::ZERO), "it was never worse");
    let metastable = run(&none(), "metastable").recovery.unwrap();
    assert!((15 * SECOND..22 * SECOND).contains(&metastable), "{metastable:?}");
    assert_eq!(run(&none(), "gray").recovery, None, "its queue is full of slow work");
}

#[test]
fn work_that_nobody_waits_for_is_wasted() {
    let wasted = run(&none(), "cold_cache").wasted;
    assert!((0.85..0.95).contains(&wasted), "{wasted}");
    let wasted = run(&none(), "outage_refuse").wasted;
    assert!(wasted < 0.01, "{wasted}");
}

#[test]
fn refusals_without_an_attempt_are_false_only_where_all_could_be_served() {
    let refuses = Stack::new("refuses", |_: Upstream| {
        service_fn(|_: Request| async { Err::<Response, _>(Rejected::new(RejectedKind::CircuitOpen, "closed")) })
    });
    let steady = run(&refuses, "steady");
    assert_eq!((steady.goodput, steady.attempts, steady.false_rejects), (0.0, 0.0, 1.0));
    assert!(run(&refuses, "outage_refuse").false_rejects < 0.53, "the outage is no time in which all could be");
}

#[test]
fn made_up_answers_are_degraded_and_not_good() {
    let makes_up = Stack::new("makes up", |_: Upstream| {
        service_fn(|_: Request| async { Ok::<_, Rejected>(Response::degraded()) })
    });
    let report = run(&makes_up, "steady");
    assert_eq!((report.goodput, report.degraded), (0.0, 1.0));
}

#[test]
fn an_invalid_request_is_answered_after_work_in_full() {
    let seen = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&seen);
    let stack = Stack::new("counts", move |upstream: Upstream| {
        let counts = Arc::clone(&counts);
        ServiceBuilder::new()
            .map_response(move |response: Response| {
                counts.fetch_add(u64::from(response.status() == Status::Invalid), Ordering::Relaxed);
                response
            })
            .service(upstream)
    });
    let report = run(&stack, "poison");
    let share =
        seen.load(Ordering::Relaxed) as f64 / report.timeline[10..30].iter().map(|s| s.offered).sum::<u64>() as f64;
    assert!((0.58..0.62).contains(&share), "{share}");
    assert_eq!(report.goodput, 100.0);
}

/// Is ready when it is asked a second time, and panics when it is called without.
#[derive(Clone, Default)]
struct Reluctant {
    asked: bool,
    ready: bool,
}

impl Service<Request> for Reluctant {
    type Response = Response;
    type Error = Error<steadfast::storm::Failure>;
    type Future = Ready<Result<Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = std::mem::replace(&mut self.asked, true);
        if self.ready {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request) -> Self::Future {
        assert!(self.ready, "called without being ready");
        *self = Self::default();
        ready(Ok(Response::degraded()))
    }
}

#[test]
fn a_stack_is_driven_to_ready_before_each_call() {
    let stack = Stack::new("reluctant", |_: Upstream| Reluctant::default());
    assert_eq!(run(&stack, "steady").degraded, 1.0);
}

#[test]
fn what_was_sent_arrives_though_who_sent_it_is_gone() {
    // Each call is dropped while its request is under way; the servers work on all of them.
    let drops = Stack::new("drops", |upstream: Upstream| {
        service_fn(move |request: Request| {
            let upstream = upstream.clone();
            async move {
                let mut call = std::pin::pin!(upstream.oneshot(request));
                let _ = futures::poll!(&mut call);
                Err::<Response, _>(Rejected::new(RejectedKind::TimedOut, "at once"))
            }
        })
    });
    let report = run(&drops, "steady");
    assert_eq!((report.answered, report.attempts, report.wasted), (0.0, 1.0, 1.0));
}

#[test]
fn a_panic_is_an_error_of_its_own_request() {
    let stack = Stack::new("panics", |upstream: Upstream| {
        service_fn(move |request: Request| {
            let upstream = upstream.clone();
            async move {
                if request.id().is_multiple_of(10) {
                    std::panic::resume_unwind(Box::new("now and then"));
                }
                upstream.oneshot(request).await
            }
        })
    });
    let report = run(&stack, "steady");
    assert!((89.0..91.0).contains(&report.goodput), "{}", report.goodput);
    // Those of the first ten seconds too.
    let offered: u64 = report.timeline.iter().map(|second| second.offered).sum();
    assert_eq!(report.panics, offered.div_ceil(10));
}

/// A server side of no layers is none.
#[test]
fn a_server_side_without_layers_changes_nothing() {
    let client = |upstream: Upstream| {
        let limit = Bulkhead::builder(5).max_waiting(50).max_wait(Duration::from_millis(300)).build().unwrap();
        ServiceBuilder::new().layer(limit).map_err(Error::Inner).service(upstream)
    };
    let (plain, served) = (Stack::new("one", client), Stack::new("one", client).server(|handler: Handler| handler));
    for scenario in Scenario::listed() {
        let (plain, served) = (plain.run(&scenario, 0).unwrap(), served.run(&scenario, 0).unwrap());
        // A place that becomes free in the millisecond in which somebody comes may go to either.
        let near = (plain.goodput - served.goodput).abs();
        assert!(near < 1.0, "{}: {:.2} and {:.2}", scenario.name, plain.goodput, served.goodput);
    }
}

#[test]
fn the_way_back_is_that_of_when_the_answer_leaves() {
    let mut scenario = Scenario::new("slow way").fault(
        FaultKind::Latency { extra: Duration::from_millis(600) },
        10 * SECOND,
        Duration::from_millis(500),
    );
    scenario.world.backends = vec![backend(1000, Duration::from_millis(200))];
    scenario.world.deadline = 5 * SECOND;
    scenario.window = 10 * SECOND..10 * SECOND + Duration::from_millis(400);
    // There at the latest after 301 ms, and worked on until the way is short again for all that came after the first 0.1 s.
    let report = none().run(&scenario, 0).unwrap();
    assert_eq!(report.p50, Some(Duration::from_millis(301 + 200 + 1)));
}

#[test]
fn who_asks_again_at_once_does_not_hold_up_time() {
    let mut scenario = Scenario::new("no network").fault(FaultKind::Refuse, 10 * SECOND, SECOND);
    scenario.world.network = Duration::ZERO;
    scenario.window = 9 * SECOND..12 * SECOND;
    let again = Stack::new("again", |upstream: Upstream| {
        service_fn(move |request: Request| {
            let upstream = upstream.clone();
            async move {
                loop {
                    let answer = upstream.clone().oneshot(request).await;
                    if answer.is_ok() {
                        return answer;
                    }
                }
            }
        })
    });
    assert!(again.run(&scenario, 0).unwrap().goodput > 99.0);
}

fn backend(workers: u32, takes: Duration) -> Backend {
    let mut backend = Backend::default();
    (backend.workers, backend.service) = (workers, ServiceTime::Fixed(takes));
    backend
}

#[test]
fn the_order_of_faults_does_not_matter() {
    let mut one = Scenario::named("failover").unwrap().fault_of(vec![1], FaultKind::Refuse, 20 * SECOND, 5 * SECOND);
    one.over = Some(15 * SECOND);
    one.window.end = 45 * SECOND;
    let mut other = one.clone();
    other.faults.reverse();
    assert_eq!(none().run(&one, 0).unwrap(), none().run(&other, 0).unwrap());
    // And who is dead stays dead.
    let mut ends = one.clone();
    ends.faults[0].lasts = 10 * SECOND;
    assert_eq!(none().run(&one, 0).unwrap(), none().run(&ends, 0).unwrap());
}

#[test]
fn a_gauge_shows_the_mean_of_all_clients() {
    let stack = Stack::new("numbers", |upstream: Upstream| {
        let number = f64::from(upstream.client());
        upstream.gauge("number", move || number);
        upstream
    });
    // Ten clients, from 0.
    assert!(run(&stack, "steady").gauges[0].1.iter().all(|value| *value == 4.5));
}

#[test]
fn a_gauge_that_comes_late_is_shown_when_it_came() {
    let stack = Stack::new("late", |upstream: Upstream| {
        let shown = Arc::new(AtomicU64::new(0));
        service_fn(move |request: Request| {
            let (upstream, shown) = (upstream.clone(), Arc::clone(&shown));
            async move {
                if request.id() > 3000 && shown.swap(1, Ordering::Relaxed) == 0 {
                    let also = upstream.clone();
                    upstream.gauge("late", move || {
                        also.gauge("later", || 2.0);
                        1.0
                    });
                }
                upstream.oneshot(request).await
            }
        })
    });
    let mut steady = Scenario::named("steady").unwrap();
    steady.window.end = 20 * SECOND;
    let report = stack.run(&steady, 0).unwrap();
    let values = |name: &str| &report.gauges.iter().find(|(gauge, _)| gauge == name).unwrap().1;
    assert_eq!((values("late").len(), values("later").len()), (20, 20));
    assert!(
        values("late")[..4].iter().all(|value| *value == 0.0) && values("late")[6..].iter().all(|value| *value == 1.0)
    );
}

#[test]
fn faults_that_overlap_add_up() {
    let half = FaultKind::Fail { share: 0.5 };
    let scenario = Scenario::new("twice").fault(half, 10 * SECOND, 20 * SECOND).fault(half, 20 * SECOND, 20 * SECOND);
    let report = none().run(&scenario, 0).unwrap();
    let share = |from: usize, until: usize| {
        let (answered, offered) = report.timeline[from..until]
            .iter()
            .fold((0, 0), |(answered, offered), second| (answered + second.answered, offered + second.offered));
        answered as f64 / offered as f64
    };
    let shares = [share(0, 10), share(10, 20), share(20, 30), share(30, 40), share(40, 70)];
    for (share, expected) in shares.into_iter().zip([1.0, 0.5, 0.25, 0.5, 1.0]) {
        assert!((share - expected).abs() < 0.03, "{shares:?}");
    }
}
