//! What shedding load at the servers saves, with clients that try three times without a wait and without a budget; and what
//! each part of it is for.

use std::{sync::Arc, time::Duration};

use steadfast::{
    Error,
    backoff::Backoff,
    context::{self, CallContext},
    retry::{Budget, Retry},
    shed::{Shed, ShedBuilder},
    storm::{Candidate, Handler, Report, Request, Response, Scenario, Stack, StormClassify, Upstream, Work},
    timeout::Timeout,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3600);

/// A client's service.
trait Serves: Service<Request, Response = Response, Error: Send, Future: Send> + Clone + Send + 'static {}

impl<S> Serves for S where S: Service<Request, Response = Response, Error: Send, Future: Send> + Clone + Send + 'static {}

/// Three attempts at once, each cut at a third of the deadline, or all of them at the deadline.
#[derive(Clone, Copy)]
enum Clients {
    Cut,
    Whole,
    /// One attempt.
    Once,
}

fn client(clients: Clients, upstream: Upstream) -> impl Serves {
    let deadline = upstream.deadline();
    let (cut, attempts) = match clients {
        Clients::Cut => (deadline / 3, 3),
        Clients::Whole => (deadline, 3),
        Clients::Once => (deadline, 1),
    };
    let timeout = |limit| Timeout::builder(limit).build().unwrap();
    let retry = Retry::builder().classify(StormClassify).max_attempts(attempts).backoff(Backoff::none());
    let retry = retry.budget(None::<Arc<Budget>>).build().unwrap();
    let layers = ServiceBuilder::new().layer(timeout(deadline)).layer(retry).layer(timeout(cut));
    layers.map_err(Error::Inner).service(upstream)
}

fn stack(clients: Clients, set: fn(ShedBuilder) -> ShedBuilder, expires: bool) -> impl Candidate {
    let client = move |upstream: Upstream| client(clients, upstream);
    Stack::new("shed", client).server(move |handler: Handler| {
        let shed = set(Shed::builder(handler.workers() as u32)).build().unwrap().layer(handler);
        service_fn(move |work: Work| {
            let now = context::current();
            let without = CallContext::default().with_repeated(now.is_repeated());
            context::scope(if expires { now } else { without }, shed.clone().oneshot(work))
        })
    })
}

fn reports(stack: &dyn Candidate, scenario: &str) -> Vec<Report> {
    let scenario = Scenario::named(scenario).unwrap();
    (0..3).map(|seed| stack.run(&scenario, seed).unwrap()).collect()
}

/// The mean of three seeds.
fn goodput(stack: &dyn Candidate, scenario: &str) -> f64 {
    let goodput = reports(stack, scenario).iter().map(|report| report.goodput).sum::<f64>() / 3.0;
    println!("{scenario}: {goodput:.1}");
    goodput
}

const fn as_it_is(builder: ShedBuilder) -> ShedBuilder {
    builder
}

#[test]
fn clients_that_retry_without_a_budget_get_96_of_what_can_be_reached() {
    for clients in [Clients::Cut, Clients::Whole] {
        for scenario in ["overload2x", "metastable", "cold_cache"] {
            let reached = goodput(&stack(clients, as_it_is, true), scenario);
            assert!(reached >= 96.0, "{scenario}: {reached:.2}");
        }
    }
}

#[test]
fn under_twice_the_load_half_of_the_answers_take_30_ms_and_99_of_100_take_150() {
    for report in reports(&stack(Clients::Once, as_it_is, true), "overload2x") {
        println!("{:?} {:?}", report.p50, report.p99);
        assert!(report.p50.unwrap() <= Duration::from_millis(30), "{:?}", report.p50);
        assert!(report.p99.unwrap() <= Duration::from_millis(150), "{:?}", report.p99);
    }
}

fn mean_p50(stack: &dyn Candidate, scenario: &str) -> Duration {
    let all = reports(stack, scenario);
    let p50 = all.iter().map(|report| report.p50.expect("some are answered")).sum::<Duration>() / 3;
    println!("{scenario}: p50 {p50:?}");
    p50
}

/// Calls wait for as long as they like, which is CoDel switched off.
fn patient(builder: ShedBuilder) -> ShedBuilder {
    builder.target(HOUR).interval(HOUR)
}

#[test]
fn without_codel_answers_are_as_late_as_deadlines_allow() {
    let (with, without) = (stack(Clients::Whole, as_it_is, true), stack(Clients::Whole, patient, true));
    assert!(mean_p50(&with, "overload2x") <= Duration::from_millis(30));
    assert!(mean_p50(&without, "overload2x") >= Duration::from_millis(500));
    let (with, without) = (stack(Clients::Cut, as_it_is, true), stack(Clients::Cut, patient, true));
    for scenario in ["overload2x", "cold_cache"] {
        let (with, without) = (goodput(&with, scenario), goodput(&without, scenario));
        assert!(without + 2.0 <= with, "{scenario}: {with:.2}, and {without:.2} without");
    }
}

#[test]
fn without_lifo_all_wait_for_as_long_as_they_may() {
    let (with, without) =
        (stack(Clients::Once, as_it_is, true), stack(Clients::Once, |builder| builder.adaptive_lifo(false), true));
    let (with, without) = (mean_p50(&with, "overload2x"), mean_p50(&without, "overload2x"));
    assert!(with + Duration::from_millis(4) <= without, "{with:?}, and {without:?} without");
}

#[test]
fn without_dropping_what_has_expired_work_is_done_that_nobody_waits_for() {
    let (with, without) = (stack(Clients::Cut, patient, true), stack(Clients::Cut, patient, false));
    for (scenario, at_least, at_most) in [("overload2x", 92.0, 40.0), ("metastable", 92.0, 5.0)] {
        let (with, without) = (goodput(&with, scenario), goodput(&without, scenario));
        assert!(with >= at_least && without <= at_most, "{scenario}: {with:.2}, and {without:.2} without");
    }
    // With CoDel it is the second line: nobody waits for that long.
    let (with, without) = (stack(Clients::Cut, as_it_is, true), stack(Clients::Cut, as_it_is, false));
    let (with, without) = (goodput(&with, "cold_cache"), goodput(&without, "cold_cache"));
    assert!(without <= with, "{with:.2}, and {without:.2} without");
}

#[test]
fn without_shedding_those_clients_get_nothing() {
    let plain = Stack::new("naive", |upstream: Upstream| client(Clients::Cut, upstream));
    for scenario in ["overload2x", "metastable", "cold_cache"] {
        let reached = goodput(&plain, scenario);
        assert!(reached <= 5.0, "{scenario}: {reached:.2}");
    }
}
