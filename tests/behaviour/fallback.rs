//! Fallbacks: what is answered instead, and when.

use steadfast::{
    Error, RejectedKind, Verdict,
    circuit_breaker::CircuitBreaker,
    classify,
    fallback::{Fallback, FallbackEvent, Trigger},
    telemetry::Received,
    timeout::Timeout,
};
use tower::{Layer, ServiceExt};

use crate::support::{Down, Mode, SEC, Upstream};

#[tokio::test(start_paused = true)]
async fn a_value_an_outcome_a_request_and_a_service_can_answer_instead() {
    let failing = || Upstream::<u32>::of(Mode::Fail);
    assert_eq!(Fallback::value(10).build().layer(failing()).oneshot(1).await, Ok(10));
    let of_outcome = Fallback::from_outcome(|outcome: Result<u32, Error<Down>>| {
        assert_eq!(outcome, Err(Error::Inner(Down)));
        Ok(20)
    });
    assert_eq!(of_outcome.build().layer(failing()).oneshot(1).await, Ok(20));
    let of_request = Fallback::from_request(|_: Result<u32, Error<Down>>, request: u32| Ok(request + 30));
    assert_eq!(of_request.build().layer(failing()).oneshot(1).await, Ok(31));
    let of_service = Fallback::service(Upstream::<u32>::of(Mode::Succeed)).build();
    assert_eq!(of_service.layer(failing()).oneshot(1).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_copied_has_no_fallback_and_its_own_outcome() {
    let never_copied = |_: &u32| None;
    let fallback = Fallback::service(Upstream::<u32>::of(Mode::Succeed)).copy_with(never_copied).build();
    assert_eq!(fallback.layer(Upstream::of(Mode::Fail)).oneshot(1).await, Err(Error::Inner(Down)));
}

#[tokio::test(start_paused = true)]
async fn success_and_neutral_answers_pass() {
    let neutral = classify::from_fn(|outcome: Result<&u32, &Error<Down>>| match outcome {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Neutral,
    });
    let fallback = Fallback::value(0).classify(neutral).build();
    assert_eq!(fallback.layer(Upstream::new(Mode::Succeed)).oneshot(()).await, Ok(1));
    assert_eq!(fallback.layer(Upstream::new(Mode::Fail)).oneshot(()).await, Err(Error::Inner(Down)));
    assert_eq!(fallback.handle().taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_taken_by_verdict_or_by_the_kind_of_a_rejection_alone() {
    let by_kind = |trigger: Trigger<'_>| matches!(trigger, Trigger::Rejected(rejected) if rejected.kind() == RejectedKind::CircuitOpen);
    let by_verdict = |trigger: Trigger<'_>| matches!(trigger, Trigger::Verdict(Verdict::Transient { .. }));
    let breaker = CircuitBreaker::builder().build().unwrap();
    breaker.handle().open_for(3600 * SEC);
    let timeout = Timeout::builder(SEC).build().unwrap();
    let open = || breaker.layer(Upstream::new(Mode::Succeed));
    let hanging = || timeout.layer(Upstream::new(Mode::Hang));
    let failing = || Upstream::new(Mode::Fail);

    let kind = Fallback::value(0).when(by_kind).build();
    assert_eq!(kind.layer(open()).oneshot(()).await, Ok(0));
    kind.layer(hanging()).oneshot(()).await.unwrap_err();
    kind.layer(failing()).oneshot(()).await.unwrap_err();
    let verdict = Fallback::value(0).when(by_verdict).build();
    verdict.layer(open()).oneshot(()).await.unwrap_err();
    verdict.layer(hanging()).oneshot(()).await.unwrap_err();
    assert_eq!(verdict.layer(failing()).oneshot(()).await, Ok(0));
}

#[tokio::test(start_paused = true)]
async fn it_tells_that_it_was_taken_and_why() {
    let fallback = Fallback::value(0).name("stale").build();
    let mut events = fallback.handle().subscribe();
    let timeout = Timeout::builder(SEC).build().unwrap();
    assert_eq!(fallback.layer(Upstream::new(Mode::Fail)).oneshot(()).await, Ok(0));
    assert_eq!(fallback.layer(timeout.layer(Upstream::new(Mode::Hang))).oneshot(()).await, Ok(0));
    let told = [events.try_recv(), events.try_recv(), events.try_recv()];
    let event = |event| Some(Received::Event(event));
    let expected = [
        event(FallbackEvent::TakenForVerdict(Verdict::TRANSIENT)),
        event(FallbackEvent::TakenForRejection(RejectedKind::TimedOut)),
        None,
    ];
    assert_eq!(told, expected);
}
