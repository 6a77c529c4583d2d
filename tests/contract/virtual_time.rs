//! Paused time: every wait in the crate is virtual, and ends at the right instant.

use std::time::Duration;

use steadfast::RejectedKind;
use tower::{Layer, ServiceExt};

use crate::{
    clock,
    mock::{Act, Answer, End, Fault, Mock, Request},
    subjects::{self, Over},
};

pub(crate) async fn a_long_call<L: Over<Mock<Fault>, Fault>>(new: fn() -> L, own: Duration) {
    let hour = Duration::from_secs(3600);
    for takes in [Duration::ZERO, Duration::from_millis(700), hour] {
        let mock = Mock::new([], Act::new(End::Answer).pending(1).taking(takes));
        let service = new().layer(mock);
        let answer = clock::takes(own + takes, service.oneshot(Request(1))).await;
        assert_eq!(answer.unwrap(), Answer { number: 1, spare: false });
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_ends_at_its_limit() {
    let mock = Mock::<Fault>::new([], Act::new(End::Answer).taking(2 * subjects::LIMIT));
    let service = subjects::timeout::<Fault>().layer(mock);
    let outcome = clock::takes(subjects::LIMIT, service.oneshot(Request(1))).await;
    let Err(Fault::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(rejected.kind(), RejectedKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn retries_come_after_their_waits() {
    let mock = Mock::<Fault>::failing();
    let service = subjects::retry::<Fault>().layer(mock.clone());
    clock::takes(2 * subjects::WAIT, service.oneshot(Request(1))).await.unwrap_err();
    assert_eq!(mock.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_lets_a_call_through_when_its_wait_is_over() {
    let layer = subjects::circuit_breaker::<Fault>();
    let service = (subjects::retry::<Fault>(), layer.clone()).layer(Mock::<Fault>::answering());
    let wait = Duration::from_secs(9);
    layer.handle().open_for(wait);
    clock::takes(wait, service.oneshot(Request(1))).await.unwrap();
}
