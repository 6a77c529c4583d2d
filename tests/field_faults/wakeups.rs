//! Faults 9 and 10: lost wake-ups, and waiting by waking oneself.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use futures::task::{ArcWake, noop_waker, waker};
use steadfast::{
    Error, RejectedKind, backoff::Backoff, circuit_breaker::CircuitBreaker, coalesce::Coalesce, ready::ReadyLayer,
    retry::Retry, telemetry::Received, timeout::Timeout,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit};

use crate::support::{Down, MS, Mode, SEC, Upstream, changes, finished};

type Call = tokio::task::JoinHandle<Result<u32, Error<Down>>>;

/// Five tasks that call clones of one service.
fn five_callers<S>(service: &S) -> Vec<Call>
where
    S: Service<(), Response = u32, Error = Error<Down>, Future: Send> + Clone + Send + 'static,
{
    (0..5).map(|_| tokio::spawn(service.clone().oneshot(()))).collect()
}

// 9
#[tokio::test(start_paused = true)]
async fn all_of_five_callers_of_one_layer_finish_whatever_they_wait_for() {
    let upstream = Upstream::new(Mode::FailFirst(5));
    let retry = Retry::builder().backoff(Backoff::fixed(SEC)).max_attempts(10).build().unwrap();
    let stack = ServiceBuilder::new().layer(Timeout::builder(60 * SEC).build().unwrap()).layer(retry).layer(ReadyLayer);
    let service = stack.service(ConcurrencyLimit::new(upstream, 1));
    let answers = finished(five_callers(&service)).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");

    let hanging = Timeout::builder(SEC).build().unwrap().layer(Upstream::new(Mode::Hang));
    for call in finished(five_callers(&hanging)).await {
        let Err(Error::Rejected(rejected)) = call else { panic!("{call:?}") };
        assert_eq!(rejected.kind(), RejectedKind::TimedOut);
    }
}

// 9
#[tokio::test(start_paused = true)]
async fn a_waiting_call_that_moves_to_another_task_is_woken_there() {
    let retry = Retry::builder().backoff(Backoff::fixed(SEC)).build().unwrap();
    let timeout = Timeout::builder(10 * SEC).build().unwrap();
    let upstream = Upstream::new(Mode::FailFirst(1));
    let retried = timeout.layer(retry.layer(upstream)).oneshot(());
    let timed_out = timeout.layer(Upstream::new(Mode::Hang)).oneshot(());
    let (mut retried, mut timed_out) = (Box::pin(retried), Box::pin(timed_out));
    let first = noop_waker();
    let mut cx = Context::from_waker(&first);
    assert!(retried.as_mut().poll(&mut cx).is_pending());
    assert!(timed_out.as_mut().poll(&mut cx).is_pending());
    // The first waker does nothing: only the second task's can end these.
    let answers = finished(vec![tokio::spawn(retried), tokio::spawn(timed_out)]).await;
    assert!(answers[0] == Ok(2) && answers[1].is_err(), "{answers:?}");
}

// 9
#[tokio::test(start_paused = true)]
async fn all_of_five_subscribers_hear_of_a_change() {
    let breaker = CircuitBreaker::builder().automatic_half_open(true).wait_open(Backoff::fixed(SEC)).build().unwrap();
    let subscribers: Vec<_> = (0..5)
        .map(|_| {
            let mut events = breaker.handle().subscribe();
            tokio::spawn(async move {
                // Opened by hand, then half-open by the timer that the subscribers drive themselves.
                let opened = events.recv().await;
                let half_open = events.recv().await;
                matches!((opened, half_open), (Some(Received::Event(_)), Some(Received::Event(_))))
            })
        })
        .collect();
    tokio::task::yield_now().await;
    breaker.handle().open();
    assert_eq!(finished(subscribers).await, [true; 5]);
}

// 9
#[tokio::test(start_paused = true)]
async fn one_subscriber_that_goes_away_takes_nothing_from_the_others() {
    let breaker = CircuitBreaker::builder().automatic_half_open(true).wait_open(Backoff::fixed(SEC)).build().unwrap();
    let mut gone = breaker.handle().subscribe();
    let mut stays = breaker.handle().subscribe();
    breaker.handle().open();
    changes(&mut gone);
    changes(&mut stays);
    {
        let mut waiting = pin!(gone.recv());
        assert!(futures::poll!(&mut waiting).is_pending());
    }
    drop(gone);
    assert!(matches!(stays.recv().await, Some(Received::Event(_))));
}

// 9
#[tokio::test(start_paused = true)]
async fn all_of_five_callers_that_wait_for_one_call_finish_and_so_do_four_when_the_first_goes() {
    for first_goes in [false, true] {
        let upstream = Upstream::new(Mode::Hang);
        let mut callers = five_callers(&Coalesce::builder(|(): &()| Some(())).build().layer(upstream.clone()));
        tokio::task::yield_now().await;
        if first_goes {
            // The call knows this one's waker only.
            callers.remove(0).abort();
            tokio::task::yield_now().await;
        }
        upstream.answer();
        let answers = finished(callers).await;
        assert!(answers.iter().all(|answer| *answer == Ok(1)), "{answers:?}");
    }
}

// 9
#[tokio::test(start_paused = true)]
async fn who_waits_for_the_same_call_and_moves_to_another_task_is_woken_there() {
    let upstream = Upstream::new(Mode::Hang);
    let service = Coalesce::builder(|(): &()| Some(())).build().layer(upstream.clone());
    let mut calls: Vec<_> = (0..3).map(|_| Box::pin(service.clone().oneshot(()))).collect();
    let first = noop_waker();
    let mut cx = Context::from_waker(&first);
    assert!(calls.iter_mut().all(|call| call.as_mut().poll(&mut cx).is_pending()));
    let tasks: Vec<_> = calls.into_iter().map(tokio::spawn).collect();
    tokio::task::yield_now().await;
    upstream.answer();
    assert_eq!(finished(tasks).await, [Ok(1), Ok(1), Ok(1)]);
}

struct CountWakes(AtomicU32);

impl ArcWake for CountWakes {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, SeqCst);
    }
}

// 10
#[tokio::test(start_paused = true)]
async fn nothing_that_waits_wakes_itself() {
    let wakes = Arc::new(CountWakes(AtomicU32::new(0)));
    let waker = waker(wakes.clone());
    let mut cx = Context::from_waker(&waker);
    let retry = Retry::builder().backoff(Backoff::fixed(SEC)).build().unwrap();
    let mut waiting = Box::pin(retry.layer(Upstream::new(Mode::FailFirst(1))).oneshot(()));
    let mut hanging = Box::pin(Timeout::builder(SEC).build().unwrap().layer(Upstream::new(Mode::Hang)).oneshot(()));
    let limit = ReadyLayer.layer(ConcurrencyLimit::new(Upstream::new(Mode::Hang), 1));
    let mut holder = Box::pin(limit.clone().oneshot(()));
    let mut queued = Box::pin(limit.oneshot(()));
    let mut poll_all = |cx: &mut Context<'_>| {
        [waiting.as_mut().poll(cx), hanging.as_mut().poll(cx), holder.as_mut().poll(cx), queued.as_mut().poll(cx)]
            .iter()
            .filter(|poll| Poll::is_pending(poll))
            .count()
    };
    for _ in 0..100 {
        assert_eq!(poll_all(&mut cx), 4);
    }
    tokio::time::advance(500 * MS).await;
    assert_eq!(wakes.0.load(SeqCst), 0, "woken before there was a reason");
    tokio::time::advance(500 * MS).await;
    tokio::task::yield_now().await;
    assert!((1..=2).contains(&wakes.0.load(SeqCst)), "{} wake-ups for two timers", wakes.0.load(SeqCst));
}

// 10
#[tokio::test(start_paused = true)]
async fn who_waits_for_the_same_call_is_polled_when_it_begins_and_when_it_ends() {
    let polls = Arc::new(AtomicU32::new(0));
    let upstream = Upstream::new(Mode::Hang);
    let service = Coalesce::builder(|(): &()| Some(())).build().layer(upstream.clone());
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (mut call, polls) = (Box::pin(service.clone().oneshot(())), Arc::clone(&polls));
            tokio::spawn(std::future::poll_fn(move |cx| {
                polls.fetch_add(1, SeqCst);
                call.as_mut().poll(cx)
            }))
        })
        .collect();
    for _ in 0..300 {
        tokio::task::yield_now().await;
        tokio::time::advance(MS).await;
    }
    upstream.answer();
    assert!(finished(callers).await.into_iter().all(|answer| answer == Ok(1)));
    assert_eq!(polls.load(SeqCst), 200, "polls of 100 callers in 300 ms");
}
