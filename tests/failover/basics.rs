//! One endpoint fails, another takes over, and it comes back.

use std::time::Duration;

use steadfast::{
    RejectedKind,
    backoff::Backoff,
    failover::{Cold, Endpoint, EndpointState, Failback, SwitchError},
    retry::CloneRequest,
    retry::only_unsent_unless,
    telemetry::Name,
    timeout::Timeout,
};
use tower::{ServiceBuilder, ServiceExt};

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_is_left_after_two_calls_and_none_of_them_fails() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(over(&[a.clone(), b.clone()]));
    a.does(Does::Refuses);
    assert_eq!(failures(&load(&client, 20).await), 0);
    assert!(a.take() <= 2);
    assert_eq!(b.take(), 20);
    // One call in a second or less tries it.
    assert_eq!(failures(&load(&client, 1000).await), 0);
    assert!((8..16).contains(&a.calls()), "{}", a.calls());
    assert!(!handle.snapshot().endpoint("a").unwrap().state.is_in());
    a.does(Does::Answers(10 * MS));
    load(&client, 1500).await;
    a.take();
    load(&client, 100).await;
    assert!(a.calls() > 30, "{}", a.calls());
}

#[tokio::test(start_paused = true)]
async fn a_standby_is_called_when_the_primary_is_gone_and_left_after_a_hold() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(tiers(&[a.clone(), b.clone()]));
    load(&client, 10).await;
    assert_eq!((a.take(), b.take()), (10, 0));
    a.does(Does::Errs(10 * MS));
    assert_eq!(failures(&load(&client, 100).await), 0);
    assert_eq!(handle.snapshot().tier, Some(1));
    a.does(Does::Answers(10 * MS));
    load(&client, 200).await;
    assert_eq!(handle.snapshot().tier, Some(1), "in hold");
    assert!(matches!(handle.snapshot().endpoint("a").unwrap().state, EndpointState::Held { .. }));
    load(&client, 3300).await;
    assert_eq!(handle.snapshot().tier, Some(0));
    b.take();
    load(&client, 100).await;
    assert_eq!(b.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn with_all_out_calls_are_held_and_the_first_answer_frees_them() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(over(&[a.clone(), b.clone()]));
    let client = ServiceBuilder::new().layer(Timeout::builder(Duration::from_secs(1)).build().unwrap()).service(client);
    [&a, &b].into_iter().for_each(|node| node.does(Does::Refuses));
    for _ in 0..4 {
        let _ = client.clone().oneshot(1).await;
    }
    assert!(handle.snapshot().all_out.is_some(), "{:?}", handle.snapshot());
    let held = tokio::spawn(client.clone().oneshot(1));
    tokio::time::sleep(500 * MS).await;
    assert!(!held.is_finished());
    a.does(Does::Answers(10 * MS));
    assert_eq!(held.await.unwrap().unwrap(), "a");
    assert_eq!(handle.snapshot().all_out, None);
}

#[tokio::test(start_paused = true)]
async fn with_all_out_for_longer_calls_are_refused_with_the_reason_of_each() {
    let [a, b] = nodes(["a", "b"]);
    let (client, _) = build(over(&[a.clone(), b.clone()]).name("orders"));
    [&a, &b].into_iter().for_each(|node| node.does(Does::Refuses));
    for _ in 0..4 {
        let _ = call(&client).await;
    }
    let error = call(&client).await.unwrap_err();
    let rejected = error.rejected().expect("refused");
    assert_eq!(rejected.kind(), RejectedKind::NoEndpoint);
    assert!(!rejected.reached_service());
    let text = rejected.to_string();
    assert!(
        text.starts_with("failover `orders`: no endpoint to call: `a` ") && text.contains("`b` ejected for "),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_sent_twice_is_in_doubt_when_no_answer_comes() {
    let [a, b] = nodes(["a", "b"]);
    let once = only_unsent_unless(CloneRequest, |_: &u32| false);
    let (client, _) = tiers(&[a.clone(), b.clone()]).replay(once).build().unwrap();
    a.does(Does::Resets(10 * MS));
    let error = client.clone().oneshot(1).await.unwrap_err();
    assert_eq!(error.rejected().unwrap().kind(), RejectedKind::InDoubt);
    assert!(error.rejected().unwrap().reached_service());
    a.does(Does::Errs(10 * MS));
    assert_eq!(client.clone().oneshot(1).await.unwrap_err().inner(), Some(&Fault::Errs), "an answer");
    a.does(Does::Refuses);
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "b", "it was not sent");
}

#[tokio::test(start_paused = true)]
async fn who_is_in_doubt_is_told_which_endpoint_was_asked() {
    let [a, b] = nodes(["a", "b"]);
    let once = only_unsent_unless(CloneRequest, |_: &u32| false);
    let (client, _) = tiers(&[a.clone(), b.clone()]).name("orders").replay(once).build().unwrap();
    // The first one is not reached, so it is the second that nobody knows of.
    a.does(Does::Refuses);
    b.does(Does::Resets(10 * MS));
    let error = client.clone().oneshot(1).await.unwrap_err();
    assert_eq!(error.to_string(), "failover `orders`: no answer came from `b`; it may have been done or not");
    assert_eq!(error.rejected().unwrap().sent_to().map(|key| key.as_str()), Some("b"));
    b.does(Does::Refuses);
    let error = client.clone().oneshot(1).await.unwrap_err();
    assert!(error.rejected().is_none_or(|rejected| rejected.sent_to().is_none()), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drained_endpoint_gets_nothing_new_and_loses_nothing() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(tiers(&[a.clone(), b.clone()]));
    a.does(Does::Answers(300 * MS));
    let under_way: Vec<_> = (0..5).map(|_| tokio::spawn(client.clone().oneshot(1))).collect();
    tokio::time::sleep(10 * MS).await;
    let begun = tokio::time::Instant::now();
    handle.drain("a").await.unwrap();
    assert_eq!(begun.elapsed().as_millis() / 10, 29);
    for call in under_way {
        assert_eq!(call.await.unwrap().unwrap(), "a");
    }
    assert_eq!((a.take(), call(&client).await.unwrap()), (5, "b"));
    handle.undrain("a").unwrap();
    handle.fail_back();
    assert_eq!(call(&client).await.unwrap(), "a");
    assert!(handle.drain("c").await.is_err());
}

#[tokio::test(start_paused = true)]
async fn by_hand_calls_go_where_they_are_told_until_told_otherwise() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(tiers(&[a.clone(), b.clone()]).with(|settings| settings.failback = Failback::Manual));
    handle.switch_to("b").unwrap();
    assert_eq!(handle.snapshot().switched_to.as_deref(), Some("b"));
    assert_eq!(call(&client).await.unwrap(), "b");
    handle.fail_back();
    assert_eq!(handle.snapshot().switched_to, None);
    assert_eq!(call(&client).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn who_switches_to_an_endpoint_that_is_out_is_told_why_and_nothing_changes() {
    let [a, b, c] = nodes(["a", "b", "c"]);
    let (client, handle) = build(tiers(&[a.clone(), b.clone(), c.clone()]));
    handle.switch_to("c").unwrap();
    b.does(Does::Refuses);
    let drained = handle.drain("b").await;
    assert!(drained.is_ok());
    let error = handle.switch_to("b").unwrap_err();
    assert_eq!(error.to_string(), "endpoint `b` is out: draining");
    assert_eq!(error, SwitchError::Out { key: Name::from_static("b"), state: EndpointState::Draining });
    assert_eq!(handle.snapshot().switched_to.as_deref(), Some("c"), "the earlier one stays");
    assert_eq!(call(&client).await.unwrap(), "c");
    let error = handle.switch_to("d").unwrap_err();
    assert!(matches!(&error, SwitchError::NoSuchEndpoint(none) if *none.key() == "d"));
    assert_eq!(error.to_string(), "there is no endpoint `d`");
    // One that goes out later is left, and not gone back to by itself.
    handle.drain("c").await.unwrap();
    assert_eq!((handle.snapshot().switched_to, call(&client).await.unwrap()), (None, "a"));
    handle.undrain("c").unwrap();
    assert_eq!((handle.snapshot().switched_to, call(&client).await.unwrap()), (None, "a"));
}

#[test]
fn settings_of_an_endpoint_that_cannot_be_name_it() {
    let [a, b] = nodes(["a", "b"]);
    let error = over(std::slice::from_ref(&a)).endpoint(b.endpoint().weight(-1.0)).build().map(drop).unwrap_err();
    assert_eq!(error.to_string(), "`failover`: endpoint.weight of `b` is -1.0; allowed: over 0, at most 1,000");
    assert_eq!((error.endpoint().map(Name::as_str), error.field()), (Some("b"), "endpoint.weight"));
    let cold = || {
        let node = b.clone();
        Cold::start(move || std::future::ready(Ok::<_, Fault>(node.clone())))
    };
    for (cold, text) in [
        (cold().deadline(Duration::ZERO), "cold.deadline of `dr` is 0ns; allowed: over 0"),
        (cold().retry(Backoff::fixed(Duration::ZERO)), "cold.retry of `dr` is 0ns; allowed: over 0"),
        (
            cold().idle(Duration::ZERO, || std::future::ready(Ok::<_, Fault>(()))),
            "cold.idle of `dr` is 0ns; allowed: over 0",
        ),
    ] {
        let built = over(std::slice::from_ref(&a)).endpoint(Endpoint::cold("dr", cold)).build();
        assert_eq!(built.map(drop).unwrap_err().to_string(), format!("`failover`: {text}"));
    }
    let error =
        over(std::slice::from_ref(&a)).with(|settings| settings.max_ejected = 2.0).build().map(drop).unwrap_err();
    assert_eq!(error.endpoint(), None);
}

#[tokio::test(start_paused = true)]
async fn who_switches_to_an_endpoint_ends_what_calls_showed_of_all_of_them() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(tiers(&[a.clone(), b.clone()]));
    [&a, &b].into_iter().for_each(|node| node.does(Does::Errs(MS)));
    while handle.snapshot().all_out.is_none() {
        call(&client).await.unwrap_err();
    }
    b.does(Does::Answers(MS));
    forget(&[a.clone(), b]);
    handle.switch_to("b").unwrap();
    let answers = futures::future::join_all((0..10).map(|_| call(&client))).await;
    assert_eq!((answers, a.calls()), (vec![Ok("b"); 10], 0));
}
