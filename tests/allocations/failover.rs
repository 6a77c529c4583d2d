//! Calls through a failover client.

use std::time::Duration;

use steadfast::{
    Error, Rejected, RejectedKind,
    failover::{Affinity, Balance, Endpoint, Failover, FailoverBuilder},
    retry::{CloneRequest, only_unsent_unless},
};
use tower::{Layer, Service, ServiceExt};

use crate::{
    CALLS, Typed, assert_allocates, counted, held_by,
    inner::Inner,
    layers::{hedged, name, retry},
};

const ALL: [Balance; 5] =
    [Balance::PeakEwma, Balance::LeastRequests, Balance::RoundRobin, Balance::Weighted, Balance::Rendezvous];

fn over(endpoints: impl IntoIterator<Item = Inner<Typed>>) -> FailoverBuilder<Inner<Typed>> {
    let endpoints = endpoints.into_iter().zip(0..);
    let endpoints = endpoints.map(|(inner, i)| Endpoint::new(name(&i.to_string()), inner).weight(1.0 + f64::from(i)));
    Failover::builder().name(name("failover")).endpoints(endpoints).seed(1)
}

#[tokio::test(start_paused = true)]
async fn a_call_to_any_of_several_endpoints_allocates_nothing() {
    for balance in ALL {
        for (pending, unready) in [(false, false), (true, false), (true, true)] {
            let inner = || Inner { unready, ..Inner::new(pending) };
            let builder = over([inner(), inner(), inner()]).with(|settings| settings.balance = balance);
            let (client, handle) = builder.affinity(|id: &u32| Some(Affinity::from(u64::from(*id)))).build().unwrap();
            let mut events = handle.subscribe();
            let what = format!("{balance:?}, pending {pending}, unready {unready}");
            assert_allocates(0, &what, &client, |outcome| matches!(outcome, Ok(7))).await;
            let below = (retry(), hedged(false)).layer(client);
            assert_allocates(0, &what, &below, |outcome| matches!(outcome, Ok(7))).await;
            assert!(events.try_recv().is_none());
        }
    }
}

/// The first endpoint refuses, as a full bulkhead around it would, and the second answers.
#[tokio::test(start_paused = true)]
async fn nor_does_one_that_moves_on_to_another_endpoint() {
    let full = || Error::Rejected(Rejected::new(RejectedKind::BulkheadFull, "full"));
    for pending in [false, true] {
        // It fails every second call of each clone: the first.
        let flaky = Endpoint::new("full", Inner { flaky: Some(full), ..Inner::<Typed>::new(pending) });
        let spare = Endpoint::new("spare", Inner::new(pending)).tier(1);
        let (client, handle) = Failover::builder().endpoints([flaky, spare]).seed(1).build().unwrap();
        assert_allocates(0, "moved on", &client, |outcome| matches!(outcome, Ok(7))).await;
        let snapshot = handle.snapshot();
        let calls = ["full", "spare"].map(|key| snapshot.endpoint(key).unwrap().calls);
        assert_eq!(calls, [4 * CALLS; 2]);
    }
}

/// What a call is told that finds none: why each is out, which is a snapshot. Its parts are made then and not before.
#[tokio::test(start_paused = true)]
async fn a_refusal_allocates_its_reasons() {
    let (client, handle) = over([Inner::new(false), Inner::new(false), Inner::new(false)]).build().unwrap();
    for endpoint in handle.snapshot().endpoints {
        handle.drain(endpoint.meta.key()).await.unwrap();
    }
    let refused = |outcome: &Result<u32, Typed>| {
        let rejected = outcome.as_ref().err().and_then(steadfast::LayerError::as_rejected);
        rejected.is_some_and(|rejected| rejected.kind() == RejectedKind::NoEndpoint)
    };
    // The list of endpoints, and the snapshot with it; names are shared.
    assert_allocates(2, "refused", &client, refused).await;
}

/// No call is answered, and none must be sent twice. Its endpoint is not ejected, which would allocate a view.
#[tokio::test(start_paused = true)]
async fn a_call_in_doubt_names_its_endpoint_and_allocates_nothing() {
    let lost = || Error::Inner(crate::Foreign);
    let endpoint = Inner { flaky: Some(lost), ..Inner::<Typed>::new(false) };
    let builder = over([endpoint]).replay(only_unsent_unless(CloneRequest, |_: &u32| false));
    let (client, _) = builder
        .with(|settings| (settings.consecutive_failures, settings.all_out_failures) = (None, None))
        .build()
        .unwrap();
    let in_doubt = |outcome: &Result<u32, Typed>| {
        let rejected = outcome.as_ref().err().and_then(steadfast::LayerError::as_rejected);
        rejected
            .map_or(matches!(outcome, Ok(7)), |rejected| rejected.sent_to().is_some_and(|key| *key == "0 of the shop"))
    };
    let outcome = client.clone().oneshot(7).await;
    assert!(outcome.is_err() && in_doubt(&outcome), "{outcome:?}");
    assert_allocates(0, "in doubt", &client, in_doubt).await;
}

/// All are out, one call tries an endpoint, and others wait for what it comes to.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_held_allocates_nothing_while_it_waits() {
    let fails = || Error::Inner(crate::Foreign);
    let endpoint = Inner { flaky: Some(fails), ..Inner::<Typed>::new(true) };
    let builder = over([endpoint.clone(), endpoint]).with(|settings| settings.all_out_failures = Some(2));
    let (client, handle) = builder.build().unwrap();
    while handle.snapshot().all_out.is_none() {
        client.clone().oneshot(7).await.unwrap_err();
    }
    let mut spent = 0;
    for call in 0..2 * CALLS {
        let (still_held, by_call) = counted(async {
            let mut held = std::pin::pin!(client.clone().oneshot(7));
            let polls = [futures::poll!(&mut held), futures::poll!(&mut held)];
            polls.iter().all(std::task::Poll::is_pending)
        })
        .await;
        assert!(still_held && handle.snapshot().all_out.is_some());
        spent += if call < CALLS { 0 } else { by_call };
    }
    assert_eq!(spent, 0);
    tokio::time::advance(Duration::from_secs(1)).await;
}

#[tokio::test]
async fn an_endpoint_and_a_call_take_little_memory() {
    let client = |endpoints| held_by(|| over((0..endpoints).map(|_| Inner::new(false))).build().unwrap());
    let [(few, bytes_of_few), (_many, bytes_of_many)] = [400, 900].map(client);
    let endpoint = (bytes_of_many - bytes_of_few) / 500;
    let call = size_of_val(&few.0.clone().call(7));
    println!("{endpoint} bytes an endpoint, {call} bytes a call");
    assert!(endpoint <= 1_280 && call <= 448, "{endpoint} bytes an endpoint, {call} bytes a call");
}
