//! Each mechanism where it matters: without it the figure falls.

#![allow(clippy::disallowed_methods)] // The clock is paused.

use std::{sync::Arc, time::Duration};

use steadfast::{
    Error,
    backoff::Backoff,
    bulkhead::{Bulkhead, BulkheadLayer, Order},
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer},
    hedge::Hedge,
    retry::{Budget, BudgetMode, Retry, RetryLayer},
    storm::{Candidate, Handler, Scenario, Stack, StormClassify, Upstream},
    timeout::{Timeout, TimeoutLayer},
};
use tower::ServiceBuilder;

const MS: Duration = Duration::from_millis(1);

/// The mean of three seeds.
fn goodput(stack: &dyn Candidate, scenario: &str) -> f64 {
    let scenario = Scenario::named(scenario).unwrap();
    (0..3).map(|seed| stack.run(&scenario, seed).unwrap().goodput).sum::<f64>() / 3.0
}

fn falls(scenario: &str, with: &dyn Candidate, without: &dyn Candidate, at_least: f64, at_most: f64) {
    let (with, without) = (goodput(with, scenario), goodput(without, scenario));
    println!("{scenario}: {with:.1} with, {without:.1} without");
    assert!(with >= at_least, "{scenario}: {with:.2}, of at least {at_least}");
    assert!(without <= at_most, "{scenario}: {without:.2} without it, of at most {at_most}");
}

fn deadline() -> TimeoutLayer {
    Timeout::builder(1000 * MS).build().unwrap()
}

fn retry(budget: Option<Budget>) -> RetryLayer<StormClassify> {
    Retry::builder().classify(StormClassify).budget(budget.map(Arc::new)).build().unwrap()
}

fn breaker(wait: Backoff) -> CircuitBreakerLayer<StormClassify> {
    CircuitBreaker::builder().classify(StormClassify).wait_open(wait).build().unwrap()
}

fn limit(calls: u32) -> BulkheadLayer {
    Bulkhead::builder(calls).max_waiting(50).max_wait(300 * MS).build().unwrap()
}

fn retries(budget: fn() -> Option<Budget>) -> impl Candidate {
    Stack::new("retry", move |upstream: Upstream| {
        ServiceBuilder::new().layer(deadline()).layer(retry(budget())).map_err(Error::Inner).service(upstream)
    })
}

#[test]
fn a_budget_that_refunds_in_a_brownout() {
    let tenth = || Budget::new(BudgetMode::Ratio(0.1), 50).ok();
    falls("brownout", &retries(|| Some(Budget::refund())), &retries(tenth), 99.0, 96.0);
}

#[test]
fn a_budget_when_the_load_is_high_already() {
    // With attempts cut short, work that nobody waits for is done again and again.
    let cut = |budget: fn() -> Option<Budget>| {
        Stack::new("cut", move |upstream: Upstream| {
            let attempt = Timeout::builder(250 * MS).build().unwrap();
            let layers = ServiceBuilder::new().layer(deadline()).layer(retry(budget())).layer(attempt);
            layers.map_err(Error::Inner).service(upstream)
        })
    };
    falls("stragglers", &cut(|| Some(Budget::refund())), &cut(|| None), 97.0, 70.0);
    falls("metastable", &cut(|| Some(Budget::refund())), &cut(|| None), 25.0, 1.0);
}

#[test]
fn no_short_attempt_timeout_when_the_network_slows() {
    let short = Stack::new("short", |upstream: Upstream| {
        let attempt = Timeout::builder(250 * MS).build().unwrap();
        let layers = ServiceBuilder::new().layer(deadline()).layer(retry(Some(Budget::refund()))).layer(attempt);
        layers.map_err(Error::Inner).service(upstream)
    });
    falls("net_latency", &retries(|| Some(Budget::refund())), &short, 99.5, 65.0);
}

#[test]
fn a_limit_of_what_is_under_way_when_caches_are_cold() {
    let limited = Stack::new("limited", |upstream: Upstream| {
        let layers = ServiceBuilder::new().layer(deadline()).layer(retry(Some(Budget::refund()))).layer(limit(5));
        layers.map_err(Error::Inner).service(upstream)
    });
    falls("cold_cache", &limited, &retries(|| Some(Budget::refund())), 95.0, 5.0);
    falls("overload2x", &limited, &retries(|| Some(Budget::refund())), 95.0, 50.0);
}

fn breaks(wait: Backoff) -> impl Candidate {
    Stack::new("breaker", move |upstream: Upstream| {
        let layers =
            ServiceBuilder::new().layer(deadline()).layer(retry(Some(Budget::refund()))).layer(breaker(wait.clone()));
        layers.map_err(Error::Inner).service(upstream)
    })
}

#[test]
fn a_breaker_against_a_queue_that_feeds_itself() {
    let breaks = breaks(Backoff::exponential(250 * MS).max(5000 * MS));
    falls("metastable", &breaks, &retries(|| Some(Budget::refund())), 80.0, 45.0);
}

#[test]
fn open_states_of_under_a_second_after_an_outage() {
    let (short, long) = (Backoff::exponential(250 * MS).max(1000 * MS), Backoff::fixed(20_000 * MS));
    falls("outage_refuse", &breaks(short.clone()), &breaks(long.clone()), 96.0, 70.0);
    falls("bursts", &breaks(short), &breaks(long), 88.0, 50.0);
}

#[test]
fn another_endpoint_for_the_retry_when_a_zone_is_lost() {
    let stuck = Stack::new("stuck", |upstream: Upstream| {
        let endpoints = upstream.endpoints();
        let one = endpoints[upstream.client() as usize % endpoints.len()].clone();
        ServiceBuilder::new().layer(deadline()).layer(retry(Some(Budget::refund()))).map_err(Error::Inner).service(one)
    });
    falls("flap", &retries(|| Some(Budget::refund())), &stuck, 99.0, 96.0);
}

#[test]
fn a_server_queue_that_serves_the_newest_first_and_drops_what_has_expired() {
    let client = |upstream: Upstream| {
        let attempt = Timeout::builder(250 * MS).build().unwrap();
        let layers = ServiceBuilder::new().layer(deadline()).layer(retry(None)).layer(attempt);
        layers.map_err(Error::Inner).service(upstream)
    };
    let server = Stack::new("server", client).server(|handler: Handler| {
        let queue = Bulkhead::builder(handler.workers() as u32).max_waiting(500).max_wait(5000 * MS);
        ServiceBuilder::new().layer(queue.order(Order::Lifo).build().unwrap()).service(handler)
    });
    for scenario in ["overload2x", "metastable"] {
        falls(scenario, &server, &Stack::new("none", client), 90.0, 5.0);
    }
}

/// A second attempt after so long, and the first answer.
fn hedges(after: Duration) -> impl Candidate {
    Stack::new("hedge", move |upstream: Upstream| {
        let hedge = Hedge::after(after).alone().classify(StormClassify).build().unwrap();
        ServiceBuilder::new().layer(deadline()).layer(hedge).map_err(Error::Inner).service(upstream)
    })
}

#[test]
fn a_hedge_when_some_attempts_straggle() {
    let stragglers = Scenario::named("stragglers").unwrap();
    let p999 = |after| hedges(after).run(&stragglers, 0).unwrap().p999.unwrap();
    let (with, without) = (p999(80 * MS), p999(10_000 * MS));
    println!("stragglers: p99.9 {with:?} with, {without:?} without");
    assert!(with <= 300 * MS && without >= 400 * MS, "{with:?} {without:?}");
}

#[test]
fn calls_that_are_held_until_an_open_breaker_tries_again() {
    let stack = |holds: bool| {
        Stack::new("held", move |upstream: Upstream| {
            let layers = ServiceBuilder::new().layer(deadline());
            let attempts = if holds { 3 } else { 1 };
            let retry = Retry::builder().classify(StormClassify).max_attempts(attempts);
            let wait = Backoff::exponential(100 * MS).factor(1.5).max(400 * MS);
            layers.layer(retry.build().unwrap()).layer(breaker(wait)).map_err(Error::Inner).service(upstream)
        })
    };
    falls("bursts", &stack(true), &stack(false), 93.0, 91.5);
}
