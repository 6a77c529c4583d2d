//! Fault 17, when called: the extremes that are allowed. They saturate, and no call panics.

use std::{sync::Arc, time::Duration};

use steadfast::{
    BoxError,
    backoff::{Backoff, Jitter},
    circuit_breaker::{Abandoned, CircuitBreaker, CircuitBreakerBuilder, HalfOpenEnd, State},
    hedge::Hedge,
    retry::{Budget, BudgetMode, Retry, RetryBuilder},
    timeout::Timeout,
};
use tower::{Layer, ServiceExt};

use crate::support::{Mode, SEC, Upstream, call_times, poll_once};

type BreakerSetter = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;

const EXTREMES: [(&str, BreakerSetter); 20] = [
    ("window of one", |b| b.count_window(1)),
    ("window of a million", |b| b.count_window(1_000_000)),
    ("window of a second", |b| b.time_window(SEC)),
    ("window of an hour", |b| b.time_window(3600 * SEC)),
    ("minimum of one", |b| b.minimum_calls(1)),
    ("minimum without end", |b| b.minimum_calls(u32::MAX)),
    ("least rate", |b| b.failure_rate(f64::MIN_POSITIVE)),
    ("rate of one", |b| b.failure_rate(1.0)),
    ("least slow rate", |b| b.slow_calls(f64::MIN_POSITIVE, Duration::MAX)),
    ("least slow duration", |b| b.slow_calls(1.0, Duration::from_nanos(1))),
    ("one in a row", |b| b.consecutive_failures(1)),
    ("a row without end", |b| b.consecutive_failures(u32::MAX)),
    ("wait for ever", |b| b.wait_open(Backoff::fixed(Duration::MAX))),
    ("wait of a nanosecond", |b| b.wait_open(Backoff::fixed(Duration::from_nanos(1)))),
    ("steep wait", |b| b.wait_open(Backoff::exponential(Duration::MAX).factor(f64::MAX).jitter(Jitter::Around(1.0)))),
    ("one trial call", |b| b.half_open_calls(1)),
    ("a million trial calls", |b| b.half_open_calls(1_000_000)),
    ("half-open for ever", |b| b.half_open_max_wait(Duration::MAX, HalfOpenEnd::Judge).automatic_half_open(true)),
    ("half-open for a nanosecond", |b| {
        b.half_open_max_wait(Duration::from_nanos(1), HalfOpenEnd::Open)
            .wait_open(Backoff::fixed(Duration::from_nanos(1)))
            .automatic_half_open(true)
    }),
    ("ramp for ever", |b| b.ramp(Duration::MAX)),
];

// 17
#[tokio::test(start_paused = true)]
async fn a_breaker_of_extreme_settings_goes_through_all_its_states_without_a_panic() {
    for (name, setter) in EXTREMES {
        for abandoned in [Abandoned::Judged, Abandoned::Ignored, Abandoned::Failure] {
            let breaker = setter(CircuitBreaker::builder()).abandoned(abandoned).build().expect(name);
            let handle = breaker.handle();
            let upstream = Upstream::new(Mode::Succeed);
            let service = breaker.layer(upstream.clone());
            for wait in [Duration::ZERO, SEC, Duration::MAX] {
                upstream.set(Mode::Fail);
                call_times(&service, 15).await;
                upstream.set(Mode::Hang);
                let mut hanging = Box::pin(service.clone().oneshot(()));
                let _ = poll_once(&mut hanging);
                handle.open_for(wait);
                upstream.set(Mode::Fail);
                call_times(&service, 3).await;
                tokio::time::advance(100_000 * SEC).await;
                upstream.set(Mode::Succeed);
                call_times(&service, 15).await;
                handle.half_open();
                call_times(&service, 15).await;
                drop(hanging);
                handle.metrics_only();
                call_times(&service, 3).await;
                handle.reset();
                assert_eq!(handle.state(), State::Closed, "{name}");
            }
        }
    }
}

// 17
#[tokio::test(start_paused = true)]
async fn the_least_threshold_still_needs_one_failure() {
    let upstream = Upstream::new(Mode::Succeed);
    for builder in [
        CircuitBreaker::builder().failure_rate(f64::MIN_POSITIVE),
        CircuitBreaker::builder().slow_calls(f64::MIN_POSITIVE, SEC),
    ] {
        let breaker = builder.build().unwrap();
        assert_eq!(call_times(&breaker.layer(upstream.clone()), 100).await, 100, "{:?}", breaker.handle().snapshot());
    }
}

// 17
#[tokio::test(start_paused = true)]
async fn a_breaker_with_a_threshold_of_one_opens_when_all_fail_and_only_then() {
    let breaker =
        CircuitBreaker::builder().count_window(10).failure_rate(1.0).consecutive_failures(None).build().unwrap();
    let upstream = Upstream::new(Mode::FailFirst(9));
    let service = breaker.layer(upstream.clone());
    call_times(&service, 10).await;
    assert_eq!(breaker.handle().state(), State::Closed);
    upstream.set(Mode::Fail);
    call_times(&service, 9).await;
    assert_eq!(breaker.handle().state(), State::Closed);
    call_times(&service, 1).await;
    assert_eq!(breaker.handle().state(), State::Open);
}

// 17
#[test]
fn a_set_of_breakers_of_any_capacity_takes_memory_only_for_the_keys_there_are() {
    for capacity in [1, 2, 1_000_000_000, usize::MAX] {
        let breakers = CircuitBreaker::builder().build_keyed::<u32>(capacity).unwrap();
        for key in 0..100 {
            breakers.for_key(&key).handle().open();
        }
        assert!(!breakers.is_empty() && breakers.len() <= 100, "{capacity}: {}", breakers.len());
    }
}

type RetrySetter = fn(RetryBuilder) -> RetryBuilder;

// 17
#[tokio::test(start_paused = true)]
async fn a_retry_of_extreme_settings_answers_without_a_panic() {
    let table: [(&str, RetrySetter); 12] = [
        ("attempts without end", |r| r.max_attempts(u32::MAX)),
        ("one attempt", |r| r.max_attempts(1)),
        ("no wait", |r| r.backoff(Backoff::none())),
        ("no steps", |r| r.backoff(Backoff::steps([]))),
        ("endless steps", |r| r.backoff(Backoff::steps(std::iter::repeat(SEC)))),
        ("wait for ever", |r| r.backoff(Backoff::fixed(Duration::MAX))),
        ("steep", |r| r.backoff(Backoff::exponential(SEC).factor(f64::MAX))),
        ("shrinking", |r| r.backoff(Backoff::exponential(SEC).factor(f64::MIN_POSITIVE))),
        ("decorrelated for ever", |r| r.backoff(Backoff::exponential(Duration::MAX).jitter(Jitter::Decorrelated))),
        ("no retry-after", |r| r.max_retry_after(Duration::from_nanos(1))),
        ("retry-after without end", |r| r.max_retry_after(Duration::MAX)),
        ("no deposit", |r| r.budget(Arc::new(Budget::new(BudgetMode::Ratio(0.0), 1).unwrap()))),
    ];
    for (name, setter) in table {
        let timeout = Timeout::builder(1_000_000 * SEC).build().unwrap();
        let retry = setter(Retry::builder()).build().expect(name);
        let service = timeout.layer(retry.layer(Upstream::new(Mode::FailFirst(2))));
        assert!(call_times(&service, 3).await >= 1, "{name}");
    }
}

// 17
#[tokio::test(start_paused = true)]
async fn a_hedge_of_extreme_settings_answers_without_a_panic() {
    let nano = Duration::from_nanos(1);
    let hedges = [
        Hedge::after(Duration::ZERO),
        Hedge::after(Duration::MAX),
        Hedge::after(nano).budget(0.0, 1),
        Hedge::after(nano).budget(1.0, 1_000_000_000),
        Hedge::percentile(f64::MIN_POSITIVE).medians(0.0).minimum_calls(1),
        Hedge::percentile(1.0 - f64::EPSILON).medians(f64::MAX).minimum_calls(1),
        Hedge::percentile(0.5).minimum_calls(u32::MAX),
        Hedge::after(nano).overload_hold(Duration::MAX),
        Hedge::after(nano).soft_timeout(nano),
        Hedge::after(nano).soft_timeout(Duration::MAX),
    ];
    for hedge in hedges {
        for attempts in [1, 2, u32::MAX] {
            let layer = Retry::builder().max_attempts(attempts).hedge(hedge).build().unwrap();
            for mode in [Mode::Succeed, Mode::Fail, Mode::FailFirst(2), Mode::Hang] {
                let service = Timeout::builder(SEC).build().unwrap().layer(layer.layer(Upstream::new(mode)));
                for _ in 0..3 {
                    let _ = service.clone().oneshot(()).await;
                }
            }
        }
    }
}

// 17
#[tokio::test(start_paused = true)]
async fn a_timeout_without_end_is_none_and_the_least_one_is_one() {
    let without_end = Timeout::builder(Duration::MAX).build().unwrap();
    let upstream = Upstream::new(Mode::Hang);
    let call = tokio::spawn(without_end.layer(without_end.layer(upstream.clone())).oneshot(()));
    tokio::task::yield_now().await;
    tokio::time::advance(10_000_000 * SEC).await;
    assert!(!call.is_finished());
    upstream.answer();
    assert_eq!(call.await.unwrap(), Ok(1));

    // Beyond what an instant can express, but not `MAX`; and just within a `u64` of nanoseconds.
    for limit in [Duration::MAX - SEC, Duration::from_nanos(u64::MAX), Duration::from_nanos(u64::MAX - 1)] {
        let timeout = Timeout::builder(limit).build().unwrap();
        let mut call = Box::pin(timeout.layer(upstream.clone()).oneshot(()));
        assert!(poll_once(&mut call).is_none(), "{limit:?}");
    }
    let least = Timeout::builder(Duration::from_nanos(1)).build().unwrap();
    least.layer(upstream).oneshot(()).await.unwrap_err();
}

// 17
#[test]
fn a_back_off_saturates_for_every_attempt_and_draw() {
    let backoffs = [Duration::from_nanos(1), SEC, Duration::MAX].into_iter().flat_map(|initial| {
        [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::Around(1.0)].into_iter().flat_map(
            move |jitter| {
                [f64::MIN_POSITIVE, 1.0, 2.0, f64::MAX].map(|factor| {
                    [
                        Backoff::exponential(initial).factor(factor).jitter(jitter),
                        Backoff::exponential(initial).factor(factor).jitter(jitter).whole_millis(),
                        Backoff::fixed(initial).jitter(jitter),
                    ]
                })
            },
        )
    });
    for backoff in backoffs.flatten() {
        for n in [0, 1, 2, 1000, u32::MAX] {
            for random in [0.0, 0.5, 1.0 - f64::EPSILON] {
                for previous in [Duration::ZERO, Duration::MAX] {
                    assert_eq!(backoff.wait(n, previous, random).is_some(), n > 0, "{backoff:?}");
                }
            }
        }
    }
}

#[test]
fn an_error_of_settings_can_be_passed_up_as_any_other() {
    fn build() -> Result<(), BoxError> {
        Timeout::builder(Duration::ZERO).build()?;
        Ok(())
    }
    assert_eq!(build().unwrap_err().to_string(), "`timeout`: limit is 0ns; allowed: over 0");
}

// 17
#[tokio::test(start_paused = true)]
async fn a_breaker_that_goes_round_by_itself_may_be_left_alone_for_as_long_as_one_likes() {
    for waits in [Backoff::fixed(Duration::from_nanos(1)), Backoff::exponential(SEC).jitter(Jitter::None)] {
        let breaker = CircuitBreaker::builder()
            .wait_open(waits)
            .half_open_max_wait(Duration::from_nanos(1), HalfOpenEnd::Open)
            .automatic_half_open(true)
            .build()
            .unwrap();
        breaker.handle().open();
        for years in [0, 1, 1, 10, 100] {
            tokio::time::advance(years * 365 * 24 * 3600 * SEC).await;
            assert_ne!(breaker.handle().state(), State::Closed);
        }
    }
}

// 17
#[cfg(feature = "cache")]
#[tokio::test(start_paused = true)]
async fn a_cache_of_extreme_settings_answers_without_a_panic() {
    let times = [Duration::ZERO, Duration::from_nanos(1), SEC, Duration::MAX];
    for (ttl, while_revalidating) in times.iter().flat_map(|ttl| times.map(|other| (*ttl, other))) {
        for (if_error, limit) in times.iter().flat_map(|time| times[1..].iter().map(|limit| (*time, *limit))) {
            let builder = steadfast::cache::Cache::builder(ttl, |(): &()| Some(())).max_entries(1);
            let builder = builder.stale_while_revalidate(while_revalidating).stale_if_error(if_error);
            let Ok(cache) = builder.revalidate_timeout(limit).build() else {
                assert!(ttl.is_zero() && while_revalidating.is_zero() && if_error.is_zero());
                continue;
            };
            let upstream = Upstream::new(Mode::Succeed);
            let service = cache.layer(upstream.clone());
            for mode in [Mode::Succeed, Mode::Hang, Mode::Fail] {
                upstream.set(mode);
                let _ = poll_once(&mut Box::pin(service.clone().oneshot(())));
                tokio::time::advance(2 * SEC).await;
            }
            upstream.set(Mode::Succeed);
            assert_eq!(call_times(&service, 3).await, 3, "{:?}", cache.handle().settings());
        }
    }
}
