//! The adaptive limit: what it loses when nothing is wrong, and what it is worth when something is.

use std::{sync::Arc, time::Duration};

use steadfast::{
    Error,
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitLayer, Algorithm},
    backoff::Backoff,
    circuit_breaker::CircuitBreaker,
    retry::{Budget, Retry},
    storm::{Candidate, Ranges, Report, Scenario, Stack, StormClassify, Upstream, World},
    timeout::Timeout,
};
use tower::ServiceBuilder;

const SECOND: Duration = Duration::from_secs(1);

fn limit(upstream: &Upstream, algorithm: Algorithm) -> AdaptiveLimitLayer<StormClassify> {
    let builder = AdaptiveLimit::builder(upstream.deadline()).classify(StormClassify);
    builder.algorithm(algorithm).build().unwrap()
}

/// One that allows everything.
fn none(upstream: &Upstream, algorithm: Algorithm) -> AdaptiveLimitLayer<StormClassify> {
    let layer = limit(upstream, algorithm);
    layer.handle().change(|settings| (settings.min, settings.max) = (1_000_000, 1_000_000)).unwrap();
    layer
}

type Make = fn(&Upstream, Algorithm) -> AdaptiveLimitLayer<StormClassify>;

/// The limit and nothing else.
fn alone(make: Make, algorithm: Algorithm) -> impl Candidate {
    Stack::new("alone", move |upstream: Upstream| {
        let timeout = Timeout::builder(upstream.deadline()).build().unwrap();
        let layers = ServiceBuilder::new().layer(timeout).layer(make(&upstream, algorithm)).map_err(Error::Inner);
        layers.service(upstream)
    })
}

/// Below deadline, retry and breaker.
fn stack(make: Make) -> impl Candidate {
    Stack::new("stack", move |upstream: Upstream| {
        let wait = Backoff::exponential(SECOND / 10).factor(1.5).max(SECOND * 2 / 5);
        let layers = ServiceBuilder::new()
            .layer(Timeout::builder(upstream.deadline()).build().unwrap())
            .layer(Retry::builder().classify(StormClassify).budget(Arc::new(Budget::refund())).build().unwrap())
            .layer(CircuitBreaker::builder().classify(StormClassify).wait_open(wait).build().unwrap())
            .layer(make(&upstream, Algorithm::Deadline));
        layers.map_err(Error::Inner).service(upstream)
    })
}

/// The mean of three seeds.
fn mean(stack: &dyn Candidate, scenario: &str, figure: impl Fn(&Report) -> f64) -> f64 {
    let scenario = Scenario::named(scenario).unwrap();
    (0..3).map(|seed| figure(&stack.run(&scenario, seed).unwrap())).sum::<f64>() / 3.0
}

fn goodput(stack: &dyn Candidate, scenario: &str) -> f64 {
    let goodput = mean(stack, scenario, |report| report.goodput);
    println!("{scenario}: {goodput:.1}");
    goodput
}

/// From 1 s on: a client of a large world with a load for thousands of calls at once has found its limit by then.
#[test]
fn at_a_steady_load_it_loses_nothing_in_any_world() {
    let mut ranges = Ranges::default();
    ranges.load = 0.6..=0.6;
    // The largest take minutes.
    (ranges.backends, ranges.workers) = (2..=10, 1..=8);
    for algorithm in [Algorithm::Deadline, Algorithm::AIMD] {
        for world in 0..15 {
            let mut scenario = Scenario::named("steady").unwrap().in_world(World::drawn(&ranges, world).unwrap());
            scenario.window = SECOND..21 * SECOND;
            let [with, without] =
                [limit as Make, none].map(|make| alone(make, algorithm).run(&scenario, world).unwrap().answered);
            assert!(without - with <= 0.005, "world {world}, {algorithm:?}: {with:.4} for {without:.4}");
        }
    }
}

#[test]
fn nor_where_calls_are_slow_or_invalid_and_nothing_is_overloaded() {
    let alone = alone(limit, Algorithm::Deadline);
    for scenario in ["steady", "net_latency", "poison", "stragglers"] {
        assert!(goodput(&alone, scenario) >= 99.8, "{scenario}");
        assert!(goodput(&stack(limit), scenario) >= 99.8, "{scenario}");
    }
}

#[test]
fn it_keeps_a_service_going_that_is_overloaded_or_cold() {
    let figures = [("overload2x", 96.0, 72.0), ("metastable", 94.0, 92.0), ("cold_cache", 90.0, 30.0)];
    let goods = figures.map(|(scenario, ..)| [limit as Make, none].map(|make| goodput(&stack(make), scenario)));
    for ((scenario, with, without), [limited, unlimited]) in figures.into_iter().zip(goods) {
        assert!(limited >= with && unlimited <= without, "{scenario}: {limited:.1} and {unlimited:.1} without it");
    }
    assert!(goodput(&stack(limit), "outage_hang") >= 95.5);
}

/// Calls that are lost at two of five endpoints are no overload of the other three.
#[test]
fn lost_calls_of_some_endpoints_are_no_overload() {
    assert!(goodput(&alone(limit, Algorithm::Deadline), "zone_loss") >= 75.0);
    assert!(goodput(&alone(limit, Algorithm::Deadline), "gray") >= 79.0);
}
