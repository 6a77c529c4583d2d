//! What the properties share: generated settings, and a few shorthands.

use std::time::Duration;

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use steadfast::{
    backoff::{Backoff, Jitter},
    circuit_breaker::{Abandoned, CircuitBreakerSettings, HalfOpenEnd, SlowCalls, Window},
};

pub(crate) const NS: Duration = Duration::from_nanos(1);
pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SEC: Duration = Duration::from_secs(1);
pub(crate) const ZERO: Duration = Duration::ZERO;

/// So many cases, unless `PROPTEST_CASES` says otherwise.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let file = "tests/properties_breaker/regressions.txt";
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(file)));
    config
}

/// Up to ten seconds: often none, often whole seconds, often 1 ns off them.
pub(crate) fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        3 => Just(ZERO),
        1 => Just(NS),
        3 => (0..10_000_u64).prop_map(Duration::from_millis),
        2 => (1..10_u64).prop_map(Duration::from_secs),
        1 => (1..10_u64).prop_map(|secs| Duration::from_secs(secs) - NS),
    ]
}

pub(crate) fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        (1..=8_u32).prop_map(Window::Count),
        (1..=5_u64).prop_map(|secs| Window::Time(Duration::from_secs(secs))),
    ]
}

pub(crate) fn abandoned() -> impl Strategy<Value = Abandoned> {
    prop_oneof![Just(Abandoned::Judged), Just(Abandoned::Ignored), Just(Abandoned::Failure)]
}

pub(crate) fn half_open_end() -> impl Strategy<Value = HalfOpenEnd> {
    prop_oneof![Just(HalfOpenEnd::Judge), Just(HalfOpenEnd::Open), Just(HalfOpenEnd::Close)]
}

pub(crate) fn rate() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.01), Just(0.3), Just(0.5), Just(0.75), Just(1.0)]
}

pub(crate) fn wait_open() -> impl Strategy<Value = Backoff> {
    let wait = || (1..5_000_u64).prop_map(Duration::from_millis);
    prop_oneof![
        wait().prop_map(Backoff::fixed),
        wait().prop_map(|wait| Backoff::exponential(wait).max(6 * SEC).jitter(Jitter::Around(0.2))),
        wait().prop_map(|wait| Backoff::exponential(wait).jitter(Jitter::Equal)),
        [wait(), wait(), wait()].prop_map(Backoff::steps),
    ]
}

/// Any settings with small numbers, so that every limit is met often.
pub(crate) fn settings() -> impl Strategy<Value = CircuitBreakerSettings> {
    let rates = (window(), 1..=8_u32, rate(), prop::option::of((rate(), (1..3_000_u64))));
    let open = (prop::option::of(1..=6_u32), wait_open(), abandoned());
    let trial = (1..=6_u32, prop::option::of(1..10_000_u64), half_open_end(), any::<bool>());
    let ramp = prop::option::weighted(0.3, 1..5_000_u64);
    (rates, open, trial, ramp).prop_map(|(rates, open, trial, ramp)| {
        let mut settings = CircuitBreakerSettings::default();
        (settings.window, settings.minimum_calls, settings.failure_rate) = (rates.0, rates.1, rates.2);
        settings.slow_calls =
            rates.3.map(|(rate, longer_than)| SlowCalls { rate, longer_than: Duration::from_millis(longer_than) });
        (settings.consecutive_failures, settings.wait_open, settings.abandoned) = open;
        settings.half_open_calls = trial.0;
        settings.half_open_max_wait = trial.1.map(Duration::from_millis);
        (settings.half_open_end, settings.automatic_half_open) = (trial.2, trial.3);
        settings.ramp = ramp.map(Duration::from_millis);
        settings.check(&"generated".into()).unwrap();
        settings
    })
}

/// Settings without rates that could open a breaker before a test wants it, and without timers.
pub(crate) fn plain() -> CircuitBreakerSettings {
    let mut settings = CircuitBreakerSettings::default();
    settings.window = Window::Count(1);
    settings.minimum_calls = 1;
    settings.consecutive_failures = None;
    settings.half_open_calls = 1;
    settings.half_open_max_wait = None;
    settings
}
