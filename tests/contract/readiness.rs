//! Readiness: a layer calls only an instance that it has itself driven to ready, and gives up what it does not use.

use futures::future::BoxFuture;
use steadfast::BoxError;
use tower::{Service, ServiceExt, buffer::Buffer, limit::ConcurrencyLimit};

use crate::{
    clock,
    mock::{Act, Answer, End, Fault, Mock, Readiness, Request},
    subjects::{self, Over, Serves},
};

const ANSWER: Act = Act::new(End::Answer);
const FAIL: Act = Act::new(End::Fail);

/// What the inner service does: it answers, fails now and then (so that retries succeed), or always fails (so that
/// fallbacks answer). With and without having to be polled more than once.
fn inner_services() -> impl Iterator<Item = (Mock<Fault>, bool)> {
    [0, 1].into_iter().flat_map(|pends| {
        let [answer, fail] = [ANSWER.pending(pends), FAIL.pending(pends)];
        let flaky = Mock::new([fail, answer, fail, fail, answer, fail], answer);
        [(Mock::new([], answer), true), (flaky, false), (Mock::new([], fail), false)]
    })
}

/// Calls in every way that there is.
async fn exercise<S, E>(service: S, answers: bool)
where
    S: Service<Request, Response = Answer, Error = E> + Clone,
    E: std::fmt::Debug,
{
    let check = |number: u32, outcome: Result<Answer, E>| {
        if answers {
            assert_eq!(outcome.unwrap(), Answer { number, spare: false });
        }
    };
    let mut long_lived = service.clone();
    for number in 0..3 {
        check(number, long_lived.ready().await.unwrap().call(Request(number)).await);
    }
    for number in 3..6 {
        check(number, service.clone().oneshot(Request(number)).await);
    }
    // A clone of what is ready is not ready itself.
    let mut ready = service.clone();
    ready.ready().await.unwrap();
    let clone = ready.clone();
    check(6, ready.call(Request(6)).await);
    check(7, clone.oneshot(Request(7)).await);
    // Two at a time, one of them by a service that has been called before.
    let first = long_lived.ready().await.unwrap().call(Request(8));
    let second = service.clone().oneshot(Request(9));
    let (first, second) = futures::join!(first, second);
    check(8, first);
    check(9, second);
    check(10, long_lived.ready().await.unwrap().call(Request(10)).await);
}

pub(crate) async fn over_a_strict_service<L: Over<Mock<Fault>, Fault>>(new: fn() -> L) {
    for readiness in [Readiness::AtOnce, Readiness::AfterAWait] {
        for (mock, answers) in inner_services() {
            let mock = mock.readiness(readiness);
            clock::within("calls", exercise(new().layer(mock.clone()), answers)).await;
            assert!(mock.calls() >= 10);
        }
    }
}

pub(crate) async fn over_a_concurrency_limit<L>(new: fn() -> L)
where
    L: Over<ConcurrencyLimit<Mock<Fault>>, Fault>,
{
    for (mock, answers) in inner_services() {
        let service = new().layer(ConcurrencyLimit::new(mock.clone(), 1));
        clock::within("calls", exercise(service, answers)).await;
        assert!(mock.calls() >= 10);
    }
}

type Buffered = Buffer<Request, BoxFuture<'static, Result<Answer, Fault>>>;

pub(crate) async fn over_a_buffer<L: Over<Buffered, BoxError>>(new: fn() -> L) {
    for (mock, answers) in inner_services() {
        let service = new().layer(Buffer::new(mock.clone(), 1));
        clock::within("calls", exercise(service, answers)).await;
        assert!(mock.calls() >= 10);
    }
}

/// A breaker that opens between `poll_ready` and `call` refuses with the inner service's permit in its hands.
#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_starve_the_attempts_that_follow_it() {
    let breaker = subjects::circuit_breaker::<Fault>();
    let layer = (subjects::retry::<Fault>(), breaker.clone());
    let mut service = layer_of(layer, ConcurrencyLimit::new(Mock::<Fault>::answering(), 1));
    service.ready().await.unwrap();
    breaker.handle().open();
    let answer = clock::within("the second attempt", service.call(Request(1))).await;
    assert_eq!(answer.unwrap(), Answer { number: 1, spare: false });
}

/// Without a retry above it, the permit stays with the instance that was refused.
#[tokio::test(start_paused = true)]
async fn a_refused_instance_gives_its_permit_to_its_next_call_or_with_itself() {
    let breaker = subjects::circuit_breaker::<Fault>();
    let service = layer_of(breaker.clone(), ConcurrencyLimit::new(Mock::<Fault>::answering(), 1));
    let mut refused = service.clone();
    refused.ready().await.unwrap();
    breaker.handle().open();
    refused.call(Request(1)).await.unwrap_err();
    breaker.handle().close();
    clock::within("its next call", async { refused.ready().await?.call(Request(2)).await }).await.unwrap();
    refused.ready().await.unwrap();
    breaker.handle().open();
    refused.call(Request(3)).await.unwrap_err();
    breaker.handle().close();
    drop(refused);
    clock::within("another one's call", service.oneshot(Request(4))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_retries_holds_the_permit_of_one_attempt_at_a_time() {
    let mock = Mock::<Fault>::failing();
    let service = layer_of(subjects::retry::<Fault>(), ConcurrencyLimit::new(mock.clone(), 1));
    clock::within("three attempts", service.oneshot(Request(1))).await.unwrap_err();
    assert_eq!(mock.calls(), 3);
}

fn layer_of<S, L: Over<S, Fault>>(layer: L, inner: S) -> impl Serves<Fault, Request> + Clone {
    layer.layer(inner)
}

/// That the suite sees what it is there to see.
#[tokio::test]
#[should_panic(expected = "not driven to ready")]
async fn the_strict_service_panics_when_a_clone_is_taken_for_ready() {
    let mut mock = Mock::<Fault>::answering();
    ServiceExt::<Request>::ready(&mut mock).await.unwrap();
    drop(mock.clone().call(Request(1)));
}
