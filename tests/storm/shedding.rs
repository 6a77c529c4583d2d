//! What shedding load at the servers saves, with clients that try three times without a wait and without a budget; and what
//! each part of it is for.

use std::time::Duration;

use std::sync::Arc;
use steadfast::{
    Error,
    backoff::Backoff,
    context::{self, CallContext},
    retry::{Budget, Retry},
    shed::{Shed, ShedBuilder},
    storm::{Candidate, Handler, Report, Scenario, Stack, StormClassify, Upstream, Work},
    timeout::Timeout,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

const HOUR: Duration = Duration::from_secs(3600);

/// Three attempts at once, each cut at a third of the deadline, or all of them at the deadline.
#[derive(Clone, Copy)]
enum Clients {
    Cut,
    Whole,
    /// One attempt.
    Once,
}

fn stack(clients: Clients, set: fn(ShedBuilder) -> ShedBuilder, expires: bool) -> impl Candidate {
    let client = move |upstream: Upstream| {
        let deadline = upstream.deadline();
        let (whole, cut, attempts) = match clients {
            Clients::Cut => (deadline, deadline / 3, 3),
            Clients::Whole => (deadline, deadline, 3),
            Clients::Once => (deadline, deadline, 1),
        };
        let timeout = |limit| Timeout::builder(limit).build().unwrap();
        let retry = Retry::builder().classify(StormClassify).max_attempts(attempts).backoff(Backoff::none());
        let layers =
            ServiceBuilder::new().layer(timeout(whole)).layer(retry.budget(None::<Arc<Budget>>).build().unwrap());
        layers.layer(timeout(cut)).map_err(Error::Inner).service(upstream)
    };
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

#[test]
fn without_codel_calls_wait_until_there_is_too_little_time_left() {
    let patient = |builder: ShedBuilder| builder.target(HOUR).interval(HOUR);
    for (scenario, at_most) in [("overload2x", 60.0), ("metastable", 60.0)] {
        let reached = goodput(&stack(Clients::Cut, patient, false), scenario);
        assert!(reached <= at_most, "{scenario}: {reached:.2}");
    }
}
