//! Every default as one literal, so that a change of one is seen in review.

use std::time::Duration;

use steadfast::{
    adaptive_limit::AdaptiveLimitSettings,
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitBreakerSettings},
    coalesce::Coalesce,
    failover::{Endpoint, Failover, FailoverSettings},
    fallback::Fallback,
    hedge::{Hedge, HedgeDelay, HedgeSettings},
    retry::{Budget, Retry, RetryLayer, RetrySettings},
    shed::{Shed, ShedLayer, ShedSettings},
    timeout::Timeout,
};

#[test]
fn the_defaults_of_a_circuit_breaker_are_pinned() {
    let pinned = "\
CircuitBreakerSettings {
    window: Time(
        10s,
    ),
    minimum_calls: 20,
    failure_rate: 0.5,
    slow_calls: None,
    consecutive_failures: Some(
        10,
    ),
    wait_open: Backoff {
        base: Exponential {
            initial: 250ms,
            factor: 2.0,
        },
        max: 5s,
        jitter: Some(
            Around(
                0.2,
            ),
        ),
        unit: 1ns,
    },
    half_open_calls: 5,
    half_open_max_wait: Some(
        10s,
    ),
    half_open_end: Judge,
    automatic_half_open: false,
    abandoned: Judged,
    overloaded_is_failure: true,
    ramp: None,
}";
    assert_eq!(format!("{:#?}", CircuitBreakerSettings::default()), pinned);
    for layer in [CircuitBreakerLayer::default(), CircuitBreaker::builder().build().unwrap()] {
        assert_eq!(layer.handle().name().as_str(), "circuit_breaker");
        assert_eq!(layer.handle().settings(), CircuitBreakerSettings::default());
    }
}

#[test]
fn the_defaults_of_an_adaptive_limit_are_pinned() {
    let pinned = "AdaptiveLimitSettings { deadline: 3s, algorithm: Deadline, slow_after: 0.5, initial: 50, min: 1, max: 10000, \
                  max_waiting: 1000, max_wait: 0.6, order: Lifo }";
    assert_eq!(format!("{:?}", AdaptiveLimitSettings::new(Duration::from_secs(3))), pinned);
}

#[test]
fn the_preset_of_resilience4j_is_pinned() {
    let pinned = "\
CircuitBreakerSettings {
    window: Count(
        100,
    ),
    minimum_calls: 100,
    failure_rate: 0.5,
    slow_calls: Some(
        SlowCalls {
            rate: 1.0,
            longer_than: 60s,
        },
    ),
    consecutive_failures: None,
    wait_open: Backoff {
        base: Fixed(
            60s,
        ),
        max: 18446744073709551615.999999999s,
        jitter: None,
        unit: 1ms,
    },
    half_open_calls: 10,
    half_open_max_wait: None,
    half_open_end: Open,
    automatic_half_open: false,
    abandoned: Ignored,
    overloaded_is_failure: true,
    ramp: None,
}";
    assert_eq!(format!("{:#?}", CircuitBreakerSettings::resilience4j()), pinned);
    let built = CircuitBreaker::resilience4j().build().unwrap();
    assert_eq!(built.handle().settings(), CircuitBreakerSettings::resilience4j());
}

#[test]
fn the_defaults_of_a_retry_are_pinned() {
    let pinned = "\
RetrySettings {
    max_attempts: 3,
    backoff: Backoff {
        base: Exponential {
            initial: 25ms,
            factor: 2.0,
        },
        max: 2s,
        jitter: Some(
            Full,
        ),
        unit: 1ns,
    },
    max_retry_after: 10s,
}";
    assert_eq!(format!("{:#?}", RetrySettings::default()), pinned);
    for layer in [RetryLayer::default(), Retry::builder().build().unwrap()] {
        assert_eq!(layer.handle().name().as_str(), "retry");
        assert_eq!(layer.handle().settings(), RetrySettings::default());
        let budget = layer.handle().budget().map(|budget| format!("{budget:?}"));
        assert_eq!(budget.as_deref(), Some("Budget { tokens: 50.0, refunds: false, .. }"));
    }
}

#[test]
fn the_defaults_of_a_failover_client_are_pinned() {
    let pinned = "\
FailoverSettings {
    balance: PeakEwma,
    tiers: Strict {
        min_healthy: 1,
    },
    zone: None,
    failback: After(
        30s,
    ),
    slow_start: 10s,
    consecutive_failures: Some(
        5,
    ),
    connect_failures: Some(
        2,
    ),
    ejection: Backoff {
        base: Exponential {
            initial: 250ms,
            factor: 2.0,
        },
        max: 1s,
        jitter: Some(
            Around(
                0.2,
            ),
        ),
        unit: 1ns,
    },
    max_ejected: 0.5,
    all_out_failures: Some(
        10,
    ),
    all_out: Backoff {
        base: Exponential {
            initial: 50ms,
            factor: 1.5,
        },
        max: 400ms,
        jitter: Some(
            Around(
                0.2,
            ),
        ),
        unit: 1ns,
    },
    max_hold: 1s,
    max_endpoints_per_call: 2,
    acquire_timeout: 1s,
    trial_timeout: 10s,
    penalty: 250ms,
    check: Check {
        every: 2s,
        fast: 500ms,
        timeout: 1s,
        fall: 3,
        rise: 2,
        misses: 3,
        jitter: 0.1,
    },
    outliers: Outliers {
        success_rate: None,
        failure_percentage: None,
        interval: 10s,
        base_ejection: 5s,
        max_ejection: 300s,
        errors: Together,
    },
    refuse_writes_on_split_brain: false,
}";
    assert_eq!(format!("{:#?}", FailoverSettings::default()), pinned);
    let (client, handle) = Failover::builder().endpoint(Endpoint::new("a", ())).build().unwrap();
    assert_eq!((client.handle().name().as_str(), handle.settings()), ("failover", FailoverSettings::default()));
    let meta = handle.snapshot().endpoints.remove(0).meta;
    assert_eq!((meta.tier(), meta.weight(), meta.zone(), meta.address()), (0, 1.0, None, None));
}

#[test]
fn the_defaults_of_a_hedge_are_pinned() {
    let pinned = "\
HedgeSettings {
    delay: Percentile {
        share: 0.95,
        medians: 3.0,
    },
    minimum_calls: 20,
    share: 0.05,
    burst: 3,
    overload_hold: 1s,
    soft_timeout: None,
}";
    assert_eq!(format!("{:#?}", HedgeSettings::default()), pinned);
    for hedge in [Hedge::default(), Hedge::percentile(0.95), Hedge::settings(HedgeSettings::default())] {
        let handle = Retry::builder().hedge(hedge).build().unwrap().handle();
        assert_eq!((handle.settings(), handle.name().as_str()), (RetrySettings::default(), "retry"));
        let hedge = handle.hedge().unwrap();
        assert_eq!((hedge.settings(), hedge.snapshot().tokens), (HedgeSettings::default(), 3.0));
    }
    let alone = Hedge::default().alone().build().unwrap().handle();
    assert_eq!((alone.settings().max_attempts, alone.name().as_str()), (2, "hedge"));
    let soft = Retry::builder().soft_timeout(Duration::from_secs(1)).build().unwrap().handle().hedge().unwrap();
    assert_eq!(soft.settings().delay, HedgeDelay::Never);
}

#[test]
fn the_defaults_of_the_budgets_are_pinned() {
    // What each holds, and what ten first attempts, then ten successes, then ten retries that succeed put into it.
    let filled = |budget: Budget, by: fn(&Budget)| {
        while budget.withdraw() {}
        (0..10).for_each(|_| by(&budget));
        budget.tokens()
    };
    let all = |make: fn() -> Budget| {
        let by: [fn(&Budget); 3] = [Budget::first_attempt, Budget::first_success, Budget::retry_success];
        (make().tokens(), by.map(|by| filled(make(), by)))
    };
    assert_eq!(all(Budget::ratio), (50.0, [2.0, 0.0, 0.0]));
    assert_eq!(all(Budget::refund), (50.0, [0.0, 1.0, 10.0]));
}

#[cfg(feature = "cache")]
#[test]
fn the_defaults_of_a_cache_are_pinned() {
    let pinned = "\
CacheSettings {
    ttl: 60s,
    stale_while_revalidate: 0ns,
    stale_if_error: 0ns,
    revalidate_timeout: 10s,
}";
    let builder = steadfast::cache::Cache::builder(Duration::from_secs(60), |request: &u32| Some(*request));
    let layer = builder.build::<u32>().unwrap();
    assert_eq!(format!("{:#?}", layer.handle().settings()), pinned);
    assert_eq!(layer.handle().name().as_str(), "cache");
}

#[test]
fn the_name_of_a_coalescer_is_pinned_and_that_it_is_on() {
    let layer = Coalesce::builder(|request: &u32| Some(*request)).build::<std::future::Pending<()>>();
    assert_eq!((layer.handle().name().as_str(), layer.handle().is_enabled()), ("coalesce", true));
}

#[test]
fn the_defaults_of_load_shedding_are_pinned() {
    let pinned = "\
ShedSettings {
    max_concurrent: 25,
    max_waiting: 1000,
    target: 20ms,
    interval: 100ms,
    adaptive_lifo: true,
}";
    assert_eq!(format!("{:#?}", ShedSettings::default()), pinned);
    for layer in [ShedLayer::default(), Shed::builder(25).build().unwrap()] {
        assert_eq!(layer.handle().name().as_str(), "shed");
        assert_eq!(layer.handle().settings(), ShedSettings::default());
    }
}

#[test]
fn the_names_of_timeout_and_fallback_are_pinned() {
    let timeout = Timeout::builder(Duration::from_secs(1)).build().unwrap();
    assert_eq!(timeout.handle().name().as_str(), "timeout");
    assert_eq!(Fallback::value(0).build().handle().name().as_str(), "fallback");
}
