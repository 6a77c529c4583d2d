//! Faults 12, 13, 14 and 34 of retries and fallbacks.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use steadfast::{
    Error, Verdict,
    backoff::{Backoff, Jitter},
    circuit_breaker::{CircuitBreaker, State},
    classify,
    fallback::Fallback,
    retry::{Budget, Retry, RetryEvent},
    telemetry::Received,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Down, MS, Mode, SEC, Upstream, now};

/// Fails the first attempt of every request; the request tells its attempts.
fn every_request_fails_once() -> impl Service<Arc<AtomicU32>, Response = (), Error = Error<Down>, Future: Send> + Clone
{
    service_fn(|attempts: Arc<AtomicU32>| async move {
        if attempts.fetch_add(1, SeqCst) == 0 { Err(Error::Inner(Down)) } else { Ok(()) }
    })
}

// 12
#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_extra_attempts_of_ten_thousand_requests_that_each_fail_once() {
    let retry = Retry::builder().backoff(Backoff::none()).build().unwrap();
    let service = retry.layer(every_request_fails_once());
    let mut attempts = 0;
    for _ in 0..10_000 {
        let request = Arc::new(AtomicU32::new(0));
        let _ = service.clone().oneshot(request.clone()).await;
        attempts += request.load(SeqCst);
    }
    let extra = attempts - 10_000;
    assert!(extra <= 50 + 2_000, "{extra} extra attempts; at most 50 + 0.2 of the calls");
    assert!(extra >= 2_000, "{extra} extra attempts; the budget is there to be used");
    assert_eq!(u64::from(extra), retry.handle().retries());
}

// 12
#[tokio::test(start_paused = true)]
async fn in_refund_mode_an_outage_ends_the_retries_and_a_brownout_is_retried_through() {
    let build = || Retry::builder().backoff(Backoff::none()).budget(Arc::new(Budget::refund())).build().unwrap();
    let outage = build();
    let service = outage.layer(Upstream::new(Mode::Fail));
    for _ in 0..10_000 {
        let _ = service.clone().oneshot(()).await;
    }
    assert_eq!(outage.handle().retries(), 50, "50 tokens, and no success to deposit any");

    let brownout = build();
    let service = brownout.layer(every_request_fails_once());
    for _ in 0..10_000 {
        service.clone().oneshot(Arc::default()).await.expect("each retry succeeds and gives its token back");
    }
    assert_eq!(brownout.handle().budget().unwrap().tokens(), 50.0);
}

/// The waits that a retry has told, over many calls.
async fn waits(backoff: Backoff) -> Vec<Duration> {
    let retry = Retry::builder().backoff(backoff).max_attempts(12).budget(None).seed(7).build().unwrap();
    let mut events = retry.handle().subscribe();
    let service = retry.layer(Upstream::new(Mode::Fail));
    let mut waits = Vec::new();
    for _ in 0..100 {
        let began = now();
        let _ = service.clone().oneshot(()).await;
        let mut told = Duration::ZERO;
        while let Some(received) = events.try_recv() {
            if let Received::Event(RetryEvent::Retrying { wait, .. }) = received {
                waits.push(wait);
                told += wait;
            }
        }
        // The timer rounds up to milliseconds, eleven times.
        assert!((told..=told + 22 * MS).contains(&(now() - began)), "told {told:?}, took {:?}", now() - began);
    }
    waits
}

// 13
#[tokio::test(start_paused = true)]
async fn no_wait_is_over_the_maximum_and_the_waits_at_the_maximum_are_spread() {
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::Around(0.2), Jitter::Around(1.0)] {
        let waits = waits(Backoff::exponential(25 * MS).max(2 * SEC).jitter(jitter)).await;
        assert_eq!(waits.len(), 1_100);
        let longest = waits.iter().max().unwrap();
        assert!(*longest <= 2 * SEC, "{jitter:?}: {longest:?}");
        let late: BTreeSet<_> = waits.chunks(11).flat_map(|call| &call[8..]).collect();
        assert!(late.len() > 150, "{jitter:?}: only {} different waits of 300 late ones", late.len());
    }
}

// 13
#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_open_for_its_longest_wait_still_spreads_it() {
    let mut waits = BTreeSet::new();
    for seed in 0..100 {
        let breaker = CircuitBreaker::builder().seed(seed).build().unwrap();
        for _ in 0..10 {
            breaker.handle().open();
        }
        assert_eq!(breaker.handle().state(), State::Open);
        waits.insert(breaker.handle().snapshot().open_for.unwrap());
    }
    assert!(*waits.last().unwrap() <= 5 * SEC, "{:?}", waits.last());
    assert!(
        waits.len() > 50 && *waits.first().unwrap() > 3 * SEC,
        "{} different, from {:?}",
        waits.len(),
        waits.first()
    );
}

// 14
#[tokio::test(start_paused = true)]
async fn a_retry_after_of_an_hour_is_cut_to_the_cap() {
    let told_to_wait = classify::from_fn(|outcome: Result<&u32, &Error<Down>>| match outcome {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::Overloaded { retry_after: Some(3600 * SEC) },
    });
    let retry = Retry::builder().max_retry_after(SEC).classify(told_to_wait).build().unwrap();
    let began = now();
    assert_eq!(retry.layer(Upstream::new(Mode::FailFirst(1))).oneshot(()).await, Ok(2));
    assert_eq!(now() - began, SEC);
}

/// Counts its clones.
struct Counted(Arc<AtomicU32>);

impl Clone for Counted {
    fn clone(&self) -> Self {
        self.0.fetch_add(1, SeqCst);
        Self(self.0.clone())
    }
}

// 34
#[tokio::test(start_paused = true)]
async fn a_request_is_not_cloned_for_the_last_attempt() {
    for attempts in 1..5 {
        let clones = Arc::new(AtomicU32::new(0));
        let retry = Retry::builder().backoff(Backoff::none()).max_attempts(attempts).build().unwrap();
        let upstream = Upstream::of(Mode::Fail);
        let _ = retry.layer(upstream.clone()).oneshot(Counted(clones.clone())).await;
        assert_eq!((upstream.calls(), clones.load(SeqCst)), (attempts, attempts - 1), "{attempts} attempts");
    }
}

/// A response that cannot be cloned.
#[derive(Debug, PartialEq)]
struct Unique(u32);

// 34
#[tokio::test(start_paused = true)]
async fn fallback_and_retry_work_with_responses_and_errors_that_cannot_be_cloned() {
    #[derive(Debug)]
    struct UniqueError;
    let inner = service_fn(|_: u32| async { Err::<Unique, _>(Error::Inner(UniqueError)) });
    let retry = Retry::builder().backoff(Backoff::none()).build().unwrap();

    let by_outcome = Fallback::from_outcome(|outcome: Result<Unique, _>| outcome.or(Ok(Unique(1)))).build();
    assert_eq!(by_outcome.layer(retry.layer(inner)).oneshot(7).await.unwrap(), Unique(1));
    let by_request = Fallback::from_request(|_: Result<Unique, _>, request| Ok(Unique(request))).build();
    assert_eq!(by_request.layer(retry.layer(inner)).oneshot(7).await.unwrap(), Unique(7));
    let other = service_fn(|request: u32| async move { Ok::<_, Error<UniqueError>>(Unique(request + 1)) });
    let by_service = Fallback::service(other).build();
    assert_eq!(by_service.layer(retry.layer(inner)).oneshot(7).await.unwrap(), Unique(8));
}

// 34
#[tokio::test(start_paused = true)]
async fn a_fallback_that_does_not_need_the_request_does_not_clone_it() {
    let clones = Arc::new(AtomicU32::new(0));
    let fallback = Fallback::value(9).build();
    let service = fallback.layer(Upstream::of(Mode::Fail));
    assert_eq!(service.oneshot(Counted(clones.clone())).await, Ok(9));
    assert_eq!(clones.load(SeqCst), 0);
}
