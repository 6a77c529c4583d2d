//! Hedges and soft timeouts in storms: what they are for, and that they do no harm where the service has enough to do.

use std::{sync::Arc, time::Duration};

use steadfast::{
    Error,
    bulkhead::Bulkhead,
    hedge::Hedge,
    retry::{Backup, Budget, CloneRequest, Retry, RetryBuilder},
    storm::{Candidate, Report, Scenario, Stack, StormClassify, Upstream},
    timeout::Timeout,
};
use tower::ServiceBuilder;

use super::failover::endpoints;

const MS: Duration = Duration::from_millis(1);
const SEEDS: u64 = 3;

fn retry() -> RetryBuilder<StormClassify> {
    Retry::builder().classify(StormClassify).budget(Arc::new(Budget::refund()))
}

/// A deadline, then this layer, over endpoints.
macro_rules! over_endpoints {
    ($layer:expr) => {
        Stack::new("endpoints", |upstream: Upstream| {
            let deadline = Timeout::builder(1000 * MS).build().unwrap();
            ServiceBuilder::new().layer(deadline).layer($layer.build().unwrap()).service(endpoints(
                &upstream,
                None,
                |_| {},
            ))
        })
    };
}

fn runs(stack: &dyn Candidate, scenario: &str) -> Vec<Report> {
    let scenario = Scenario::named(scenario).unwrap();
    (0..SEEDS).map(|seed| stack.run(&scenario, seed).unwrap()).collect()
}

fn mean(reports: &[Report], figure: impl Fn(&Report) -> f64) -> f64 {
    reports.iter().map(figure).sum::<f64>() / reports.len() as f64
}

fn ms(time: Option<Duration>) -> f64 {
    time.unwrap().as_secs_f64() * 1000.0
}

#[test]
fn stragglers_do_not_make_the_tail_at_three_more_attempts_in_a_hundred() {
    let with = runs(&over_endpoints!(retry().hedge(Hedge::default())), "stragglers");
    let without = runs(&over_endpoints!(retry()), "stragglers");
    for reports in [&with, &without] {
        let tail = (mean(reports, |run| ms(run.p99)), mean(reports, |run| ms(run.p999)));
        println!("p99, p99.9: {tail:.0?} ms, {:.3} attempts", mean(reports, |run| run.attempts));
    }
    assert!(mean(&with, |run| ms(run.p99)) <= 100.0);
    assert!(mean(&with, |run| ms(run.p999)) <= 190.0);
    assert!(mean(&with, |run| run.attempts) <= 1.03);
    assert!(with.iter().all(|run| run.goodput >= 99.9));
    assert!(mean(&without, |run| ms(run.p999)) >= 400.0, "the scenario is none");
}

/// A deadline, this layer and, if it is said, so many calls at a time.
macro_rules! over_one {
    ($layer:expr, $limit:expr) => {
        Stack::new("limited", move |upstream: Upstream| {
            let deadline = Timeout::builder(1000 * MS).build().unwrap();
            let limit = Bulkhead::builder($limit).max_waiting(50).max_wait(300 * MS).build().unwrap();
            let layers = ServiceBuilder::new().layer(deadline).layer($layer.build().unwrap()).layer(limit);
            layers.map_err(Error::Inner).service(upstream)
        })
    };
}

fn goodput(stack: &dyn Candidate, scenario: &str) -> f64 {
    mean(&runs(stack, scenario), |run| run.goodput)
}

const NO_LIMIT: u32 = 1_000_000;

fn both() -> RetryBuilder<StormClassify, CloneRequest, Backup> {
    retry().hedge(Hedge::default()).soft_timeout(250 * MS)
}

#[test]
fn nothing_is_lost_where_nothing_is_wrong() {
    for run in runs(&over_endpoints!(both()), "steady") {
        assert!(run.goodput >= 99.99 && run.attempts <= 1.03, "{} {}", run.goodput, run.attempts);
    }
}

#[test]
fn a_slow_network_costs_nothing_as_no_attempt_is_cancelled() {
    let (hedged, soft) = (over_endpoints!(retry().hedge(Hedge::default())), over_endpoints!(both()));
    let stacks: [(&str, &dyn Candidate); 2] = [("hedged", &hedged), ("soft timeout too", &soft)];
    for (what, stack) in stacks {
        let goodput = goodput(stack, "net_latency");
        println!("net_latency, {what}: {goodput:.2}");
        assert!(goodput >= 99.5);
    }
}

#[test]
fn a_soft_timeout_finds_another_endpoint_when_a_zone_is_lost() {
    let (with, without) = (over_one!(retry().soft_timeout(250 * MS), NO_LIMIT), over_one!(retry(), NO_LIMIT));
    let (with, without) = (goodput(&with, "zone_loss"), goodput(&without, "zone_loss"));
    println!("zone_loss: {with:.1} with, {without:.1} without");
    assert!(with >= without + 5.0);
}

#[test]
fn they_do_no_harm_where_there_is_too_much_to_do() {
    for scenario in ["overload2x", "metastable"] {
        for limit in [5, NO_LIMIT] {
            let (with, without) = (over_one!(both(), limit), over_one!(retry(), limit));
            let (with, without) = (goodput(&with, scenario), goodput(&without, scenario));
            println!("{scenario}, {limit} at a time: {with:.1} with, {without:.1} without");
            assert!(with >= without - 2.0);
        }
    }
}

/// Each call that takes 50 ms is hedged, whatever it costs.
fn without_a_budget() -> Hedge {
    Hedge::after(50 * MS).budget(1.0, 1_000_000)
}

#[test]
fn without_a_budget_of_its_own_a_hedge_makes_the_storm() {
    for (scenario, at_least, at_most) in [("stragglers", 99.5, 20.0), ("metastable", 30.0, 1.0)] {
        let with = goodput(&over_one!(retry().hedge(Hedge::after(50 * MS)), NO_LIMIT), scenario);
        let without = goodput(&over_one!(retry().hedge(without_a_budget()), NO_LIMIT), scenario);
        println!("{scenario}: {with:.1} with a budget, {without:.1} without");
        assert!(with >= at_least && without <= at_most);
    }
}

#[test]
fn the_hold_does_in_an_overload_what_the_budget_does_otherwise() {
    for scenario in ["overload2x", "metastable"] {
        let with = goodput(&over_one!(retry().hedge(without_a_budget()), 5), scenario);
        let without = goodput(&over_one!(retry().hedge(without_a_budget().overload_hold(Duration::ZERO)), 5), scenario);
        println!("{scenario}: {with:.1} with a hold, {without:.1} without");
        assert!(with >= 95.0 && without <= 92.5);
    }
}
