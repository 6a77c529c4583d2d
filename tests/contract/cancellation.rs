//! Cancellation: a call may be dropped at every await point, and then it is as if it had never been there.

use std::time::Duration;

use steadfast::{
    circuit_breaker::{Abandoned, CircuitBreaker},
    context,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};

use crate::{
    clock,
    mock::{self, Act, Answer, End, Fault, Mock, Request},
    subjects::{self, Over},
};

/// Passes between two polls, so that waits of a layer's own end after a few of them.
const STEP: Duration = Duration::from_millis(10);

pub(crate) async fn at_every_await_point<L>(new: fn() -> L)
where
    L: Over<ConcurrencyLimit<Mock<Fault>>, Fault>,
{
    let [answer, fail] = [End::Answer, End::Fail].map(|end| Act::new(end).pending(2));
    for (first, then) in [(answer, answer), (fail, answer), (fail, fail)] {
        let mut polls = 0;
        while !dropped_after(polls, new(), Mock::new([first], then)).await {
            polls += 1;
            assert!(polls < 100, "the call never ends");
        }
        assert!(polls >= 3, "a call that is pending twice takes three polls, not {polls}");
    }
}

/// Drops a call after so many polls, then looks that everything works. Whether the call was over by then.
async fn dropped_after<L>(polls: u32, layer: L, mock: Mock<Fault>) -> bool
where
    L: Over<ConcurrencyLimit<Mock<Fault>>, Fault>,
{
    let service = layer.layer(ConcurrencyLimit::new(mock.clone(), 1));
    let mut long_lived = service.clone();
    let instances = mock.instances();
    let mut call = Box::pin(long_lived.ready().await.unwrap().call(Request(1)));
    let mut over = false;
    for _ in 0..polls {
        over = futures::poll!(call.as_mut()).is_ready();
        if over {
            break;
        }
        tokio::time::advance(STEP).await;
    }
    drop(call);

    assert_eq!(mock::in_flight(), 0, "after {polls} polls: a call of the inner service goes on");
    assert_eq!(mock.instances(), instances, "after {polls} polls: an instance of the inner service is leaked");
    assert_eq!((context::deadline(), context::attempt()), (None, 1), "after {polls} polls: the context is left");
    mock.becomes(Act::new(End::Answer));
    let again = clock::within("a new call", async { long_lived.ready().await?.call(Request(2)).await }).await;
    assert_eq!(again.unwrap(), Answer { number: 2, spare: false });
    let other = clock::within("a call by a clone", service.oneshot(Request(3))).await;
    assert_eq!(other.unwrap(), Answer { number: 3, spare: false });
    over
}

pub(crate) async fn while_waiting_for_readiness<L>(new: fn() -> L)
where
    L: Over<ConcurrencyLimit<Mock<Fault>>, Fault>,
{
    for polls in 0..5 {
        let mock = Mock::answering();
        let limited = ConcurrencyLimit::new(mock.clone(), 1);
        let mut other = limited.clone();
        ServiceExt::<Request>::ready(&mut other).await.unwrap();
        let service = new().layer(limited);
        let instances = mock.instances();
        let mut waiting = Box::pin(service.clone().oneshot(Request(1)));
        for _ in 0..polls {
            assert!(futures::poll!(waiting.as_mut()).is_pending(), "the only permit is somebody else's");
            tokio::time::advance(STEP).await;
        }
        drop(waiting);
        assert_eq!(mock.instances(), instances, "after {polls} polls: an instance of the inner service is leaked");
        // The semaphore is fair: a place that was not given up would be served first.
        let next = service.oneshot(Request(2));
        futures::pin_mut!(next);
        assert!(futures::poll!(next.as_mut()).is_pending());
        drop(other);
        clock::within("the next in the queue", next).await.unwrap();
        assert_eq!(mock.calls(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_trial_call_gives_its_place_in_half_open_back() {
    for polls in 0..3 {
        // Else one trial call that is dropped opens it again.
        let layer = CircuitBreaker::builder().half_open_calls(1).abandoned(Abandoned::Ignored).build().unwrap();
        layer.handle().open_for(STEP);
        tokio::time::advance(STEP).await;
        let service = layer.layer(Mock::<Fault>::new([], Act::new(End::Answer).pending(3)));
        for _ in 0..5 {
            let mut trial = Box::pin(service.clone().oneshot(Request(1)));
            // The first poll is the wait for readiness; the place is taken in the second one.
            for _ in 0..polls {
                assert!(futures::poll!(trial.as_mut()).is_pending());
            }
        }
        clock::within("the next trial call", service.oneshot(Request(2))).await.unwrap();
        assert_eq!(layer.handle().snapshot().refused_in_all, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_dropped_before_it_is_sent_gives_its_token_back() {
    let layer = subjects::retry::<Fault>();
    let tokens = || layer.handle().budget().unwrap().tokens();
    let mock = Mock::<Fault>::failing();
    let mut call = Box::pin(layer.layer(mock.clone()).oneshot(Request(1)));
    while mock.calls() == 0 {
        assert!(futures::poll!(call.as_mut()).is_pending());
    }
    assert_eq!(tokens(), 49.0, "it waits for its second attempt");
    drop(call);
    assert_eq!((tokens(), mock.calls()), (50.0, 1));
}
