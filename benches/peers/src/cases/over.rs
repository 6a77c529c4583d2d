//! A call over several endpoints, and what one of them reports.

use std::time::Duration;

use steadfast::failover::{
    Balance, Endpoint, Failover, FailoverHandle, Need,
    probe::{Heartbeats, Report, Role},
};
use tower::{
    balance::p2c,
    discover::ServiceList,
    load::{CompleteOnResponse, PeakEwma, PendingRequests},
};

use super::{
    loop_over,
    subjects::{Inner, Refusing},
};

/// In the order of the report.
pub(super) const NAMES: &[&str] = &[
    "failover over 3, ready at once",
    "failover over 3, pending once",
    "failover over 3, round robin, ready at once",
    "failover over 3, round robin, pending once",
    "failover over 1000, ready at once",
    "failover over 1000, pending once",
    "failover over 1000, round robin, ready at once",
    "failover over 2, moved on after a refusal",
    "tower balance (PeakEwma) over 3, ready at once",
    "tower balance (PeakEwma) over 3, pending once",
    "tower balance (PeakEwma) over 1000, ready at once",
    "tower balance (PeakEwma) over 1000, pending once",
    "tower balance (PendingRequests) over 3, ready at once",
    "tower balance (PendingRequests) over 3, pending once",
    "failover over 1000, a heartbeat",
    "failover over 1000 by role, a heartbeat",
];

pub(super) async fn dispatch(case: &str, calls: u64, allocations: &impl Fn() -> u64) -> (u64, u64) {
    let ready = Inner { pending: false };
    let pending = Inner { pending: true };
    let failover = |endpoints: usize, balance, inner: &Inner| {
        let endpoints = (0..endpoints).map(|i| Endpoint::new(format!("endpoint {i}"), inner.clone()));
        let builder = Failover::builder().endpoints(endpoints).with(|settings| settings.balance = balance).seed(1);
        builder.build().expect("settings").0
    };
    let ewma = |endpoints: usize, inner: &Inner| {
        let (rtt, decay) = (Duration::from_millis(30), 1e10);
        let service = |_| PeakEwma::new(inner.clone(), rtt, decay, CompleteOnResponse::default());
        p2c::Balance::<_, u64>::new(ServiceList::new::<u64>((0..endpoints).map(service).collect::<Vec<_>>()))
    };
    let pending_requests = |endpoints: usize, inner: &Inner| {
        let service = |_| PendingRequests::new(inner.clone(), CompleteOnResponse::default());
        p2c::Balance::<_, u64>::new(ServiceList::new::<u64>((0..endpoints).map(service).collect::<Vec<_>>()))
    };
    macro_rules! measure {
        ($service:expr) => {
            loop_over($service, calls, allocations).await
        };
    }
    match case {
        "failover over 3, ready at once" => measure!(failover(3, Balance::PeakEwma, &ready)),
        "failover over 3, pending once" => measure!(failover(3, Balance::PeakEwma, &pending)),
        "failover over 3, round robin, ready at once" => measure!(failover(3, Balance::RoundRobin, &ready)),
        "failover over 3, round robin, pending once" => measure!(failover(3, Balance::RoundRobin, &pending)),
        "failover over 1000, ready at once" => measure!(failover(1000, Balance::PeakEwma, &ready)),
        "failover over 1000, pending once" => measure!(failover(1000, Balance::PeakEwma, &pending)),
        "failover over 1000, round robin, ready at once" => measure!(failover(1000, Balance::RoundRobin, &ready)),
        "failover over 2, moved on after a refusal" => {
            let endpoints = [Endpoint::new("full", Refusing(true)), Endpoint::new("spare", Refusing(false)).tier(1)];
            measure!(Failover::builder().endpoints(endpoints).seed(1).build().expect("settings").0)
        }
        "tower balance (PeakEwma) over 3, ready at once" => measure!(ewma(3, &ready)),
        "tower balance (PeakEwma) over 3, pending once" => measure!(ewma(3, &pending)),
        "tower balance (PeakEwma) over 1000, ready at once" => measure!(ewma(1000, &ready)),
        "tower balance (PeakEwma) over 1000, pending once" => measure!(ewma(1000, &pending)),
        "tower balance (PendingRequests) over 3, ready at once" => measure!(pending_requests(3, &ready)),
        "tower balance (PendingRequests) over 3, pending once" => measure!(pending_requests(3, &pending)),
        "failover over 1000, a heartbeat" => heartbeats(false, calls, allocations).await,
        "failover over 1000 by role, a heartbeat" => heartbeats(true, calls, allocations).await,
        other => panic!("no such case: {other}"),
    }
}

/// What it takes to hear from one of 1,000 endpoints that all is as it was: what a probe that passes takes, too.
async fn heartbeats(by_role: bool, reports: u64, allocations: &impl Fn() -> u64) -> (u64, u64) {
    const ENDPOINTS: u64 = 1000;
    let key = |i: u64| format!("endpoint {}", i % ENDPOINTS);
    let heartbeats = Heartbeats::new();
    let endpoints = (0..ENDPOINTS).map(|i| Endpoint::new(key(i), Inner { pending: false }));
    let builder = Failover::builder().endpoints(endpoints).heartbeats(&heartbeats).seed(1);
    // Nobody is silent for too long while this is measured.
    let builder = builder.with(|settings| settings.check.every = Duration::from_secs(3600));
    let report = |i: u64| match by_role {
        false => Report::new(),
        true if i.is_multiple_of(ENDPOINTS) => Report::new().role(Role::Primary).epoch(1),
        true => Report::new().role(Role::Replica).epoch(1).lag(Duration::ZERO),
    };
    let keys: Vec<String> = (0..ENDPOINTS).map(key).collect();
    let hear = async |i: u64| {
        heartbeats.beat(keys[(i % ENDPOINTS) as usize].clone(), report(i));
        tokio::task::yield_now().await;
    };
    let all_in = |snapshot: steadfast::failover::Snapshot| snapshot.endpoints.iter().all(|one| one.state.is_in());
    // The task begins with the first call.
    macro_rules! measure {
        ($built:expr) => {{
            let (mut client, handle): (_, FailoverHandle<Inner>) = $built;
            super::call(&mut client).await;
            for i in 0..ENDPOINTS {
                hear(i).await;
            }
            assert!(all_in(handle.snapshot()), "all have reported");
            let before = allocations();
            for i in 0..reports {
                hear(i).await;
            }
            (allocations() - before, reports)
        }};
    }
    match by_role {
        false => measure!(builder.build().expect("settings")),
        true => measure!(
            builder.need(|_: &u64| Need::ReplicaPreferred { max_lag: Duration::ZERO }).build().expect("settings")
        ),
    }
}
