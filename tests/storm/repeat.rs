//! The same seed and stack, the same report, whatever runs next to it; and the same storm for every stack.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use steadfast::{
    Error,
    backoff::Backoff,
    bulkhead::Bulkhead,
    circuit_breaker::{CircuitBreaker, State},
    context,
    retry::{Budget, Retry},
    storm::{
        Candidate, Failure, FaultKind, Handler, Report, Request, Response, Scenario, Stack, StormClassify, Upstream,
    },
    timeout::Timeout,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// Layers with jitter and choices of their own, on both sides.
fn stack() -> impl Candidate {
    Stack::new("all", |upstream: Upstream| {
        let breaker = CircuitBreaker::builder().classify(StormClassify).build().unwrap();
        let handle = breaker.handle();
        upstream.gauge("open", move || f64::from(u8::from(handle.state() == State::Open)));
        ServiceBuilder::new()
            .layer(Timeout::builder(upstream.deadline()).build().unwrap())
            .layer(Retry::builder().classify(StormClassify).budget(Arc::new(Budget::refund())).build().unwrap())
            .layer(breaker)
            .map_err(Error::Inner)
            .service(upstream)
    })
    .server(|handler: Handler| {
        let queue = Bulkhead::builder(handler.workers() as u32).max_waiting(100).build().unwrap();
        ServiceBuilder::new().layer(queue).service(handler)
    })
}

fn suite(seed: u64) -> Vec<Report> {
    Scenario::listed().iter().map(|scenario| stack().run(scenario, seed).unwrap()).collect()
}

#[test]
fn two_runs_of_the_whole_suite_are_identical() {
    let other = thread::spawn(|| suite(7));
    let (one, other) = (suite(7), other.join().unwrap());
    assert_eq!(one, other);
    let opened = |report: &Report| report.gauges[0].1.iter().sum::<f64>() > 0.0;
    assert!(one.iter().any(opened) && !one.iter().all(opened), "the gauge shows what the breakers do");
}

#[test]
fn another_seed_is_another_run() {
    let steady = Scenario::named("steady").unwrap();
    let (one, other) = (stack().run(&steady, 1).unwrap(), stack().run(&steady, 2).unwrap());
    assert_ne!(one.timeline, other.timeline);
}

#[test]
fn what_comes_and_what_the_oracle_answers_do_not_depend_on_the_stack() {
    let scenario = Scenario::named("brownout").unwrap();
    let none = Stack::new("none", |upstream: Upstream| upstream);
    let (one, other) = (none.run(&scenario, 3).unwrap(), stack().run(&scenario, 3).unwrap());
    let of = |report: &Report| report.timeline.iter().map(|second| (second.offered, second.oracle)).collect::<Vec<_>>();
    assert_eq!(of(&one), of(&other));
}

/// What each attempt of each request came to: an answer, which knows how long was worked for it, or a failure.
type Outcomes = HashMap<(u64, u32), (Request, Result<Response, Failure>)>;

/// Where a third of the attempts fails, up to three, with this between them.
fn outcomes(wait: Backoff) -> Outcomes {
    let mut scenario = Scenario::new("fails").fault(FaultKind::Fail { share: 0.3 }, Duration::ZERO, Duration::MAX);
    scenario.window.end = Duration::from_secs(20);
    let all = Arc::new(Mutex::new(Outcomes::new()));
    let log = Arc::clone(&all);
    let stack = Stack::new("noted", move |upstream: Upstream| {
        let log = Arc::clone(&log);
        let noted = service_fn(move |request: Request| {
            let (log, upstream) = (Arc::clone(&log), upstream.clone());
            let attempt = context::attempt();
            async move {
                let outcome = upstream.oneshot(request).await;
                log.lock().unwrap().insert((request.id(), attempt), (request, outcome));
                outcome
            }
        });
        let retry = Retry::builder().classify(StormClassify).budget(None::<Arc<Budget>>).backoff(wait.clone());
        ServiceBuilder::new().layer(retry.max_attempts(3).build().unwrap()).map_err(Error::Inner).service(noted)
    });
    stack.run(&scenario, 3).unwrap();
    std::mem::take(&mut *all.lock().unwrap())
}

#[test]
fn what_an_attempt_comes_to_and_costs_does_not_depend_on_when_it_is_made() {
    let (at_once, later) = (outcomes(Backoff::none()), outcomes(Backoff::fixed(Duration::from_millis(150))));
    let answered =
        |which: u32| at_once.iter().filter(|((_, attempt), (_, outcome))| *attempt == which && outcome.is_ok()).count();
    let answered = [1, 2, 3].map(answered);
    assert!(answered[0] > 7000 && answered[1] > 2000 && answered[2] > 500, "{answered:?}");
    assert_eq!(at_once.len(), later.len());
    for (attempt, outcome) in &at_once {
        assert_eq!(later.get(attempt), Some(outcome), "{attempt:?}");
    }
}
