//! Timeouts: when they end a call, and what they cost one that needs no time.

use std::{future::ready, time::Duration};

use futures::executor::block_on;
use steadfast::{Error, Rejected, RejectedKind, backoff::Backoff, context, retry::Retry, timeout::Timeout};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Down, MS, Mode, SEC, Upstream, now};

fn timed_out(answer: Result<u32, Error<Down>>) -> Rejected {
    match answer {
        Err(Error::Rejected(rejected)) if rejected.kind() == RejectedKind::TimedOut => rejected,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_dropped_in_time_and_may_have_reached_the_service() {
    let timeout = Timeout::builder(SEC).name("call").build().unwrap();
    let began = now();
    let rejected = timed_out(timeout.layer(Upstream::new(Mode::Hang)).oneshot(()).await);
    assert_eq!(now() - began, SEC);
    assert!(rejected.reached_service());
    assert_eq!((rejected.name().as_str(), timeout.handle().timed_out()), ("call", 1));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_have_a_limit_of_its_own() {
    let own = |limit: &Option<Duration>| *limit;
    let timeout = Timeout::builder(SEC).per_request(own).build().unwrap();
    for (limit, took) in [(None, SEC), (Some(5 * SEC), 5 * SEC), (Some(Duration::ZERO), Duration::ZERO)] {
        let began = now();
        timed_out(timeout.layer(Upstream::of(Mode::Hang)).oneshot(limit).await);
        assert!(now() - began <= took + MS && now() - began >= took, "{limit:?}: {:?}", now() - began);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_cut_to_what_is_left_of_the_call() {
    let service = ServiceBuilder::new()
        .layer(Timeout::builder(250 * MS).name("total").build().unwrap())
        .layer(Retry::builder().backoff(Backoff::none()).max_attempts(10).build().unwrap())
        .layer(Timeout::builder(100 * MS).name("attempt").build().unwrap())
        .service(Upstream::new(Mode::Hang));
    let began = now();
    timed_out(service.oneshot(()).await);
    assert_eq!(now() - began, 250 * MS);
}

#[tokio::test(start_paused = true)]
async fn the_tighter_of_two_nested_limits_holds_whichever_is_outside() {
    for (outer, inner, name) in [(SEC, 10 * SEC, "outer"), (10 * SEC, SEC, "inner")] {
        let service = ServiceBuilder::new()
            .layer(Timeout::builder(outer).name("outer").build().unwrap())
            .layer(Timeout::builder(inner).name("inner").build().unwrap())
            .service(Upstream::new(Mode::Hang));
        let began = now();
        let rejected = timed_out(service.oneshot(()).await);
        assert_eq!(now() - began, SEC, "{name}");
        // Cut to what was left, the inner one may be the first to say so.
        assert!(["outer", "inner"].contains(&rejected.name().as_str()));
    }
}

#[test]
fn a_call_that_is_ready_at_once_needs_no_timer_and_so_no_runtime() {
    let timeout = Timeout::builder(SEC).build().unwrap();
    let service = timeout.layer(timeout.layer(service_fn(|()| ready(Ok::<_, Rejected>(1)))));
    assert_eq!(block_on(service.oneshot(())), Ok(1));
}

#[tokio::test(start_paused = true)]
async fn the_limit_can_be_changed_for_the_calls_that_follow() {
    let timeout = Timeout::builder(SEC).build().unwrap();
    let running = tokio::spawn(timeout.layer(Upstream::new(Mode::Hang)).oneshot(()));
    tokio::task::yield_now().await;
    timeout.handle().change(10 * SEC).unwrap();
    let began = now();
    timed_out(running.await.unwrap());
    assert!(now() - began <= SEC);
    timed_out(timeout.layer(Upstream::new(Mode::Hang)).oneshot(()).await);
    assert!(now() - began >= 11 * SEC - MS);
}

#[tokio::test(start_paused = true)]
async fn a_limit_without_end_sets_no_deadline() {
    let timeout = Timeout::builder(Duration::MAX).build().unwrap();
    let seen = timeout.layer(service_fn(|()| async { Ok::<_, Rejected>(context::deadline()) })).oneshot(()).await;
    assert_eq!(seen, Ok(None));
}
