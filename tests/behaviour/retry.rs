//! Retries: what is tried again, when, and what it costs.

use std::{sync::Arc, time::Duration};

use futures::executor::block_on;
use steadfast::{
    Error, Verdict,
    backoff::Backoff,
    circuit_breaker::CircuitBreaker,
    classify,
    retry::{Budget, CloneRequest, Finish, Retry, RetryBuilder, RetryEvent, only_unsent_unless},
    telemetry::Received,
    timeout::Timeout,
};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{Down, MS, Mode, SEC, Upstream, now};

fn at_once() -> RetryBuilder {
    Retry::builder().backoff(Backoff::none())
}

#[test]
fn a_back_off_of_zero_never_touches_the_timer_and_so_needs_no_runtime() {
    let service = at_once().build().unwrap().layer(Upstream::new(Mode::FailFirst(2)));
    assert_eq!(block_on(service.oneshot(())), Ok(3));
}

#[tokio::test(start_paused = true)]
async fn permanent_neutral_and_success_are_not_tried_again() {
    for verdict in [Verdict::Permanent, Verdict::Neutral, Verdict::Success] {
        let upstream = Upstream::new(Mode::Fail);
        let judge = classify::from_fn(move |_: Result<&u32, &Error<Down>>| verdict);
        let _ = at_once().classify(judge).build().unwrap().layer(upstream.clone()).oneshot(()).await;
        assert_eq!(upstream.calls(), 1, "{verdict:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_wins_over_the_computed_wait() {
    let asks = classify::from_fn(|outcome: Result<&u32, &Error<Down>>| match outcome {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Transient { retry_after: Some(3 * SEC) },
    });
    let retry = Retry::builder().backoff(Backoff::fixed(MS)).classify(asks).build().unwrap();
    let began = now();
    assert_eq!(retry.layer(Upstream::new(Mode::FailFirst(1))).oneshot(()).await, Ok(2));
    assert_eq!(now() - began, 3 * SEC);
}

#[tokio::test(start_paused = true)]
async fn the_refusal_of_its_own_breaker_is_waited_for_if_that_fits_the_deadline() {
    for (deadline, fits) in [(10 * SEC, true), (2 * SEC, false)] {
        let breaker = CircuitBreaker::builder().build().unwrap();
        breaker.handle().open_for(3 * SEC);
        let upstream = Upstream::new(Mode::Succeed);
        let retry = at_once().build().unwrap();
        let timeout = Timeout::builder(deadline).build().unwrap();
        let service = ServiceBuilder::new().layer(timeout).layer(retry.clone()).layer(breaker).service(upstream);
        let began = now();
        assert_eq!(service.oneshot(()).await.is_ok(), fits);
        assert_eq!(now() - began, if fits { 3 * SEC } else { Duration::ZERO }, "no useless wait");
        assert_eq!(retry.handle().budget().unwrap().tokens(), 50.0, "what was not sent costs no token");
    }
}

#[tokio::test(start_paused = true)]
async fn no_wait_is_begun_that_would_end_after_the_deadline() {
    let retry = Retry::builder().backoff(Backoff::fixed(SEC)).max_attempts(10).build().unwrap();
    let mut events = retry.handle().subscribe();
    let timeout = Timeout::builder(2500 * MS).build().unwrap();
    let began = now();
    let answer = timeout.layer(retry.layer(Upstream::new(Mode::Fail))).oneshot(()).await;
    assert_eq!((answer, now() - began), (Err(Error::Inner(Down)), 2 * SEC), "the last outcome, untouched");
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    assert_eq!(told.last(), Some(&Received::Event(RetryEvent::GaveUp { attempts: 3, why: Finish::OutOfTime })));
}

#[tokio::test(start_paused = true)]
async fn only_what_the_copy_function_copies_is_tried_again() {
    let retry = at_once().replay(|request: &u32| request.is_multiple_of(2).then_some(*request)).build().unwrap();
    for (request, attempts) in [(2, 3), (3, 1)] {
        let upstream = Upstream::<u32>::of(Mode::Fail);
        let _ = retry.layer(upstream.clone()).oneshot(request).await;
        assert_eq!(upstream.calls(), attempts, "request {request}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_certainly_was_not_sent_is_tried_again_even_if_it_may_not_be_repeated() {
    struct NotConnected;
    impl steadfast::Classify<u32, Error<Down>> for NotConnected {
        fn classify(&self, outcome: Result<&u32, &Error<Down>>) -> Verdict {
            if outcome.is_ok() { Verdict::Success } else { Verdict::TRANSIENT }
        }
        fn reached_service(&self, _: &Error<Down>) -> bool {
            false
        }
    }
    impl Clone for NotConnected {
        fn clone(&self) -> Self {
            Self
        }
    }
    let never_twice = only_unsent_unless(CloneRequest, |_: &()| false);
    let upstream = Upstream::new(Mode::Fail);
    let _ = at_once().replay(never_twice).build().unwrap().layer(upstream.clone()).oneshot(()).await;
    assert_eq!(upstream.calls(), 1, "it may have been seen");
    let upstream = Upstream::new(Mode::Fail);
    let unsent = at_once().replay(never_twice).classify(NotConnected).build().unwrap();
    let _ = unsent.layer(upstream.clone()).oneshot(()).await;
    assert_eq!(upstream.calls(), 3, "it certainly was not");
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_shared_by_the_layers_it_is_given_to() {
    let budget = Arc::new(Budget::refund());
    let (one, two) =
        (at_once().budget(budget.clone()).build().unwrap(), at_once().budget(budget.clone()).build().unwrap());
    for _ in 0..100 {
        let _ = one.layer(Upstream::new(Mode::Fail)).oneshot(()).await;
        let _ = two.layer(Upstream::new(Mode::Fail)).oneshot(()).await;
    }
    assert_eq!(one.handle().retries() + two.handle().retries(), 50);
    assert_eq!(budget.tokens(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_dropped_while_it_waits_gives_its_token_back() {
    let retry = Retry::builder().backoff(Backoff::fixed(SEC)).build().unwrap();
    let waiting = tokio::spawn(retry.layer(Upstream::new(Mode::Fail)).oneshot(()));
    tokio::task::yield_now().await;
    assert_eq!(retry.handle().budget().unwrap().tokens(), 49.0);
    waiting.abort();
    let _ = waiting.await;
    assert_eq!(retry.handle().budget().unwrap().tokens(), 50.0);
}

#[tokio::test(start_paused = true)]
async fn a_seed_makes_the_waits_repeatable() {
    let waits = async |seed| {
        let retry = Retry::builder().seed(seed).max_attempts(10).build().unwrap();
        let mut events = retry.handle().subscribe();
        let _ = retry.layer(Upstream::new(Mode::Fail)).oneshot(()).await;
        std::iter::from_fn(move || events.try_recv()).collect::<Vec<_>>()
    };
    assert_eq!(waits(7).await, waits(7).await);
    assert_ne!(waits(7).await, waits(8).await);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_once_over_nested_retries() {
    for (outer, inner, expected) in [(3, 3, 3), (3, 2, 3), (2, 5, 2)] {
        let upstream = Upstream::new(Mode::Fail);
        let layer = |attempts| at_once().max_attempts(attempts).build().unwrap();
        let _ = layer(outer).layer(layer(inner).layer(upstream.clone())).oneshot(()).await;
        assert_eq!(upstream.calls(), expected, "{outer} over {inner}: counted once, not multiplied");
    }
}

#[tokio::test(start_paused = true)]
async fn any_iterator_of_waits_will_do_and_its_end_is_the_end() {
    let upstream = Upstream::new(Mode::Fail);
    let waits = Backoff::steps([SEC, 2 * SEC]);
    let began = now();
    let retry = Retry::builder().backoff(waits).max_attempts(100).build().unwrap();
    let _ = retry.layer(upstream.clone()).oneshot(()).await;
    assert_eq!((upstream.calls(), now() - began), (3, 3 * SEC));
}

/// Without a wait, a budget or a deadline nothing else would end it; dropping the call must.
#[tokio::test(start_paused = true)]
async fn attempts_without_end_let_others_run() {
    let upstream = Upstream::new(Mode::Fail);
    let layer = at_once().max_attempts(u32::MAX).budget(None).build().unwrap();
    let call = layer.layer(upstream.clone()).oneshot(());
    tokio::select! {
        biased;
        _ = call => panic!("it cannot have made all attempts"),
        () = std::future::ready(()) => {}
    }
    assert!((1..1000).contains(&upstream.calls()), "{} attempts in one poll", upstream.calls());
}
