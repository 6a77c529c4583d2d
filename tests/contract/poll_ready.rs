//! `poll_ready`: a layer neither waits there by itself nor has errors of its own there, and passes on those below.

use std::task::{Context, Poll};

use futures::task::noop_waker;
use steadfast::RejectedKind;
use tower::{Layer, Service, ServiceExt};

use crate::{
    clock,
    mock::{Act, Broken, End, Failure, Fault, Mock, Readiness, Request},
    subjects::{self, Over},
};

/// One look at the readiness of a service.
fn poll<S: Service<Request>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(&noop_waker()))
}

/// Calls that fail until whatever gives up has given up: a breaker opens, a budget is used up.
async fn fail_for_long<S: Service<Request> + Clone>(service: &S) {
    for number in 0..100 {
        let _ = clock::within("a call", service.clone().oneshot(Request(number))).await;
    }
}

pub(crate) async fn at_once<L: Over<Mock<Fault>, Fault>>(new: fn() -> L) {
    let mock = Mock::failing().readiness(Readiness::AtOnce);
    let service = new().layer(mock.clone());
    let mut used = service.clone();
    for _ in 0..3 {
        assert!(matches!(poll(&mut service.clone()), Poll::Ready(Ok(()))), "a fresh one");
        assert!(matches!(poll(&mut used), Poll::Ready(Ok(()))), "one that has been called");
        assert!(matches!(poll(&mut used), Poll::Ready(Ok(()))), "asked again");
        let _ = clock::within("a call", used.call(Request(1))).await;
        fail_for_long(&service).await;
    }
}

pub(crate) async fn no_error_of_its_own<L: Over<Mock<Fault>, Fault>>(new: fn() -> L) {
    let mock = Mock::failing().readiness(Readiness::AtOnce);
    let mut service = new().layer(mock.clone());
    fail_for_long(&service).await;
    mock.set_readiness(Readiness::Never);
    for _ in 0..3 {
        assert!(!matches!(poll(&mut service), Poll::Ready(Err(_))));
        tokio::time::advance(2 * subjects::LIMIT).await;
    }
    mock.set_readiness(Readiness::AtOnce);
    assert!(matches!(poll(&mut service), Poll::Ready(Ok(()))));
}

/// One that is always ready leaves the inner service alone until it needs it.
pub(crate) async fn passes_errors_on<L: Over<Mock<Fault>, Fault>>(new: fn() -> L, always_ready: bool) {
    let mock = Mock::answering().readiness(Readiness::Fails);
    let mut service = new().layer(mock.clone());
    let error = match poll(&mut service) {
        Poll::Ready(Err(error)) if !always_ready => error,
        Poll::Ready(Ok(())) if always_ready => clock::within("a call", service.call(Request(1))).await.unwrap_err(),
        _ => panic!("the error is swallowed"),
    };
    assert_eq!(error.broken(), Some(Broken::Readiness), "{error:?}");
    // One that waits in its call learns it there.
    mock.set_readiness(Readiness::AfterAWait);
    let mut service = new().layer(mock.clone());
    if let Poll::Ready(Ok(())) = poll(&mut service) {
        let call = service.call(Request(1));
        mock.set_readiness(Readiness::Fails);
        match clock::within("a call", call).await {
            Ok(answer) => assert!(answer.spare, "{answer:?}"),
            Err(error) => assert_eq!(error.broken(), Some(Broken::Readiness), "{error:?}"),
        }
    }
    assert_eq!(mock.calls(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_refuses_is_ready_at_once_whatever_is_below_it() {
    let layer = subjects::circuit_breaker::<Fault>();
    let mock = Mock::<Fault>::answering().readiness(Readiness::Never);
    let service = layer.layer(mock.clone());
    assert!(poll(&mut service.clone()).is_pending(), "closed, it has to wait for the inner service");
    let handle = layer.handle();
    let refused = |kind: RejectedKind| {
        let mut service = service.clone();
        async move {
            assert!(matches!(poll(&mut service), Poll::Ready(Ok(()))), "{kind:?}");
            let Err(Fault::Rejected(rejected)) = service.call(Request(1)).await else { panic!("{kind:?}") };
            assert_eq!(rejected.kind(), kind);
        }
    };
    handle.open();
    refused(RejectedKind::CircuitOpen).await;
    handle.force_open();
    refused(RejectedKind::CircuitForcedOpen).await;
    handle.half_open();
    let trials: Vec<_> = (0..handle.settings().half_open_calls).map(|_| handle.acquire().unwrap()).collect();
    refused(RejectedKind::CircuitHalfOpen).await;
    assert_eq!(mock.calls(), 0);
    drop(trials);
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_whose_wait_is_over_waits_for_the_inner_service_again() {
    let layer = subjects::circuit_breaker::<Fault>();
    let mut service = layer.layer(Mock::<Fault>::answering().readiness(Readiness::Never));
    layer.handle().open_for(subjects::WAIT);
    tokio::time::advance(subjects::WAIT).await;
    assert!(poll(&mut service).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_later_attempt_that_finds_the_service_broken_says_so() {
    let mock = Mock::<Fault>::new([], Act::new(End::Fail).pending(1));
    let mut service = subjects::retry::<Fault>().layer(mock.clone());
    let mut call = Box::pin(ServiceExt::<Request>::ready(&mut service).await.unwrap().call(Request(1)));
    assert!(futures::poll!(call.as_mut()).is_pending());
    mock.set_readiness(Readiness::Fails);
    let error = clock::within("a call", call).await.unwrap_err();
    assert_eq!(error.broken(), Some(Broken::Readiness));
    assert_eq!(mock.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_ready_layer_is_always_ready_and_waits_in_the_call_under_its_deadline() {
    let mock = Mock::<Fault>::answering().readiness(Readiness::Never);
    let mut service = (subjects::timeout::<Fault>(), subjects::ready::<Fault>()).layer(mock.clone());
    assert!(matches!(poll(&mut service), Poll::Ready(Ok(()))));
    let outcome = clock::takes(subjects::LIMIT, service.call(Request(1))).await;
    let Err(Fault::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(rejected.kind(), RejectedKind::TimedOut);
    assert_eq!(mock.calls(), 0);
}
