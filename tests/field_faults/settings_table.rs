//! Fault 17, when built: every setter of every layer with values that make no sense, as a table. The error names the
//! component, the field, the value and the range; nothing panics, nothing is silently made into something else.

use std::{fmt::Debug, time::Duration};

use steadfast::{
    ConfigError,
    backoff::{Backoff, Jitter},
    circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerSettings, HalfOpenEnd},
    hedge::Hedge,
    retry::{Budget, BudgetMode, Retry, RetryBuilder},
    timeout::Timeout,
};

use crate::support::{MS, SEC};

const NANO: Duration = Duration::from_nanos(1);

/// Expects the error `field is value; allowed: allowed`, word by word, and that the parts of it can be read.
fn refused<T: Debug>(built: Result<T, ConfigError>, component: &str, expected: &str) {
    let error = built.expect_err(expected);
    assert_eq!(error.to_string(), format!("`{component}`: {expected}"));
    let parts = format!("{} is {}; allowed: {}", error.field(), error.value(), error.allowed());
    assert_eq!((error.component().as_str(), parts.as_str()), (component, expected));
}

type BreakerSetter = fn(CircuitBreakerBuilder) -> CircuitBreakerBuilder;

const WINDOW_COUNT: &str = "1 to 1,000,000 calls";
const WINDOW_TIME: &str = "1 s to 1 h, in whole seconds";
const RATE: &str = "over 0, at most 1";

fn breaker_table() -> Vec<(BreakerSetter, String)> {
    let mut table: Vec<(BreakerSetter, String)> = vec![
        (|b| b.count_window(0), format!("window is Count(0); allowed: {WINDOW_COUNT}")),
        (|b| b.count_window(u32::MAX), format!("window is Count(4294967295); allowed: {WINDOW_COUNT}")),
        (|b| b.time_window(Duration::ZERO), format!("window is Time(0ns); allowed: {WINDOW_TIME}")),
        (|b| b.time_window(1500 * MS), format!("window is Time(1.5s); allowed: {WINDOW_TIME}")),
        (|b| b.time_window(SEC - NANO), format!("window is Time(999.999999ms); allowed: {WINDOW_TIME}")),
        (|b| b.time_window(3601 * SEC), format!("window is Time(3601s); allowed: {WINDOW_TIME}")),
        (
            |b| b.time_window(Duration::MAX),
            format!("window is Time(18446744073709551615.999999999s); allowed: {WINDOW_TIME}"),
        ),
        (|b| b.minimum_calls(0), "minimum_calls is 0; allowed: at least 1".into()),
        (|b| b.failure_rate(0.0), format!("failure_rate is 0.0; allowed: {RATE}")),
        (|b| b.failure_rate(-0.5), format!("failure_rate is -0.5; allowed: {RATE}")),
        (|b| b.failure_rate(50.0), format!("failure_rate is 50.0; allowed: {RATE}")),
        (|b| b.failure_rate(1.0 + f64::EPSILON), format!("failure_rate is 1.0000000000000002; allowed: {RATE}")),
        (|b| b.failure_rate(f64::NAN), format!("failure_rate is NaN; allowed: {RATE}")),
        (|b| b.failure_rate(f64::INFINITY), format!("failure_rate is inf; allowed: {RATE}")),
        (|b| b.failure_rate(f64::NEG_INFINITY), format!("failure_rate is -inf; allowed: {RATE}")),
        (|b| b.slow_calls(0.0, SEC), format!("slow_call_rate is 0.0; allowed: {RATE}")),
        (|b| b.slow_calls(-1.0, SEC), format!("slow_call_rate is -1.0; allowed: {RATE}")),
        (|b| b.slow_calls(1.5, SEC), format!("slow_call_rate is 1.5; allowed: {RATE}")),
        (|b| b.slow_calls(f64::NAN, SEC), format!("slow_call_rate is NaN; allowed: {RATE}")),
        (|b| b.slow_calls(f64::INFINITY, SEC), format!("slow_call_rate is inf; allowed: {RATE}")),
        (|b| b.slow_calls(0.5, Duration::ZERO), "slow_call_duration is 0ns; allowed: over 0".into()),
        (|b| b.consecutive_failures(0), "consecutive_failures is 0; allowed: at least 1".into()),
        (|b| b.half_open_calls(0), "half_open_calls is 0; allowed: 1 to 1,000,000".into()),
        (|b| b.half_open_calls(u32::MAX), "half_open_calls is 4294967295; allowed: 1 to 1,000,000".into()),
        (
            |b| b.half_open_max_wait(Duration::ZERO, HalfOpenEnd::Open),
            "half_open_max_wait is 0ns; allowed: over 0".into(),
        ),
        (|b| b.ramp(Duration::ZERO), "ramp is 0ns; allowed: over 0".into()),
    ];
    // What no back-off may be is refused here too; more than that, no open state may last for no time at all.
    let of_waits: [(BreakerSetter, &str); 10] = [
        (|b| b.wait_open(Backoff::none()), "0ns; allowed: over 0"),
        (
            |b| b.wait_open(Backoff::fixed(NANO).whole_millis()),
            "1ns; allowed: at least 1 ms, as it is cut to whole ones",
        ),
        (|b| b.wait_open(Backoff::steps([])), "without steps; allowed: at least one step"),
        (
            |b| b.wait_open(Backoff::steps([SEC, Duration::ZERO])),
            "in steps of which number 2 gives no wait; allowed: steps over 0",
        ),
        (|b| b.wait_open(Backoff::steps([SEC]).max(Duration::ZERO)), "up to 0ns; allowed: a maximum over 0"),
        (
            |b| b.wait_open(Backoff::exponential(SEC).factor(0.5).jitter(Jitter::None)),
            "exponential with a factor of 0.5; allowed: a factor of at least 1 (here waits that shrink would end at none at all)",
        ),
        (
            |b| b.wait_open(Backoff::exponential(SEC).jitter(Jitter::Full)),
            "spread by Full; allowed: no, equal or proportional jitter (here the others could give no wait at all)",
        ),
        (
            |b| b.wait_open(Backoff::exponential(SEC).jitter(Jitter::Decorrelated)),
            "spread by Decorrelated; allowed: no, equal or proportional jitter (here the others could give no wait at all)",
        ),
        (
            |b| b.wait_open(Backoff::fixed(SEC).jitter(Jitter::Around(f64::NAN))),
            "spread by Around(NaN); allowed: jitter around the wait by 0 to 1 of it",
        ),
        (
            |b| b.wait_open(Backoff::fixed(SEC).max(MS)),
            "fixed at 1s up to 1ms; allowed: a maximum that is not under the wait",
        ),
    ];
    table.extend(of_waits.map(|(setter, expected)| (setter, format!("wait_open is {expected}"))));
    table
}

// 17
#[test]
fn no_breaker_is_built_of_settings_that_make_no_sense() {
    for (setter, expected) in breaker_table() {
        refused(setter(CircuitBreaker::builder().name("db")).build(), "db", &expected);
        refused(setter(CircuitBreaker::builder().name("db")).build_keyed::<u32>(10), "db", &expected);
    }
    let keyed = CircuitBreaker::builder().build_keyed::<u32>(0);
    refused(keyed, "circuit_breaker", "capacity is 0; allowed: at least 1");
}

// 17
#[test]
fn no_live_change_of_a_breaker_to_settings_that_make_no_sense_changes_anything() {
    let handle = CircuitBreaker::builder().name("db").build().unwrap().handle();
    let before = handle.settings();
    let mut events = handle.subscribe();
    refused(handle.change(|settings| settings.minimum_calls = 0), "db", "minimum_calls is 0; allowed: at least 1");
    let nonsense = |settings: &mut CircuitBreakerSettings| {
        settings.half_open_calls = 7; // sensible, but of the same change
        settings.failure_rate = f64::NAN;
    };
    refused(handle.change(nonsense), "db", "failure_rate is NaN; allowed: over 0, at most 1");
    assert_eq!(handle.settings(), before);
    assert!(events.try_recv().is_none());
}

type RetrySetter = fn(RetryBuilder) -> RetryBuilder;

// 17
#[test]
fn no_retry_is_built_of_settings_that_make_no_sense() {
    let table: [(RetrySetter, &str); 13] = [
        (|r| r.max_attempts(0), "max_attempts is 0; allowed: at least 1"),
        (|r| r.max_retry_after(Duration::ZERO), "max_retry_after is 0ns; allowed: over 0"),
        (
            |r| r.backoff(Backoff::exponential(Duration::ZERO)),
            "backoff is exponential from 0ns up to 18446744073709551615.999999999s; allowed: a first wait over 0",
        ),
        (
            |r| r.backoff(Backoff::exponential(NANO).whole_millis()),
            "backoff is exponential from 1ns up to 18446744073709551615.999999999s; allowed: a first wait of at least 1 ms, as it is cut to whole ones",
        ),
        (
            |r| r.backoff(Backoff::exponential(SEC).max(MS)),
            "backoff is exponential from 1s up to 1ms; allowed: a maximum that is not under the first wait",
        ),
        (
            |r| r.backoff(Backoff::fixed(SEC).max(MS)),
            "backoff is fixed at 1s up to 1ms; allowed: a maximum that is not under the wait",
        ),
        (
            |r| r.backoff(Backoff::exponential(SEC).factor(0.0)),
            "backoff is exponential with a factor of 0.0; allowed: a finite factor over 0",
        ),
        (
            |r| r.backoff(Backoff::exponential(SEC).factor(-2.0)),
            "backoff is exponential with a factor of -2.0; allowed: a finite factor over 0",
        ),
        (
            |r| r.backoff(Backoff::exponential(SEC).factor(f64::NAN)),
            "backoff is exponential with a factor of NaN; allowed: a finite factor over 0",
        ),
        (
            |r| r.backoff(Backoff::exponential(SEC).factor(f64::INFINITY)),
            "backoff is exponential with a factor of inf; allowed: a finite factor over 0",
        ),
        (
            |r| r.backoff(Backoff::fixed(SEC).jitter(Jitter::Around(1.1))),
            "backoff is spread by Around(1.1); allowed: jitter around the wait by 0 to 1 of it",
        ),
        (
            |r| r.backoff(Backoff::fixed(SEC).jitter(Jitter::Around(-0.1))),
            "backoff is spread by Around(-0.1); allowed: jitter around the wait by 0 to 1 of it",
        ),
        (
            |r| r.backoff(Backoff::fixed(SEC).jitter(Jitter::Around(f64::NAN))),
            "backoff is spread by Around(NaN); allowed: jitter around the wait by 0 to 1 of it",
        ),
    ];
    for (setter, expected) in table {
        refused(setter(Retry::builder().name("orders")).build(), "orders", expected);
    }
    let handle = Retry::builder().name("orders").build().unwrap().handle();
    let before = handle.settings();
    refused(handle.change(|settings| settings.max_attempts = 0), "orders", "max_attempts is 0; allowed: at least 1");
    assert_eq!(handle.settings(), before);
}

// 17
#[test]
fn no_hedge_is_built_of_settings_that_make_no_sense() {
    let table = [
        (Hedge::percentile(0.0), "hedge.percentile is 0.0; allowed: over 0, under 1"),
        (Hedge::percentile(1.0), "hedge.percentile is 1.0; allowed: over 0, under 1"),
        (Hedge::percentile(95.0), "hedge.percentile is 95.0; allowed: over 0, under 1"),
        (Hedge::percentile(f64::NAN), "hedge.percentile is NaN; allowed: over 0, under 1"),
        (Hedge::default().medians(-1.0), "hedge.medians is -1.0; allowed: a finite number, at least 0"),
        (Hedge::default().medians(f64::INFINITY), "hedge.medians is inf; allowed: a finite number, at least 0"),
        (Hedge::default().minimum_calls(0), "hedge.minimum_calls is 0; allowed: at least 1"),
        (Hedge::default().budget(1.1, 3), "hedge.share is 1.1; allowed: 0 to 1"),
        (Hedge::default().budget(f64::NAN, 3), "hedge.share is NaN; allowed: 0 to 1"),
        (Hedge::default().budget(0.05, 0), "hedge.burst is 0; allowed: 1 to 1,000,000,000"),
        (Hedge::default().budget(0.05, u32::MAX), "hedge.burst is 4294967295; allowed: 1 to 1,000,000,000"),
        (Hedge::never().soft_timeout(Duration::ZERO), "soft_timeout is 0ns; allowed: over 0"),
    ];
    for (hedge, expected) in table {
        refused(Retry::builder().name("orders").hedge(hedge).build(), "orders", expected);
    }
    let handle = Retry::builder().name("orders").hedge(Hedge::default()).build().unwrap().handle().hedge().unwrap();
    let before = handle.settings();
    refused(handle.change(|settings| settings.burst = 0), "orders", "hedge.burst is 0; allowed: 1 to 1,000,000,000");
    assert_eq!(handle.settings(), before);
}

// 17
#[test]
fn no_budget_is_made_of_values_that_make_no_sense() {
    for (mode, tokens, expected) in [
        (BudgetMode::Ratio(-0.1), 50, "mode is Ratio(-0.1); allowed: a share of 0 to 1"),
        (BudgetMode::Ratio(1.1), 50, "mode is Ratio(1.1); allowed: a share of 0 to 1"),
        (BudgetMode::Ratio(f64::NAN), 50, "mode is Ratio(NaN); allowed: a share of 0 to 1"),
        (BudgetMode::Refund(f64::INFINITY), 50, "mode is Refund(inf); allowed: a share of 0 to 1"),
        (BudgetMode::Refund(0.1), 0, "tokens is 0; allowed: 1 to 1,000,000,000"),
        (BudgetMode::Ratio(0.2), u32::MAX, "tokens is 4294967295; allowed: 1 to 1,000,000,000"),
    ] {
        refused(Budget::new(mode, tokens), "retry budget", expected);
    }
}

// 17
#[test]
fn no_timeout_is_built_without_time() {
    let expected = "limit is 0ns; allowed: over 0";
    refused(Timeout::builder(Duration::ZERO).name("call").build(), "call", expected);
    let handle = Timeout::builder(SEC).name("call").build().unwrap().handle();
    refused(handle.change(Duration::ZERO), "call", expected);
    assert_eq!(handle.limit(), SEC);
}
