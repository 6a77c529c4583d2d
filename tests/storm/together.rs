//! All mechanisms in one stack, on both sides: where nothing is wrong nothing is lost, and each does what it does alone.

use std::{sync::Arc, time::Duration};

use steadfast::{
    Error,
    adaptive_limit::AdaptiveLimit,
    backoff::Backoff,
    circuit_breaker::CircuitBreaker,
    hedge::Hedge,
    retry::{Budget, Retry},
    shed::Shed,
    storm::{Candidate, Handler, Report, Scenario, Stack, StormClassify, Upstream},
    timeout::Timeout,
};
use tower::{Layer, ServiceBuilder};

fn all() -> impl Candidate {
    let client = |upstream: Upstream| {
        let milliseconds = Duration::from_millis;
        let retry = Retry::builder().classify(StormClassify).budget(Arc::new(Budget::refund())).hedge(Hedge::default());
        let wait = Backoff::exponential(milliseconds(100)).factor(1.5).max(milliseconds(400));
        ServiceBuilder::new()
            .layer(Timeout::builder(upstream.deadline()).build().unwrap())
            .layer(retry.build().unwrap())
            .layer(CircuitBreaker::builder().classify(StormClassify).wait_open(wait).build().unwrap())
            .layer(AdaptiveLimit::builder(upstream.deadline()).classify(StormClassify).build().unwrap())
            .map_err(Error::Inner)
            .service(upstream)
    };
    Stack::new("all", client).server(shedding)
}

fn shedding(handler: Handler) -> steadfast::shed::Shed<Handler> {
    Shed::builder(handler.workers() as u32).build().unwrap().layer(handler)
}

fn reports(stack: &dyn Candidate, scenario: &str) -> Vec<Report> {
    let scenario = Scenario::named(scenario).unwrap();
    (0..3).map(|seed| stack.run(&scenario, seed).unwrap()).collect()
}

#[test]
fn where_nothing_is_wrong_nothing_is_lost() {
    let shed = Stack::new("shed", |upstream: Upstream| upstream).server(shedding);
    for stack in [&all() as &dyn Candidate, &shed] {
        for report in reports(stack, "steady") {
            let figures = (report.goodput, report.attempts, report.false_rejects);
            assert!(report.goodput >= 99.95 && report.attempts <= 1.03, "{}: {figures:?}", stack.name());
            assert!(report.false_rejects <= 0.000_1, "{}: {figures:?}", stack.name());
        }
    }
}

#[test]
fn a_network_that_slows_is_waited_for() {
    for report in reports(&all(), "net_latency") {
        assert!(report.goodput >= 99.5, "{}", report.goodput);
    }
}

#[test]
fn an_overload_of_either_side_is_survived() {
    for (scenario, least) in [("overload2x", 96.0), ("metastable", 96.0), ("cold_cache", 96.0), ("gray", 98.0)] {
        let mean = reports(&all(), scenario).iter().map(|report| report.goodput).sum::<f64>() / 3.0;
        println!("{scenario}: {mean:.1}");
        assert!(mean >= least, "{scenario}: {mean:.1}");
    }
}
