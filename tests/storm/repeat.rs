//! The same seed and stack, the same report; whatever runs next to it.

use std::{sync::Arc, thread};

use steadfast::{
    Error,
    bulkhead::Bulkhead,
    circuit_breaker::{CircuitBreaker, State},
    retry::{Budget, Retry},
    storm::{Candidate, Handler, Report, Scenario, Stack, StormClassify, Upstream},
    timeout::Timeout,
};
use tower::ServiceBuilder;

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
fn what_comes_and_what_it_costs_does_not_depend_on_the_stack() {
    let scenario = Scenario::named("brownout").unwrap();
    let none = Stack::new("none", |upstream: Upstream| upstream);
    let (one, other) = (none.run(&scenario, 3).unwrap(), stack().run(&scenario, 3).unwrap());
    let of = |report: &Report| report.timeline.iter().map(|second| (second.offered, second.oracle)).collect::<Vec<_>>();
    assert_eq!(of(&one), of(&other));
}
