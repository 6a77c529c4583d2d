//! Conformance of limiter and bulkhead over generated steps: the machines of this crate do what the model of
//! Resilience4j with our rules does, whatever is done, and broken ones do not.

#[path = "../examples/conformance/runner/mod.rs"]
#[allow(dead_code, reason = "the rest of it is tested in conformance.rs")]
mod runner;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config as Runs, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::json;

use self::runner::{
    broken_limits::{BrokenBulkhead, BrokenLimiter, BulkheadFault, LimiterFault},
    bulkhead, limiter,
    recorded::agree,
};

/// How many cases are tried: `CONFORMANCE_CASES`, or so many.
fn cases(usual: u32) -> u32 {
    std::env::var("CONFORMANCE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

fn runner_of(cases: u32) -> TestRunner {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    TestRunner::new_with_rng(Runs { cases, failure_persistence: None, ..Runs::default() }, rng)
}

fn found(attempts: usize, mut differs: impl FnMut(&mut TestRunner) -> bool) -> bool {
    let mut runner = runner_of(1);
    (0..attempts).any(|_| differs(&mut runner))
}

// ## Limiter

/// Times are on a grid of quarters of the period now and then, so that ends of periods and of waits are met exactly.
fn limiter_steps() -> impl Strategy<Value = (limiter::Config, Vec<limiter::Step>)> {
    use limiter::Step;
    (1_u32..12, 1_u64..1_000, 0_u64..24).prop_flat_map(|(limit, quarter, timeout)| {
        let period = quarter * 4;
        let time = prop_oneof![3 => (0_u64..9).prop_map(move |quarters| quarters * quarter), 1 => 0..period * 30];
        let step = prop_oneof![
            6 => time.prop_map(|ns| Step::Advance { ns }),
            9 => (0_u32..15).prop_map(|permits| Step::Reserve { permits }),
            4 => (0_u32..15).prop_map(|permits| Step::Acquire { permits }),
            1 => Just(Step::Drain),
            1 => (1_u32..12).prop_map(|limit_for_period| Step::ChangeLimit { limit_for_period }),
            1 => (0_u64..24).prop_map(move |n| Step::ChangeTimeout { timeout_duration_ns: n * quarter }),
        ];
        let config = json!({
            "limit_for_period": limit,
            "limit_refresh_period_ns": period,
            "timeout_duration_ns": timeout * quarter,
        });
        (Just(serde_json::from_value(config).unwrap()), prop::collection::vec(step, 1..150))
    })
}

#[test]
fn the_limiter_does_what_the_rules_demand_whatever_is_done() {
    let result = runner_of(cases(2_000)).run(&limiter_steps(), |(config, steps)| {
        agree(&config, &steps, limiter::Real::new(&config)).map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn generated_steps_find_every_broken_limiter() {
    let missed = LimiterFault::ALL.into_iter().filter(|fault| {
        !found(1_000, |runner| {
            let (config, steps) = limiter_steps().new_tree(runner).unwrap().current();
            agree(&config, &steps, BrokenLimiter::new(*fault, &config)).is_err()
        })
    });
    assert_eq!(missed.collect::<Vec<_>>(), []);
}

// ## Bulkhead

fn bulkhead_steps() -> impl Strategy<Value = (bulkhead::Config, Vec<bulkhead::Step>)> {
    use bulkhead::Step;
    let limit = || prop_oneof![1 => Just(0_u32), 12 => 1_u32..7];
    let step = prop_oneof![
        4 => Just(Step::TryEnter),
        8 => Just(Step::Enter { call: 0 }),
        6 => Just(Step::Exit),
        3 => Just(Step::Release),
        2 => limit().prop_map(|max_concurrent_calls| Step::ChangeConfig { max_concurrent_calls }),
    ];
    (limit(), any::<bool>(), prop::collection::vec(step, 1..150)).prop_map(|(limit, fair, mut steps)| {
        for (at, step) in steps.iter_mut().enumerate() {
            if let Step::Enter { call } = step {
                *call = at as u64;
            }
        }
        let config = json!({
            "max_concurrent_calls": limit,
            "max_wait_duration_ms": 3_600_000,
            "fair_call_handling_enabled": fair,
        });
        (serde_json::from_value(config).unwrap(), steps)
    })
}

#[test]
fn the_bulkhead_does_what_the_rules_demand_whatever_is_done() {
    let result = runner_of(cases(1_000)).run(&bulkhead_steps(), |(config, steps)| {
        agree(&config, &steps, bulkhead::Real::new(&config)).map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn generated_steps_find_every_broken_bulkhead() {
    let missed = BulkheadFault::ALL.into_iter().filter(|fault| {
        !found(1_000, |runner| {
            let (config, steps) = bulkhead_steps().new_tree(runner).unwrap().current();
            agree(&config, &steps, BrokenBulkhead::new(*fault, &config)).is_err()
        })
    });
    assert_eq!(missed.collect::<Vec<_>>(), []);
}
