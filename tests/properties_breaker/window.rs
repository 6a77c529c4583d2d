//! Properties 14 and 15: the window against a list of all calls that is counted anew each time.

use std::time::Duration;

use proptest::prelude::*;
use steadfast::circuit_breaker::{
    Abandoned, CircuitBreakerSettings, SlowCalls, Window,
    machine::{Machine, Outcome},
};

use crate::support::{self, MS, SEC};

#[derive(Clone, Copy, Debug)]
enum Op {
    Pass(Duration),
    Call(End, Duration),
    Resize(Window),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Success,
    Failure,
    Abandoned,
    PastDeadline,
}

/// One call, as the list keeps it.
#[derive(Clone, Copy, Debug)]
struct Call {
    second: u64,
    end: End,
    slow: bool,
}

fn op() -> impl Strategy<Value = Op> {
    let end = prop_oneof![Just(End::Success), Just(End::Failure), Just(End::Abandoned), Just(End::PastDeadline)];
    prop_oneof![
        10 => (end, prop_oneof![Just(SEC), Just(SEC + support::NS), Just(MS)]).prop_map(|(end, took)| Op::Call(end, took)),
        4 => support::span().prop_map(Op::Pass),
        1 => support::window().prop_map(Op::Resize),
    ]
}

fn in_window(window: Window, now: Duration, calls: &[Call]) -> Vec<Call> {
    match window {
        Window::Count(size) => calls[calls.len().saturating_sub(size as usize)..].to_vec(),
        Window::Time(length) => {
            calls.iter().filter(|call| call.second + length.as_secs() > now.as_secs()).copied().collect()
        }
    }
}

fn check(machine: &mut Machine, settings: &CircuitBreakerSettings, now: Duration, calls: &[Call]) {
    let count = |which: &dyn Fn(&Call) -> bool| calls.iter().filter(|call| which(call)).count() as u32;
    let abandoned = count(&|call| call.end == End::Abandoned);
    let recorded = calls.len() as u32 - abandoned;
    let failed = count(&|call| matches!(call.end, End::Failure | End::PastDeadline));
    let slow = count(&|call| call.slow);
    let judged = count(&|call| call.end != End::Abandoned || call.slow);

    let seen = machine.snapshot(now);
    assert_eq!(
        (seen.recorded, seen.failed, seen.slow, seen.abandoned),
        (recorded, failed, slow, abandoned),
        "{calls:?}"
    );
    let minimum = match settings.window {
        Window::Count(size) => settings.minimum_calls.min(size),
        Window::Time(_) => settings.minimum_calls,
    };
    let known = !calls.is_empty() && calls.len() as u32 >= minimum;
    let (bad, of) = if abandoned > 0 && abandoned >= recorded {
        (failed + abandoned, recorded + abandoned)
    } else {
        (failed, recorded)
    };
    for (rate, part, whole) in [(seen.failure_rate, bad, of), (seen.slow_call_rate, slow, judged)] {
        let expected = known.then(|| f64::from(part) / f64::from(whole.max(1)));
        assert_eq!(rate.is_some(), expected.is_some());
        assert!((rate.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-6, "{rate:?}, not {expected:?}");
    }
}

proptest! {
    #![proptest_config(support::config(600))]

    #[test]
    fn a_window_totals_what_a_list_of_all_calls_would(
        window in support::window(),
        minimum_calls in 1..=6_u32,
        start in support::span(),
        ops in prop::collection::vec(op(), 1..80),
    ) {
        let mut settings = support::plain();
        (settings.window, settings.minimum_calls, settings.abandoned) = (window, minimum_calls, Abandoned::Judged);
        settings.slow_calls = Some(SlowCalls { rate: 1.0, longer_than: SEC });
        let (mut now, mut calls) = (start, Vec::new());
        let mut machine = Machine::new(settings.clone(), 0, now);
        machine.metrics_only(now); // records everything and never moves
        for op in ops {
            match op {
                Op::Pass(time) => now += time,
                Op::Call(end, took) => {
                    let ticket = machine.acquire(now).unwrap();
                    match end {
                        End::Success => machine.record(now, ticket, Outcome::Success, took),
                        End::Failure => machine.record(now, ticket, Outcome::Failure, took),
                        End::Abandoned => machine.abandon(now, ticket, took, false),
                        End::PastDeadline => machine.abandon(now, ticket, took, true),
                    }
                    calls.push(Call { second: now.as_secs(), end, slow: took > SEC });
                }
                Op::Resize(window) => {
                    // What has left the window is gone, however large the new one.
                    calls = in_window(settings.window, now, &calls);
                    if std::mem::discriminant(&settings.window) != std::mem::discriminant(&window) {
                        calls.clear();
                    }
                    calls = in_window(window, now, &calls);
                    settings.window = window;
                    machine.change(now, settings.clone());
                }
            }
            calls = in_window(settings.window, now, &calls);
            check(&mut machine, &settings, now, &calls);
        }
    }
}
