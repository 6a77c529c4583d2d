//! Endpoints that never fail often in a row, and yet more often than the others.

use steadfast::failover::{Balance, Cause, EndpointState, FailoverEvent, FailurePercentage, SuccessRate};
use steadfast::telemetry::Received;

use crate::support::*;

/// One of five fails every other call.
async fn one_of_five(
    with: impl FnOnce(&mut steadfast::failover::FailoverSettings),
) -> (Vec<FailoverEvent>, EndpointState) {
    let five = nodes(["a", "b", "c", "d", "e"]);
    let (client, handle) = build(over(&five).with(|settings| settings.balance = Balance::RoundRobin).with(with));
    let mut told = handle.subscribe();
    for round in 0..1100 {
        five[0].does(if round % 2 == 0 { Does::Errs(MS) } else { Does::Answers(MS) });
        for _ in 0..5 {
            let _ = call(&client).await;
        }
        tokio::time::sleep(10 * MS).await;
    }
    let mut events = Vec::new();
    while let Some(Received::Event(event)) = told.try_recv() {
        events.push(event);
    }
    (events, handle.snapshot().endpoint("a").unwrap().state.clone())
}

fn causes(events: &[FailoverEvent]) -> Vec<(String, Cause)> {
    let cause = |event: &FailoverEvent| match event {
        FailoverEvent::EndpointEjected { key, cause, .. } => Some((key.to_string(), *cause)),
        _ => None,
    };
    events.iter().filter_map(cause).collect()
}

#[tokio::test(start_paused = true)]
async fn by_default_only_failures_in_a_row_count() {
    let (events, state) = one_of_five(|_| ()).await;
    assert_eq!((causes(&events), state), (vec![], EndpointState::In));
}

#[tokio::test(start_paused = true)]
async fn one_that_succeeds_less_often_than_the_others_is_ejected() {
    let (events, _) = one_of_five(|settings| settings.outliers.success_rate = Some(SuccessRate::default())).await;
    let causes = causes(&events);
    assert!(matches!(&causes[0], (_, Cause::SuccessRate(rate, _)) if (0.3..0.7).contains(rate)), "{causes:?}");
    assert!(causes.iter().all(|(key, _)| key == "a"), "{causes:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_more_often_than_it_may_is_ejected() {
    let limit = FailurePercentage::default().threshold(0.2);
    let (events, _) = one_of_five(|settings| settings.outliers.failure_percentage = Some(limit)).await;
    let causes = causes(&events);
    assert!(matches!(&causes[0], (_, Cause::FailurePercentage(share)) if (0.3..0.7).contains(share)), "{causes:?}");
    assert!(causes.iter().all(|(key, _)| key == "a"), "{causes:?}");
}
