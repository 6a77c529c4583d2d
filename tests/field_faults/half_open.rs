//! Faults 3 and 21: half-open for ever, and open for ever.

use std::{
    panic::AssertUnwindSafe,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use steadfast::{
    Error, RejectedKind,
    backoff::Backoff,
    circuit_breaker::{Abandoned, CircuitBreaker, CircuitBreakerBuilder, HalfOpenEnd, State},
};
use tower::{Layer, Service, ServiceExt};

use crate::support::{Down, Mode, SEC, Upstream, call_times, poll_once};

fn two_trials() -> CircuitBreakerBuilder {
    CircuitBreaker::builder().half_open_calls(2).wait_open(Backoff::fixed(SEC))
}

/// What becomes of a breaker that is open until the next second, once the upstream is well: seconds until it closed.
async fn seconds_to_close(breaker: &steadfast::circuit_breaker::CircuitBreakerLayer, upstream: &Upstream) -> u32 {
    upstream.set(Mode::Succeed);
    let service = breaker.layer(upstream.clone());
    for second in 0..30 {
        if breaker.handle().state() == State::Closed {
            return second;
        }
        call_times(&service, 5).await;
        if breaker.handle().state() == State::Closed {
            return second;
        }
        tokio::time::advance(SEC).await;
    }
    panic!("never closed: {:?}", breaker.handle().snapshot());
}

// 3
#[tokio::test(start_paused = true)]
async fn trial_calls_that_are_dropped_do_not_keep_it_half_open() {
    for abandoned in [Abandoned::Judged, Abandoned::Ignored, Abandoned::Failure] {
        for polled in [false, true] {
            // Without an end to half-open: it is the permits that must come back.
            let builder = two_trials().abandoned(abandoned).half_open_max_wait(None, HalfOpenEnd::Open);
            let breaker = builder.build().unwrap();
            let upstream = Upstream::new(Mode::Hang);
            let mut service = breaker.layer(upstream.clone());
            breaker.handle().open_for(Duration::ZERO);
            for _ in 0..2 {
                let mut call = Box::pin(service.ready().await.unwrap().call(()));
                if polled {
                    assert!(poll_once(&mut call).is_none());
                }
                drop(call);
            }
            let seconds = seconds_to_close(&breaker, &upstream).await;
            assert!(seconds <= 2, "{abandoned:?}, polled: {polled}: {seconds} s");
        }
    }
}

// 3
#[tokio::test(start_paused = true)]
async fn trial_calls_that_panic_do_not_keep_it_half_open() {
    for mode in [Mode::PanicInCall, Mode::PanicInPoll] {
        let breaker = two_trials().half_open_max_wait(None, HalfOpenEnd::Open).build().unwrap();
        let upstream = Upstream::new(mode);
        let service = breaker.layer(upstream.clone());
        breaker.handle().open_for(Duration::ZERO);
        for _ in 0..2 {
            assert!(AssertUnwindSafe(service.clone().oneshot(())).catch_unwind().await.is_err());
        }
        assert_eq!(breaker.handle().state(), State::Open, "{mode:?}: both trial calls panicked");
        assert!(seconds_to_close(&breaker, &upstream).await <= 2, "{mode:?}");
    }
}

// 3
#[tokio::test(start_paused = true)]
async fn trial_calls_that_hang_for_ever_do_not_keep_it_half_open() {
    let breaker = two_trials().build().unwrap();
    let upstream = Upstream::new(Mode::Hang);
    let service = breaker.layer(upstream.clone());
    breaker.handle().open_for(Duration::ZERO);
    let mut hanging: Vec<_> = (0..2).map(|_| Box::pin(service.clone().oneshot(()))).collect();
    hanging.iter_mut().for_each(|call| assert!(poll_once(call).is_none()));
    assert_eq!(call_times(&service, 1).await, 0, "both places are taken");
    tokio::time::advance(10 * SEC).await;
    assert_eq!(breaker.handle().state(), State::Open, "half-open has its end");
    assert!(seconds_to_close(&breaker, &upstream).await <= 2);
    // Their end changes nothing any more.
    drop(hanging);
    assert_eq!((breaker.handle().state(), breaker.handle().snapshot().late), (State::Closed, 2));
}

// 3
#[tokio::test(start_paused = true)]
async fn trial_calls_that_say_nothing_give_their_places_back() {
    let breaker = two_trials()
        .half_open_max_wait(None, HalfOpenEnd::Open)
        .classify(|_: Result<&u32, &Error<Down>>| steadfast::Verdict::Neutral)
        .build()
        .unwrap();
    let service = breaker.layer(Upstream::new(Mode::Succeed));
    breaker.handle().open_for(Duration::ZERO);
    assert_eq!(call_times(&service, 20).await, 20, "none was refused");
    assert_eq!(breaker.handle().state(), State::HalfOpen, "none decided");
}

// 3
#[tokio::test(start_paused = true)]
async fn fewer_trial_calls_than_have_ended_already_are_decided_by_the_next_call() {
    let breaker =
        CircuitBreaker::builder().half_open_calls(5).half_open_max_wait(None, HalfOpenEnd::Open).build().unwrap();
    let service = breaker.layer(Upstream::new(Mode::Succeed));
    breaker.handle().open_for(Duration::ZERO);
    call_times(&service, 4).await;
    assert_eq!(breaker.handle().state(), State::HalfOpen, "four of five");
    breaker.handle().change(|settings| settings.half_open_calls = 3).unwrap();
    call_times(&service, 1).await;
    assert_eq!(breaker.handle().state(), State::Closed, "no place is left for a call that could decide");
}

/// Not ready while it is down, as a pool without connections.
#[derive(Clone)]
struct NotReadyWhileDown(Upstream, std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Service<()> for NotReadyWhileDown {
    type Response = u32;
    type Error = Error<Down>;
    type Future = <Upstream as Service<()>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if self.1.load(std::sync::atomic::Ordering::SeqCst) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, request: ()) -> Self::Future {
        self.0.call(request)
    }
}

// 21
#[tokio::test(start_paused = true)]
async fn an_open_breaker_recovers_under_a_caller_that_asks_for_readiness_before_it_calls() {
    let breaker = CircuitBreaker::builder().half_open_calls(1).wait_open(Backoff::fixed(SEC)).build().unwrap();
    let down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let inner = NotReadyWhileDown(Upstream::new(Mode::Succeed), down.clone());
    // Sheds what is not ready, as a balancer passes over it.
    let mut service = tower::load_shed::LoadShed::new(breaker.layer(inner));
    breaker.handle().open();

    let answer = service.ready().await.unwrap().call(()).await.unwrap_err();
    let rejected =
        answer.downcast_ref::<Error<Down>>().and_then(Error::rejected).expect("ready, and refused by the breaker");
    assert_eq!(rejected.kind(), RejectedKind::CircuitOpen);

    down.store(false, std::sync::atomic::Ordering::SeqCst);
    tokio::time::advance(SEC).await;
    assert!(breaker.handle().snapshot().admits, "it says so while nobody calls");
    service.ready().await.unwrap().call(()).await.expect("let through");
    assert_eq!(breaker.handle().state(), State::Closed);
}

// 21
#[tokio::test(start_paused = true)]
async fn an_open_breaker_becomes_half_open_without_any_call_if_told_to() {
    let breaker = CircuitBreaker::builder().automatic_half_open(true).wait_open(Backoff::fixed(SEC)).build().unwrap();
    breaker.handle().open();
    tokio::time::advance(SEC - Duration::from_nanos(1)).await;
    assert_eq!(breaker.handle().state(), State::Open);
    tokio::time::advance(Duration::from_nanos(1)).await;
    assert_eq!(breaker.handle().state(), State::HalfOpen);
}
