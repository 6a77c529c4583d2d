//! Panics of the inner service: they pass through, and what they passed through still works.

use std::{
    panic::AssertUnwindSafe,
    sync::atomic::{AtomicBool, Ordering},
};

use futures::FutureExt;
use steadfast::{
    Verdict,
    circuit_breaker::{Abandoned, CircuitBreaker, State},
    context,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};

use crate::{
    clock,
    mock::{self, Act, Answer, End, Fault, Mock, Request},
    subjects::{self, Over},
};

const PANICS: [Act; 4] = [
    Act::new(End::PanicInCall),
    Act::new(End::PanicInPoll),
    Act::new(End::PanicInPoll).pending(1),
    Act::new(End::PanicInPoll).pending(2),
];

pub(crate) async fn pass_through<L>(new: fn() -> L)
where
    L: Over<ConcurrencyLimit<Mock<Fault>>, Fault>,
{
    // In the first call, or after a failure, which is in the second attempt of a retry.
    for (failures, panic) in [0, 1].into_iter().flat_map(|failures| PANICS.map(|panic| (failures, panic))) {
        let first = std::iter::repeat_n(Act::new(End::Fail), failures).chain([panic]);
        let mock = Mock::new(first, Act::new(End::Answer));
        let service = new().layer(ConcurrencyLimit::new(mock.clone(), 1));
        let mut used = service.clone();
        let mut calls = 0;
        let payload = loop {
            calls += 1;
            assert!(calls <= failures + 1, "the panic was swallowed");
            let call = async { used.ready().await?.call(Request(1)).await };
            if let Err(payload) = AssertUnwindSafe(clock::within("a call", call)).catch_unwind().await {
                break payload;
            }
        };
        let message = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref().copied());
        assert!(message.is_some_and(|message| message.contains("the mock panics")), "{message:?}");

        assert_eq!(mock::in_flight(), 0, "{panic:?}: the call goes on");
        assert_eq!((context::deadline(), context::attempt()), (None, 1), "{panic:?}: the context is left");
        let answer = clock::within("a call by a clone", service.oneshot(Request(2))).await;
        assert_eq!(answer.unwrap(), Answer { number: 2, spare: false });
        let answer = clock::within("another call", async { used.ready().await?.call(Request(3)).await }).await;
        assert_eq!(answer.unwrap(), Answer { number: 3, spare: false });
    }
}

#[tokio::test(start_paused = true)]
async fn the_breaker_counts_a_panic_as_a_failure() {
    for panic in PANICS {
        let layer = subjects::circuit_breaker::<Fault>();
        let service = layer.layer(Mock::<Fault>::new([panic], Act::new(End::Answer)));
        AssertUnwindSafe(service.oneshot(Request(1))).catch_unwind().await.unwrap_err();
        let snapshot = layer.handle().snapshot();
        assert_eq!((snapshot.recorded, snapshot.failed, snapshot.abandoned), (1, 1, 0), "{panic:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn panics_open_the_breaker() {
    let layer = subjects::circuit_breaker::<Fault>();
    let service = layer.layer(Mock::<Fault>::new([], Act::new(End::PanicInPoll)));
    for _ in 0..10 {
        AssertUnwindSafe(service.clone().oneshot(Request(1))).catch_unwind().await.unwrap_err();
    }
    assert!(matches!(service.oneshot(Request(1)).await, Err(Fault::Rejected(_))));
}

#[tokio::test(start_paused = true)]
async fn the_panic_of_a_fallback_service_passes_through_too() {
    let spare = Mock::<Fault>::new([Act::new(End::PanicInPoll).pending(1)], Act::new(End::Answer));
    let layer = steadfast::fallback::Fallback::service(spare).build();
    let service = layer.layer(Mock::<Fault>::failing());
    AssertUnwindSafe(service.clone().oneshot(Request(1))).catch_unwind().await.unwrap_err();
    assert_eq!(mock::in_flight(), 0);
    assert!(service.oneshot(Request(2)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_classifier_that_panics_is_a_failure_and_does_not_keep_the_place_of_its_call() {
    let panicked = AtomicBool::new(false);
    let classify = |_: Result<&Answer, &Fault>| {
        assert!(panicked.swap(true, Ordering::Relaxed), "the classifier panics");
        Verdict::Success
    };
    let builder = CircuitBreaker::builder().half_open_calls(1).abandoned(Abandoned::Ignored).classify(&classify);
    let layer = builder.build().unwrap();
    layer.handle().open_for(subjects::WAIT);
    tokio::time::advance(subjects::WAIT).await;
    let service = layer.layer(Mock::<Fault>::answering());
    AssertUnwindSafe(service.clone().oneshot(Request(1))).catch_unwind().await.unwrap_err();
    assert_eq!(layer.handle().state(), State::Open);
    tokio::time::advance(layer.handle().snapshot().open_for.unwrap()).await;
    service.oneshot(Request(2)).await.unwrap();
    assert_eq!(layer.handle().state(), State::Closed);
}
