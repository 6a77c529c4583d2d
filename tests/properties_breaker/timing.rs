//! Properties 9 to 13: what happens exactly when, and the ends of what a clock can say.

use std::time::Duration;

use proptest::prelude::*;
use steadfast::{
    RejectedKind,
    backoff::Backoff,
    circuit_breaker::{
        CircuitBreakerSettings, HalfOpenEnd, State, Window,
        machine::{Machine, Outcome, Refusal},
    },
};

use crate::support::{self, MS, NS, SEC, ZERO};

/// An opened breaker, and its wait.
fn opened(settings: CircuitBreakerSettings, seed: u64, now: Duration) -> (Machine, Duration) {
    let mut machine = Machine::new(settings, seed, now);
    machine.open(now);
    let wait = machine.take_changes()[0].open_for.unwrap();
    assert!(wait > ZERO);
    (machine, wait)
}

fn half_open(settings: CircuitBreakerSettings, now: Duration) -> Machine {
    let (mut machine, _) = opened(settings, 0, now);
    assert!(machine.half_open(now));
    machine
}

/// The settings with room for a history of six trial calls that decides nothing.
fn undecided(mut settings: CircuitBreakerSettings) -> CircuitBreakerSettings {
    (settings.minimum_calls, settings.half_open_calls, settings.window) = (7, 7, Window::Count(7));
    (settings.consecutive_failures, settings.slow_calls) = (None, None);
    settings
}

/// Times near both ends of what a duration can express.
fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(ZERO),
        Just(NS),
        (0..u64::MAX).prop_map(Duration::from_nanos),
        (0..u64::MAX).prop_map(Duration::from_secs),
        (0..5_000_u64).prop_map(|ms| Duration::MAX - Duration::from_millis(ms)),
        Just(Duration::MAX - NS),
        Just(Duration::MAX),
    ]
}

proptest! {
    #![proptest_config(support::config(300))]

    #[test]
    fn the_call_at_the_end_of_the_wait_is_let_through_and_none_before(
        settings in support::settings(), seed: u64, now in support::span(), part in 0.0..1.0,
    ) {
        let (machine, wait) = opened(settings, seed, now);
        let acquire_at = |now| { let mut machine = machine.clone(); (machine.acquire(now), machine.state()) };
        let refusal = |left| Err(Refusal { kind: RejectedKind::CircuitOpen, retry_after: Some(left) });

        prop_assert_eq!(acquire_at(now + wait - NS), (refusal(NS), State::Open));
        let (at_end, state) = acquire_at(now + wait);
        prop_assert!(at_end.is_ok() && state == State::HalfOpen);
        // A refusal at any time says when: then, and not before.
        let asked = now + wait.mul_f64(part).min(wait - NS);
        let left = acquire_at(asked).0.unwrap_err().retry_after.unwrap();
        prop_assert!(acquire_at(asked + left).0.is_ok() && acquire_at(asked + left - NS).0.is_err());
    }

    #[test]
    fn an_automatic_breaker_is_half_open_at_the_end_of_the_wait_and_not_before(
        mut settings in support::settings(), seed: u64, now in support::span(), automatic: bool,
    ) {
        settings.automatic_half_open = automatic;
        let (mut machine, wait) = opened(settings, seed, now);
        prop_assert_eq!(machine.next_timer(), automatic.then_some(now + wait));
        prop_assert_eq!(machine.snapshot(now + wait - NS).state, State::Open);
        let seen = machine.snapshot(now + wait);
        prop_assert_eq!((seen.state == State::HalfOpen, seen.admits), (automatic, true));
    }

    #[test]
    fn half_open_ends_at_its_longest_and_not_before(
        settings in support::settings().prop_map(undecided), end in support::half_open_end(), now in support::span(), longest in 1..5_000_u32,
    ) {
        let longest = longest * MS;
        let mut settings = settings;
        (settings.half_open_max_wait, settings.half_open_end) = (Some(longest), end);
        let mut machine = half_open(settings, now);
        prop_assert_eq!(machine.next_timer(), Some(now + longest));
        prop_assert_eq!(machine.snapshot(now + longest - NS).state, State::HalfOpen);
        let expected = if end == HalfOpenEnd::Close { State::Closed } else { State::Open };
        machine.take_changes();
        machine.advance(now + longest);
        prop_assert_eq!(machine.take_changes()[0].to, expected);
    }

    #[test]
    fn the_judge_counts_trial_calls_that_are_still_out_as_failures(
        settings in support::settings().prop_map(undecided),
        calls in prop::collection::vec(0..4_u8, 0..=6),
    ) {
        let mut settings = settings;
        (settings.half_open_max_wait, settings.half_open_end) = (Some(SEC), HalfOpenEnd::Judge);
        settings.abandoned = steadfast::circuit_breaker::Abandoned::Judged;
        let mut machine = half_open(settings, ZERO);
        for call in &calls {
            let ticket = machine.acquire(ZERO).unwrap();
            match call {
                0 => machine.record(ZERO, ticket, Outcome::Success, ZERO),
                1 => machine.record(ZERO, ticket, Outcome::Failure, ZERO),
                2 => machine.abandon(ZERO, ticket, ZERO, true), // past its deadline: a failure
                _ => {}                                         // is out
            }
        }
        let ended = calls.iter().filter(|call| **call < 3).count();
        let failed = calls.iter().filter(|call| **call > 0).count();
        let good = ended > 0 && (failed as f64) / (calls.len() as f64) < machine.settings().failure_rate;
        prop_assert_eq!(machine.state(), State::HalfOpen);
        machine.take_changes();
        machine.advance(SEC);
        let expected = if good { State::Closed } else { State::Open };
        prop_assert_eq!(machine.take_changes()[0].to, expected, "{:?}", calls);
    }

    #[test]
    fn a_ramp_lets_a_growing_share_through_and_all_after_it(now in support::span(), length in 10..5_000_u32, per_tenth in 20..200_u32) {
        let length = length * MS;
        let mut settings = support::plain();
        settings.ramp = Some(length);
        let mut machine = half_open(settings, now);
        let trial = machine.acquire(now).unwrap();
        machine.record(now, trial, Outcome::Success, ZERO);
        prop_assert_eq!(machine.state(), State::Closed);
        let mut last = 0;
        for tenth in 0..10 {
            let start = length * tenth / 10;
            let passed = (0..per_tenth)
                .filter(|call| machine.acquire(now + start + length / 10 * *call / per_tenth).is_ok())
                .count() as u32;
            prop_assert!(passed + 1 >= last, "{passed} of {per_tenth} after {last}");
            prop_assert!(passed + 1 >= per_tenth * tenth.max(1) / 10, "{passed} of {per_tenth} in tenth {tenth}");
            prop_assert!(passed <= (per_tenth * (tenth + 1)).div_ceil(10) + 1, "{passed} of {per_tenth} in tenth {tenth}");
            last = passed;
        }
        for after in [ZERO, NS, SEC] {
            prop_assert!(machine.acquire(now + length + after).is_ok());
        }
    }

    #[test]
    fn extremes_neither_panic_nor_take_unbounded_work(
        settings in support::settings(),
        start in any_time(), waits in (any_time(), any_time(), any_time()),
        steps in prop::collection::vec((any_time(), 0..8_u8), 1..30),
    ) {
        let mut settings = settings;
        settings.wait_open = Backoff::fixed(waits.0.max(NS));
        settings.half_open_max_wait = Some(waits.1.max(NS));
        settings.ramp = Some(waits.2.max(NS));
        let mut machine = Machine::new(settings.clone(), 0, start);
        for (now, what) in steps {
            let changes = {
                match what {
                    0 => machine.open(now),
                    1 => machine.open_for(now, waits.2),
                    2 => drop(machine.half_open(now)),
                    3 => machine.change(now, settings.clone()),
                    4 => machine.metrics_only(now),
                    _ => if let Ok(ticket) = machine.acquire(now) {
                        match what {
                            5 => machine.record(now, ticket, Outcome::Success, waits.0),
                            6 => machine.record(now, ticket, Outcome::Failure, waits.1),
                            _ => machine.abandon(now, ticket, Duration::MAX, false),
                        }
                    },
                }
                machine.snapshot(now);
                machine.take_changes().len()
            };
            prop_assert!(changes < 500, "{changes} changes at once");
        }
    }

    #[test]
    fn a_year_in_which_nobody_looked_is_bounded_work(
        settings in support::settings(), wait in support::wait_open(), trial in 1..5_000_u32, years in prop::sample::select(vec![1_u64, 100, 600, 1_000_000_000]),
    ) {
        let mut settings = settings;
        (settings.automatic_half_open, settings.half_open_end) = (true, HalfOpenEnd::Judge);
        (settings.wait_open, settings.half_open_max_wait) = (wait, Some(Duration::from_micros(trial.into())));
        let (mut machine, _) = opened(settings, 0, ZERO);
        let now = Duration::from_secs(years * 365 * 24 * 3600);
        let seen = machine.snapshot(now);
        prop_assert!(matches!(seen.state, State::Open | State::HalfOpen));
        prop_assert!(machine.next_timer().unwrap() > now);
        let changes = machine.take_changes().len();
        prop_assert!(changes < 500, "{changes} changes at once");
    }
}

#[test]
fn a_year_of_waits_of_a_millisecond_is_bounded_work() {
    let mut settings = support::plain();
    (settings.automatic_half_open, settings.half_open_max_wait) = (true, Some(MS));
    settings.wait_open = Backoff::fixed(MS);
    let (mut machine, _) = opened(settings, 0, ZERO);
    let year = Duration::from_secs(365 * 24 * 3600);
    machine.advance(year);
    assert!(machine.take_changes().len() < 100);
    // The state is what it would have been after each round of 2 ms.
    assert_eq!((machine.state(), machine.next_timer()), (State::Open, Some(year + MS)));
}

#[test]
fn the_end_of_the_clock_is_no_endless_round() {
    let mut settings = support::plain();
    (settings.automatic_half_open, settings.half_open_max_wait) = (true, Some(MS));
    settings.wait_open = Backoff::fixed(MS);
    let (mut machine, _) = opened(settings, 0, ZERO);
    machine.advance(Duration::MAX);
    assert!(machine.take_changes().len() < 500);
    assert_eq!(machine.next_timer(), None);
}

#[test]
fn a_time_window_is_resized_at_the_end_of_the_clock() {
    let mut settings = support::plain();
    settings.window = Window::Time(SEC);
    let mut machine = Machine::new(settings.clone(), 0, ZERO);
    machine.change(Duration::MAX, settings);
    assert_eq!(machine.snapshot(Duration::MAX).recorded, 0);
}

#[test]
fn half_open_is_left_when_its_calls_are_lowered_below_the_outcomes_there_are() {
    let mut settings = support::plain();
    (settings.minimum_calls, settings.half_open_calls, settings.window) = (5, 5, Window::Count(5));
    let mut machine = half_open(settings.clone(), ZERO);
    for _ in 0..4 {
        let ticket = machine.acquire(ZERO).unwrap();
        machine.record(ZERO, ticket, Outcome::Success, ZERO);
    }
    settings.half_open_calls = 3;
    machine.change(ZERO, settings);
    assert_eq!(machine.state(), State::HalfOpen);
    let ticket = machine.acquire(ZERO).expect("somebody has to decide");
    assert!(machine.acquire(ZERO).is_err(), "one at a time");
    machine.record(ZERO, ticket, Outcome::Success, ZERO);
    assert_eq!(machine.state(), State::Closed);
}
