//! Fault 17, of a failover client: the extremes that are allowed. They saturate, and no call panics.

use std::time::Duration;

use futures::FutureExt;
use steadfast::{
    backoff::{Backoff, Jitter},
    failover::{
        Affinity, Balance, Endpoint, Failback, Failover, FailoverBuilder, FailoverSettings, SwitchError, TierPolicy,
    },
    timeout::Timeout,
};
use tower::{Layer, ServiceExt};

use crate::support::{Mode, SEC, Upstream};

type Edit = fn(&mut FailoverSettings);

const NANO: Duration = Duration::from_nanos(1);

const EXTREMES: [(&str, Edit); 30] = [
    ("one in a row", |s| s.consecutive_failures = Some(1)),
    ("a row of a billion", |s| s.consecutive_failures = Some(1_000_000_000)),
    ("no row", |s| (s.consecutive_failures, s.connect_failures, s.all_out_failures) = (None, None, None)),
    ("one for all", |s| s.all_out_failures = Some(1)),
    ("rows without end", |s| {
        (s.consecutive_failures, s.connect_failures) = (Some(u32::MAX), Some(u32::MAX));
        s.all_out_failures = Some(u32::MAX);
    }),
    ("ejected for ever", |s| s.ejection = Backoff::fixed(Duration::MAX)),
    ("ejected for nothing", |s| s.ejection = Backoff::fixed(NANO)),
    ("ejected steeply", |s| {
        s.ejection = Backoff::exponential(Duration::MAX).factor(f64::MAX).jitter(Jitter::Around(1.0));
    }),
    ("least share ejected", |s| s.max_ejected = f64::MIN_POSITIVE),
    ("all ejected", |s| s.max_ejected = 1.0),
    ("all out for ever", |s| (s.all_out_failures, s.all_out) = (Some(1), Backoff::fixed(Duration::MAX))),
    ("all out for nothing", |s| (s.all_out_failures, s.all_out) = (Some(1), Backoff::fixed(NANO))),
    ("no hold", |s| s.max_hold = Duration::ZERO),
    ("hold for ever", |s| s.max_hold = Duration::MAX),
    ("one endpoint for each call", |s| s.max_endpoints_per_call = 1),
    ("all endpoints for each call", |s| s.max_endpoints_per_call = u32::MAX),
    ("no time to be ready", |s| s.acquire_timeout = NANO),
    ("time without end to be ready", |s| s.acquire_timeout = Duration::MAX),
    ("no time for a trial", |s| s.trial_timeout = NANO),
    ("time without end for a trial", |s| s.trial_timeout = Duration::MAX),
    ("no penalty", |s| s.penalty = Duration::ZERO),
    ("penalty for ever", |s| s.penalty = Duration::MAX),
    ("no slow start", |s| s.slow_start = Duration::ZERO),
    ("slow start for ever", |s| s.slow_start = Duration::MAX),
    ("back at once", |s| s.failback = Failback::After(Duration::ZERO)),
    ("back in no time that there is", |s| s.failback = Failback::After(Duration::MAX)),
    ("more healthy ones than there are", |s| s.tiers = TierPolicy::Strict { min_healthy: u32::MAX }),
    ("spilling over for ever", |s| s.tiers = TierPolicy::Spillover { overprovision: 1.0 }),
    ("in turn", |s| s.balance = Balance::Weighted),
    ("by affinity", |s| s.balance = Balance::Rendezvous),
];

fn client(endpoints: &[(Upstream, f64, u32)]) -> FailoverBuilder<Upstream> {
    let endpoint = |(i, (upstream, weight, tier)): (usize, &(Upstream, f64, u32))| {
        Endpoint::new(format!("endpoint {i}"), upstream.clone()).weight(*weight).tier(*tier)
    };
    Failover::builder().endpoints(endpoints.iter().enumerate().map(endpoint)).seed(1)
}

// 17
#[tokio::test(start_paused = true)]
async fn a_failover_client_of_extreme_settings_goes_through_all_states_without_a_panic() {
    for (name, edit) in EXTREMES {
        let upstreams = [(0.001, 0), (1000.0, 0), (1.0, u32::MAX)]
            .map(|(weight, tier)| (Upstream::new(Mode::Succeed), weight, tier));
        let builder = client(&upstreams).with(edit).affinity(|(): &()| Some(Affinity::from("all")));
        let (client, handle) = builder.build().expect(name);
        let client = Timeout::builder(10 * SEC).build().unwrap().layer(client);
        let call = || client.clone().oneshot(());
        for mode in [Mode::Succeed, Mode::Fail, Mode::FailFirst(3), Mode::Hang, Mode::Fail] {
            upstreams.iter().for_each(|(upstream, ..)| upstream.set(mode));
            for _ in 0..15 {
                let _ = call().await;
                let _ = futures::poll!(Box::pin(call()));
                tokio::time::advance(SEC / 3).await;
                handle.snapshot();
            }
        }
        handle.drain("endpoint 0").now_or_never().expect("no call is left").unwrap();
        // It may be out.
        let switched = handle.switch_to("endpoint 2");
        assert!(matches!(switched, Ok(()) | Err(SwitchError::Out { .. })), "{switched:?}");
        let _ = call().await;
        handle.undrain("endpoint 0").unwrap();
        handle.fail_back();
        upstreams.iter().for_each(|(upstream, ..)| upstream.set(Mode::Succeed));
        // What takes for ever may still be away; nothing may be ten years later that has an end.
        handle.change(|settings| *settings = FailoverSettings::default()).unwrap();
        tokio::time::advance(10 * 365 * 24 * 3600 * SEC).await;
        let _ = call().await;
        let forever = name.contains("for ever") || name == "ejected steeply";
        assert!(forever || call().await.is_ok(), "{name}: {:#?}", handle.snapshot());
    }
}

// 17
#[tokio::test(start_paused = true)]
async fn a_thousand_endpoints_of_any_weight_are_all_found_by_every_way_to_choose() {
    let weights = [f64::MIN_POSITIVE, 1e-6, 1.0, 1000.0];
    for balance in
        [Balance::PeakEwma, Balance::LeastRequests, Balance::RoundRobin, Balance::Weighted, Balance::Rendezvous]
    {
        let upstreams: Vec<_> =
            (0..1000).map(|i| (Upstream::new(Mode::Succeed), weights[i % 4], i as u32 % 7)).collect();
        let builder = client(&upstreams).with(|settings| {
            (settings.balance, settings.max_endpoints_per_call) = (balance, 3);
        });
        let (client, handle) = builder.affinity(|(): &()| Some(Affinity::from("all"))).build().unwrap();
        for _ in 0..50 {
            client.clone().oneshot(()).await.unwrap();
        }
        // All of the first six tiers fail; calls get to the last one.
        upstreams.iter().filter(|(.., tier)| *tier < 6).for_each(|(upstream, ..)| upstream.set(Mode::Fail));
        for _ in 0..200 {
            let _ = client.clone().oneshot(()).await;
        }
        assert_eq!(handle.snapshot().endpoints.len(), 1000);
        let in_flight = || handle.snapshot().endpoints.iter().map(|endpoint| endpoint.in_flight).sum::<u32>();
        assert_eq!(in_flight(), 0, "{balance:?}");
        // Nor is one counted that is given up.
        upstreams.iter().for_each(|(upstream, ..)| upstream.set(Mode::Hang));
        let mut calls = Box::pin(futures::future::join_all((0..50).map(|_| client.clone().oneshot(()))));
        assert!(futures::poll!(&mut calls).is_pending());
        assert_eq!(in_flight(), 50, "{balance:?}");
        drop(calls);
        assert_eq!(in_flight(), 0, "{balance:?}");
    }
}

// 17
#[test]
fn weights_that_are_none_are_refused_and_both_ends_are_not() {
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1000.1] {
        let built = client(&[(Upstream::new(Mode::Succeed), weight, 0)]).build();
        let expected =
            format!("`failover`: endpoint.weight of `endpoint 0` is {weight:?}; allowed: over 0, at most 1,000");
        assert_eq!(built.map(drop).unwrap_err().to_string(), expected);
    }
    for weight in [f64::MIN_POSITIVE, 1000.0] {
        client(&[(Upstream::new(Mode::Succeed), weight, 0)]).build().unwrap();
    }
}
