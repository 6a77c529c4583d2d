//! Fault 24 of those seen elsewhere: who fails fast looks fast, and gets most of the calls.

use std::time::Duration;

use steadfast::failover::{Balance, EndpointState};

use crate::support::*;

const FAST: Duration = Duration::from_micros(50);

/// One of five fails in 50 µs where the others take 10 ms. Sent to one endpoint only, a call that meets it fails.
async fn errors_after_ejection(balance: Balance) -> (usize, u32) {
    let nodes = nodes(["a", "b", "c", "d", "e"]);
    let (client, handle) = build(over(&nodes).with(|settings| {
        settings.balance = balance;
        settings.max_endpoints_per_call = 1;
    }));
    // All have been called, and are known to be alike.
    assert_eq!(failures(&load(&client, 200).await), 0);
    nodes[0].does(Does::Errs(FAST));
    let mut before = 0;
    while matches!(handle.snapshot().endpoint("a").unwrap().state, EndpointState::In) {
        before += failures(&load(&client, 10).await);
        assert!(before < 20, "{balance:?}: not ejected after so many errors");
    }
    assert!(before >= 5, "{balance:?}: ejected after {before}");
    nodes[0].take();
    // Eight callers, each with its next call after the answer to the last one.
    let callers: Vec<_> = (0..8).map(|_| tokio::spawn(one_after_the_other(client.clone(), 1000))).collect();
    let mut errors = 0;
    for caller in callers {
        errors += caller.await.unwrap();
    }
    (errors, nodes[0].calls())
}

async fn one_after_the_other(client: Client, calls: usize) -> usize {
    let mut errors = 0;
    for _ in 0..calls {
        errors += usize::from(call(&client).await.is_err());
    }
    errors
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_fails_fast_gets_less_than_one_call_in_a_hundred_once_it_is_ejected() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests, Balance::RoundRobin, Balance::Weighted] {
        let (errors, sent) = errors_after_ejection(balance).await;
        assert!((1..80).contains(&errors), "{balance:?}: {errors} of 8000");
        assert_eq!(sent as usize, errors, "{balance:?}: only trials are sent there");
    }
}

/// What keeps calls away before that: a failure counts as slow, not as fast.
#[tokio::test(start_paused = true)]
async fn without_ejection_it_gets_no_more_than_its_share() {
    let nodes = nodes(["a", "b", "c", "d", "e"]);
    let (client, _) = build(over(&nodes).with(|settings| {
        settings.max_endpoints_per_call = 1;
        (settings.consecutive_failures, settings.all_out_failures) = (None, None);
    }));
    nodes[0].does(Does::Errs(FAST));
    let callers: Vec<_> = (0..8).map(|_| tokio::spawn(one_after_the_other(client.clone(), 1000))).collect();
    let mut errors = 0;
    for caller in callers {
        errors += caller.await.unwrap();
    }
    assert!(errors < 400, "{errors} of 8000");
}
