//! Conformance with Resilience4j: the runner of `examples/conformance` over the recorded files of this repository,
//! over broken machines, and over generated steps.

#[path = "../examples/conformance/runner/mod.rs"]
mod runner;

use std::{path::Path, time::Duration};

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config as Runs, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

use self::runner::{
    breaker,
    broken::{Broken, Fault},
    input::File,
    report::Report,
    scenario::{Config, Row, Step},
    self_test::SelfTest,
    subject::Real,
    waits::{Interval, LARGEST_DRAW, ours},
};

const RECORDED: [&str; 4] =
    ["bulkhead_open.jsonl", "circuit_breaker_open.jsonl", "intervals_open.jsonl", "rate_limiter_open.jsonl"];

fn recorded(name: &str) -> File {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/resilience4j");
    File::read(&folder.join(name)).unwrap()
}

#[test]
fn the_breaker_does_what_was_recorded_but_for_the_rules() {
    let report = runner::run(&recorded("circuit_breaker_open.jsonl"));
    assert_eq!(report.mismatches(), 0, "{report}");
    assert_eq!((report.scenarios, report.steps), (292, 29_686));
}

#[test]
fn the_waits_are_what_was_recorded_but_for_the_rules() {
    let report = runner::run(&recorded("intervals_open.jsonl"));
    assert_eq!(report.mismatches(), 0, "{report}");
    assert_eq!(report.scenarios, 28);
}

#[test]
fn the_limiter_does_what_was_recorded_but_for_the_rules() {
    let report = runner::run(&recorded("rate_limiter_open.jsonl"));
    assert_eq!(report.mismatches(), 0, "{report}");
    assert_eq!((report.scenarios, report.steps), (62, 3_842));
}

#[test]
fn the_bulkhead_does_what_was_recorded_but_for_the_rules() {
    let report = runner::run(&recorded("bulkhead_open.jsonl"));
    assert_eq!(report.mismatches(), 0, "{report}");
    assert_eq!((report.scenarios, report.steps), (33, 2_447));
}

#[test]
fn every_broken_machine_is_found() {
    let result = SelfTest::run(&RECORDED.map(recorded));
    assert!(result.passed(), "{result}");
}

#[test]
fn a_recording_that_resilience4j_cannot_have_made_is_found() {
    let mut file = recorded("circuit_breaker_open.jsonl");
    file.breaker.truncate(20);
    for scenario in &mut file.breaker {
        let row = scenario.expected.last_mut().unwrap();
        *row = Row { buffered: row.buffered + 1, ..*row };
    }
    assert_eq!(runner::run(&file).model, 20);
}

#[test]
fn a_rule_is_of_no_use_where_the_tags_do_not_call_for_it() {
    let mut file = recorded("circuit_breaker_open.jsonl");
    file.breaker
        .retain(|scenario| ["late_outcomes", "unpaired_outcomes", "stale_timer"].iter().any(|tag| scenario.has(tag)));
    for scenario in &mut file.breaker {
        scenario.features.clear();
    }
    let report = runner::run(&file);
    assert_eq!((report.model, report.machine), (0, 0), "{report}");
    assert!(report.rule > 500, "{report}");
}

#[test]
fn rules_of_limiter_and_bulkhead_are_of_no_use_either_where_the_tags_do_not_call_for_them() {
    let mut limiter = recorded("rate_limiter_open.jsonl");
    limiter.limiter.iter_mut().for_each(|scenario| scenario.features.clear());
    let report = runner::run(&limiter);
    assert_eq!((report.model, report.machine), (0, 0), "{report}");
    assert!(report.rule > 50, "{report}");
    let mut bulkhead = recorded("bulkhead_open.jsonl");
    bulkhead.bulkhead.iter_mut().for_each(|scenario| scenario.features.clear());
    let report = runner::run(&bulkhead);
    assert_eq!((report.model, report.machine), (0, 0), "{report}");
    assert!(report.rule > 5, "{report}");
}

#[test]
fn recordings_of_limits_that_resilience4j_cannot_have_made_are_found() {
    let (mut limiter, mut bulkhead) = (recorded("rate_limiter_open.jsonl"), recorded("bulkhead_open.jsonl"));
    for scenario in &mut limiter.limiter {
        scenario.expected.last_mut().unwrap().available += 1;
    }
    for scenario in &mut bulkhead.bulkhead {
        *scenario.expected.last_mut().unwrap().max.as_mut().unwrap() += 1;
    }
    assert_eq!((runner::run(&limiter).model, runner::run(&bulkhead).model), (62, 33));
}

// ## Generated steps

fn config() -> impl Strategy<Value = Value> {
    let window = prop_oneof![
        (1_u32..12).prop_map(|size| ("COUNT_BASED", size)),
        (1_u32..6).prop_map(|size| ("TIME_BASED", size))
    ];
    let percent = prop_oneof![Just(100.0_f64), Just(50.0), Just(83.333_336), Just(33.333_332), 1.0..100.0_f64];
    let wait = prop_oneof![
        (1_i64..400).prop_map(|ms| json!({"type": "fixed", "ms": ms})),
        (
            1_i64..200,
            prop_oneof![Just(1.0), Just(0.5), Just(1.5), Just(2.0), 0.1..4.0_f64],
            prop::option::of(1_i64..600)
        )
            .prop_map(|(initial, by, max)| {
                let mut wait = json!({"type": "exponential", "initial_ms": initial, "multiplier": by});
                if let Some(max) = max {
                    wait["max_ms"] = max.into();
                }
                wait
            }),
    ];
    let max_wait = prop_oneof![Just(0_u64), 1_u64..300];
    let state = prop_oneof![
        6 => Just("CLOSED"), 1 => Just("OPEN"), 1 => Just("HALF_OPEN"),
        1 => Just("FORCED_OPEN"), 1 => Just("DISABLED"), 1 => Just("METRICS_ONLY")
    ];
    let half_open = (1_u32..6, max_wait, prop_oneof![Just("OPEN"), Just("CLOSED")], any::<bool>());
    (window, 1_u32..8, percent.clone(), percent, 0_u64..40, half_open, wait, state).prop_map(
        |((kind, size), minimum, failure, slow, slow_ms, (permitted, max_wait, end, automatic), wait, state)| {
            json!({
                "sliding_window_type": kind,
                "sliding_window_size": size,
                "minimum_number_of_calls": minimum,
                "failure_rate_threshold": failure as f32,
                "slow_call_rate_threshold": slow as f32,
                "slow_call_duration_threshold_ms": slow_ms,
                "permitted_number_of_calls_in_half_open_state": permitted,
                "max_wait_duration_in_half_open_state_ms": max_wait,
                "transition_to_state_after_wait_duration": end,
                "automatic_transition_from_open_to_half_open_enabled": automatic,
                "wait_interval_in_open_state": wait,
                "initial_state": state,
            })
        },
    )
}

/// Outcomes of calls let through or refused, still out or ended, and of no call at all.
fn step() -> impl Strategy<Value = Step> {
    let call = || prop::option::weighted(0.95, 0_u64..30);
    let time = prop_oneof![5 => 0_u64..30, 3 => 0_u64..600, 1 => 0_u64..5_000];
    prop_oneof![
        20 => time.prop_map(|ms| Step::Advance { ms }),
        30 => call().prop_map(|call| Step::TryAcquire { call }),
        14 => (0_u64..60, call()).prop_map(|(ms, call)| Step::Success { ms, call }),
        14 => (0_u64..60, call()).prop_map(|(ms, call)| Step::Error { ms, call }),
        2 => (0_u64..60, call()).prop_map(|(ms, call)| Step::UnrecordedError { ms, call }),
        3 => call().prop_map(|call| Step::Ignored { call }),
        3 => call().prop_map(|call| Step::Release { call }),
        3 => Just(Step::ToOpen),
        1 => (0_u64..300).prop_map(|ms| Step::ToOpenFor { ms }),
        3 => Just(Step::ToHalfOpen),
        1 => Just(Step::Close),
        1 => Just(Step::Reset),
        1 => Just(Step::ForceOpen),
        1 => Just(Step::Disable),
        1 => Just(Step::MetricsOnly),
    ]
}

fn generated() -> impl Strategy<Value = (Config, u64, Vec<Step>)> {
    let config = config().prop_map(|config| serde_json::from_value(config).unwrap());
    (config, 0_u64..3_000, prop::collection::vec(step(), 1..200))
}

/// How many cases are tried: `CONFORMANCE_CASES`, or so many.
fn cases(usual: u32) -> u32 {
    std::env::var("CONFORMANCE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

fn runner_of(cases: u32) -> TestRunner {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    TestRunner::new_with_rng(Runs { cases, failure_persistence: None, ..Runs::default() }, rng)
}

/// Both timers on, few calls, long advances: many rounds in one step, while the waits grow or decay and after.
fn unused() -> impl Strategy<Value = (Config, u64, Vec<Step>)> {
    let wait = (1_i64..60, prop_oneof![Just(1.0), 0.8..1.25_f64], prop::option::of(1_i64..400));
    let config = (config(), wait, 1_u64..40).prop_map(|(mut config, (initial, by, max), max_wait)| {
        config["wait_interval_in_open_state"] =
            json!({"type": "exponential", "initial_ms": initial, "multiplier": by, "max_ms": max});
        config["max_wait_duration_in_half_open_state_ms"] = max_wait.into();
        config["transition_to_state_after_wait_duration"] = "OPEN".into();
        config["automatic_transition_from_open_to_half_open_enabled"] = true.into();
        serde_json::from_value(config).unwrap()
    });
    let step = prop_oneof![
        3 => (0_u64..20_000).prop_map(|ms| Step::Advance { ms }),
        2 => (0_u64..60).prop_map(|ms| Step::Advance { ms }),
        2 => (0_u64..30).prop_map(|call| Step::TryAcquire { call: Some(call) }),
        1 => (0_u64..30).prop_map(|call| Step::Error { ms: 0, call: Some(call) }),
        2 => Just(Step::ToOpen),
        1 => (0_u64..900).prop_map(|ms| Step::ToOpenFor { ms }),
        1 => Just(Step::ToHalfOpen),
    ];
    (config, 0_u64..3_000, prop::collection::vec(step, 1..20))
}

#[test]
fn an_unused_breaker_is_where_its_timers_bring_it() {
    let result = runner_of(cases(500)).run(&unused(), |(config, start, steps)| {
        let machine = Real::new(&config, Duration::from_millis(start));
        breaker::agree(&config, start, &steps, machine).map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn the_machine_does_what_the_rules_demand_whatever_is_done() {
    let result = runner_of(cases(500)).run(&generated(), |(config, start, steps)| {
        let machine = Real::new(&config, Duration::from_millis(start));
        breaker::agree(&config, start, &steps, machine).map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

fn interval() -> impl Strategy<Value = Interval> {
    let kind = prop_oneof![
        Just("fixed"),
        Just("exponential"),
        Just("randomized"),
        Just("exponential_random"),
        Just("exponential_random")
    ];
    let ms = prop_oneof![1_i64..3_000, 1_i64..1 << 40];
    let by = prop_oneof![Just(1.0), Just(1.2), Just(1.5), Just(2.0), Just(2.5), Just(10.0), -1.0..5.0_f64];
    let share = prop_oneof![Just(0.0), Just(0.1), Just(0.3), Just(0.5), Just(1.0), 0.0..1.0_f64];
    (kind, ms.clone(), by, prop::option::of(ms), share).prop_map(|(kind, ms, by, max, share)| {
        let mut function = json!({"type": kind});
        if matches!(kind, "fixed" | "randomized") {
            function["ms"] = ms.into();
        } else {
            function["initial_ms"] = ms.into();
            function["multiplier"] = by.into();
            if let Some(max) = max {
                function["max_ms"] = max.into();
            }
        }
        if kind.contains("random") {
            function["randomization_factor"] = share.into();
        }
        serde_json::from_value(function).unwrap()
    })
}

#[test]
fn the_waits_are_what_the_rules_demand_for_any_function() {
    let attempt = prop_oneof![-1_i64..30, 1_i64..100_000];
    let draw = prop_oneof![Just(0.0), Just(LARGEST_DRAW), 0.0..1.0_f64];
    let result = runner_of(cases(4_000)).run(&(interval(), attempt, draw), |(function, attempt, draw)| {
        prop_assert_eq!(ours(&function, attempt, draw), function.expected(attempt, draw));
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn generated_steps_find_every_broken_machine() {
    let missed: Vec<_> = Fault::ALL.into_iter().filter(|fault| !found_by_generated_steps(*fault)).collect();
    assert!(missed.is_empty(), "{missed:?}");
}

fn found_by_generated_steps(fault: Fault) -> bool {
    let mut runner = runner_of(1);
    (0..1_000).any(|_| {
        let (config, start, steps) = generated().new_tree(&mut runner).unwrap().current();
        let machine = Broken::new(fault, &config, Duration::from_millis(start));
        breaker::agree(&config, start, &steps, machine).is_err()
    })
}

#[test]
fn the_report_counts_files_together() {
    let file = recorded("intervals_open.jsonl");
    let mut total = Report::new("total");
    total.add(&runner::run(&file));
    total.add(&runner::run(&file));
    assert_eq!(total.scenarios, 56);
}
