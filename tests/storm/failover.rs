//! The failover client in storms: what it comes to, and what each of its mechanisms is worth.

use std::{sync::Arc, time::Duration};

use steadfast::{
    Classify, Error,
    adaptive_limit::AdaptiveLimit,
    backoff::Backoff,
    failover::{Balance, Endpoint, Failover, FailoverSettings},
    hedge::Hedge,
    retry::{Budget, Retry},
    storm::{Candidate, Failure, Report, Request, Response, Scenario, Stack, StormClassify, Upstream},
    timeout::Timeout,
};
use tower::{Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);

pub(crate) type Edit = fn(&mut FailoverSettings);

/// The backends one by one, behind a failover client.
pub(crate) fn endpoints(
    upstream: &Upstream,
    budget: Option<Arc<Budget>>,
    edit: Edit,
) -> impl Service<Request, Response = Response, Error = Error<Failure>, Future: Send> + Clone + Send + Sync + use<> {
    let endpoints = upstream.endpoints().into_iter().enumerate();
    let wrapped = |one: Upstream| one.map_err(Error::Inner as fn(Failure) -> Error<Failure>);
    let endpoints = endpoints.map(|(number, one)| Endpoint::new(format!("backend {number}"), wrapped(one)));
    let builder = Failover::builder().endpoints(endpoints).classify(StormClassify).with(edit);
    let builder = if budget.is_some() { builder.budget(budget) } else { builder };
    builder.build().unwrap().0
}

/// A deadline and the failover client, and nothing else.
fn alone(edit: Edit) -> impl Candidate {
    Stack::new("alone", move |upstream: Upstream| {
        let deadline = Timeout::builder(upstream.deadline()).build().unwrap();
        ServiceBuilder::new().layer(deadline).service(endpoints(&upstream, None, edit))
    })
}

/// Below deadline, retry, hedge and limit; with a soft timeout of half of the deadline or without one.
fn stack(soft: bool, edit: Edit) -> impl Candidate {
    Stack::new("stack", move |upstream: Upstream| {
        let (deadline, budget) = (upstream.deadline(), Arc::new(Budget::refund()));
        let hedge = if soft { Hedge::default().soft_timeout(deadline / 2) } else { Hedge::default() };
        let retry = Retry::builder().classify(StormClassify).budget(Arc::clone(&budget)).hedge(hedge);
        ServiceBuilder::new()
            .layer(Timeout::builder(deadline).build().unwrap())
            .layer(retry.build().unwrap())
            .layer(AdaptiveLimit::builder(deadline).classify(StormClassify).build().unwrap())
            .service(endpoints(&upstream, Some(budget), edit))
    })
}

const DEFAULT: Edit = |_| {};

/// The mean of three seeds.
fn mean(stack: &dyn Candidate, scenario: &str, figure: impl Fn(&Report) -> f64) -> f64 {
    let scenario = Scenario::named(scenario).unwrap();
    (0..3).map(|seed| figure(&stack.run(&scenario, seed).unwrap())).sum::<f64>() / 3.0
}

/// Goodput of the client alone, with a mechanism and without it.
fn falls(scenario: &str, with: Edit, without: Edit, at_least: f64, at_most: f64) {
    let [with, without] = [with, without].map(|edit| mean(&alone(edit), scenario, |run| run.goodput));
    println!("{scenario}: {with:.1} with, {without:.1} without");
    assert!(with >= at_least, "{scenario}: {with:.2}, of at least {at_least}");
    assert!(without <= at_most, "{scenario}: {without:.2} without it, of at most {at_most}");
}

fn no_ejection(settings: &mut FailoverSettings) {
    settings.consecutive_failures = None;
    settings.connect_failures = None;
    settings.all_out_failures = None;
}

#[test]
fn ejection_of_endpoints_that_do_not_answer() {
    falls("zone_loss", DEFAULT, no_ejection, 98.0, 96.0);
    let [with, without] = [DEFAULT, no_ejection].map(|edit| mean(&alone(edit), "failover", |run| run.attempts));
    assert!(with <= 1.05 && without >= 1.15, "{with:.2} and {without:.2} attempts");
}

#[test]
fn moving_on_to_another_endpoint() {
    falls("brownout", DEFAULT, |settings| settings.max_endpoints_per_call = 1, 97.0, 92.0);
    falls("zone_refuse", DEFAULT, |settings| settings.max_endpoints_per_call = 1, 99.5, 98.5);
}

#[test]
fn calls_that_are_held_while_all_are_out() {
    falls("bursts", DEFAULT, |settings| settings.max_hold = Duration::ZERO, 96.0, 93.0);
    falls("outage_hang", DEFAULT, |settings| settings.max_hold = Duration::ZERO, 97.5, 96.6);
}

#[test]
fn probes_paced_under_a_second_while_all_are_out() {
    let slow: Edit = |settings| {
        // Not a divisor of how long the outage lasts.
        settings.all_out = Backoff::fixed(13 * SECOND);
        settings.ejection = Backoff::fixed(13 * SECOND);
    };
    falls("bursts", DEFAULT, slow, 96.0, 60.0);
    falls("outage_refuse", DEFAULT, slow, 97.5, 80.0);
}

#[test]
fn a_failure_that_does_not_look_fast() {
    let no_penalty: Edit = |settings| {
        no_ejection(settings);
        settings.penalty = Duration::ZERO;
    };
    falls("zone_refuse", no_ejection, no_penalty, 99.0, 90.0);
}

#[test]
fn a_balance_that_sees_who_is_slow() {
    let in_turn: Edit = |settings| settings.balance = Balance::RoundRobin;
    let [with, without] = [DEFAULT, in_turn].map(|edit| mean(&stack(false, edit), "gray", |run| run.attempts));
    println!("gray: {with:.3} attempts, {without:.3} in turn");
    assert!(with <= 1.06 && without >= 1.1, "{with:.3} and {without:.3} attempts");
    falls("gray", DEFAULT, in_turn, 99.2, 99.0);
}

#[test]
fn what_is_wrong_with_some_endpoints_is_hardly_noticed() {
    for scenario in ["gray", "zone_loss", "zone_refuse", "flap"] {
        let stack = stack(true, DEFAULT);
        let (goodput, attempts) =
            (mean(&stack, scenario, |run| run.goodput), mean(&stack, scenario, |run| run.attempts));
        println!("{scenario}: {goodput:.2}, {attempts:.3} attempts");
        assert!(goodput >= 99.5 && attempts <= 1.06, "{scenario}: {goodput:.2}, {attempts:.3} attempts");
    }
}

#[test]
fn a_standby_that_is_promoted_is_found_at_once() {
    let failover = Scenario::named("failover").unwrap();
    for seed in 0..3 {
        let report = stack(false, DEFAULT).run(&failover, seed).unwrap();
        let (goodput, recovery) = (report.goodput, report.recovery.unwrap());
        // An ejected one is found 0.7 s later.
        assert!(goodput >= 96.5 && recovery <= SECOND / 2, "{goodput:.2}, {recovery:?}");
    }
    assert!(mean(&stack(false, DEFAULT), "failover", |run| run.goodput) >= 97.0);
}

#[test]
fn what_is_wrong_with_all_of_them_is_survived() {
    let figures = [
        ("outage_refuse", 97.0),
        ("outage_hang", 96.0),
        ("bursts", 94.0),
        ("metastable", 94.0),
        ("cold_cache", 93.0),
        ("overload2x", 95.5),
    ];
    for (scenario, least) in figures {
        let goodput = mean(&stack(false, DEFAULT), scenario, |run| run.goodput);
        println!("{scenario}: {goodput:.1}");
        assert!(goodput >= least, "{scenario}: {goodput:.1}");
    }
}

#[test]
fn nothing_is_lost_where_nothing_is_wrong() {
    let steady = Scenario::named("steady").unwrap();
    for seed in 0..3 {
        let report = stack(true, DEFAULT).run(&steady, seed).unwrap();
        let figures = (report.goodput, report.attempts, report.false_rejects);
        assert!(report.goodput >= 99.99 && report.attempts <= 1.03 && report.false_rejects == 0.0, "{figures:?}");
    }
}

/// A service that is overloaded for a while has calls that take as long as there is time. Who asks them all must find out
/// all the same when it is well again: here all calls have 60 ms.
#[test]
fn with_short_deadlines_an_outage_ends_too() {
    let outage = Scenario::from_toml(
        r#"
        world = { deadline = "60ms", network = "12ms", clients = 1, load = { rate = 400 }, backends = [
            { count = 3, workers = 3, queue = 700, service = { mean = "5ms", sigma = 0.9 } }] }
        faults = [{ kind = "refuse", at = "3s", lasts = "3s" }]
        "#,
    );
    let outage = outage.unwrap();
    for seed in 0..3 {
        let goodput = stack(false, DEFAULT).run(&outage, seed).unwrap().goodput;
        assert!(goodput >= 97.5, "seed {seed}: {goodput:.1}");
    }
}

#[test]
fn what_simulated_failures_mean() {
    let error = |failure| Error::Inner(failure);
    assert!(StormClassify.wrong_role(Err(&error(Failure::NotPrimary))));
    assert!(!StormClassify.wrong_role(Err(&error(Failure::Refused))));
    assert!(!StormClassify.in_doubt(&error(Failure::Failed)));
    assert!(StormClassify.reached_service(&error(Failure::Failed)));
    assert!(!StormClassify.reached_service(&error(Failure::NotPrimary)));
}
