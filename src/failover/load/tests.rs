use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn known(latency: Duration, now: Duration) -> Load {
    let load = Load::new();
    load.answered(latency, now);
    load
}

/// What it costs next to an endpoint that takes 10 ms.
fn cost(load: &Load, now: Duration) -> f64 {
    let look = look(load, now);
    f64::from(look.latencies(&self::look(&known(10 * MS, now), now)).0 * look.busy(1.0)) * 1e3
}

fn look(load: &Load, now: Duration) -> Look {
    load.look(Moment::new(now))
}

fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= right.abs() * 1e-3
}

#[test]
fn it_costs_its_latency_times_the_calls_in_flight_and_one() {
    let load = known(20 * MS, SECOND);
    assert!(near(cost(&load, SECOND), 20.0));
    load.begin();
    load.begin();
    assert_eq!(load.in_flight(), 2);
    assert!(near(cost(&load, SECOND), 60.0));
    load.end();
    assert!(near(cost(&load, SECOND), 40.0));
}

#[test]
fn without_a_sample_it_is_as_fast_as_the_other_one() {
    let load = Load::new();
    assert_eq!(load.latency(), None);
    assert!(near(cost(&load, SECOND), 10.0));
    load.begin();
    assert!(near(cost(&load, SECOND), 20.0));
    let (one, other) = look(&Load::new(), SECOND).latencies(&look(&load, SECOND));
    assert!(one == other && one > 0.0);
}

#[test]
fn a_slower_sample_counts_at_once_but_not_in_full() {
    let load = known(10 * MS, SECOND);
    load.answered(15 * MS, SECOND);
    assert!(near(cost(&load, SECOND), 15.0));
    load.answered(300 * MS, SECOND);
    assert!(near(cost(&load, SECOND), 30.0));
    (0..4).for_each(|_| load.answered(300 * MS, SECOND));
    assert!(near(cost(&load, SECOND), 300.0), "five samples find it out");
}

#[test]
fn faster_samples_pull_it_down_by_time() {
    let load = known(100 * MS, SECOND);
    load.answered(10 * MS, SECOND);
    assert!(near(cost(&load, SECOND), 100.0), "no time, no pull");
    (1..=200).for_each(|tenth| load.answered(10 * MS, SECOND + tenth * 10 * MS));
    let left = 10.0 + 90.0 * (-1.0_f64).exp();
    assert!((cost(&load, 3 * SECOND) - left).abs() < 0.5, "{} {left}", cost(&load, 3 * SECOND));
    assert!(load.latency().unwrap() < 44 * MS);
}

#[test]
fn what_is_equally_busy_and_about_as_fast_is_alike() {
    let like = |one: &Load, other: &Load| {
        let (one, other) = (look(one, SECOND), look(other, SECOND));
        assert_eq!(are_alike(&one, &other), are_alike(&other, &one));
        are_alike(&one, &other)
    };
    let load = known(10 * MS, SECOND);
    assert!(like(&load, &known(24 * MS, SECOND)) && !like(&load, &known(26 * MS, SECOND)));
    assert!(like(&load, &Load::new()));
    load.begin();
    assert!(!like(&load, &known(10 * MS, SECOND)));
}

#[test]
fn idle_it_looks_faster_until_it_is_called_again() {
    let load = known(SECOND, SECOND);
    let other = 10.0;
    let found_out = SECOND + Duration::from_secs_f64(2.0 * 100.0_f64.ln());
    assert!(cost(&load, found_out - 100 * MS) > other);
    assert!(cost(&load, found_out + 100 * MS) < other);
    load.begin();
    assert!(near(cost(&load, found_out + 100 * MS), 2_000.0), "one at a time");
    load.answered(SECOND, found_out + SECOND);
    load.end();
    assert!(near(cost(&load, found_out + SECOND), 1_000.0), "one sample is enough to see that it still is slow");
    assert_eq!(load.latency(), Some(SECOND));
}

#[test]
fn one_that_was_dropped_counts_only_if_it_took_longer() {
    let load = known(10 * MS, SECOND);
    load.abandoned(9 * MS, 3 * SECOND);
    assert_eq!(load.latency().map(|latency| latency.as_micros()), Some(10_000));
    assert!(cost(&load, 3 * SECOND) < 5.0, "nor is it a sample that ends idle time");
    load.abandoned(15 * MS, 3 * SECOND);
    assert!(near(cost(&load, 3 * SECOND), 15.0));
}

#[test]
fn dropped_before_any_answer_it_is_no_faster_than_that() {
    let load = Load::new();
    load.abandoned(MS, SECOND);
    assert!(near(cost(&load, SECOND), 10.0), "a caller that gives up at once does not make it fast");
    load.abandoned(50 * MS, SECOND);
    load.abandoned(30 * MS, SECOND);
    assert!(near(cost(&load, SECOND), 50.0));
    assert_eq!(load.latency(), None);
    load.answered(5 * MS, SECOND);
    assert!(near(cost(&load, SECOND), 5.0));
}

#[test]
fn a_penalty_ends_and_a_shorter_one_does_not_end_it() {
    let load = Load::new();
    let penalised = |now| look(&load, now).penalised;
    assert!(!penalised(SECOND));
    load.penalise(SECOND, 2 * SECOND);
    load.penalise(SECOND, SECOND);
    assert!(penalised(3 * SECOND - MS) && !penalised(3 * SECOND));
    load.penalise(10 * SECOND, 3_600 * SECOND);
    assert!(penalised(15 * SECOND - MS) && !penalised(15 * SECOND));
    assert!(!penalised(SECOND), "time went backwards: it would last for longer than any can");
}

#[test]
fn what_is_forgotten_is_all_but_the_calls_in_flight() {
    let load = known(SECOND, SECOND);
    load.begin();
    load.penalise(SECOND, SECOND);
    load.forget();
    assert_eq!((load.latency(), load.in_flight(), look(&load, SECOND).penalised), (None, 1, false));
}

#[test]
fn time_that_goes_backwards_is_no_idle_time() {
    let load = known(SECOND, 100 * SECOND);
    assert!(near(cost(&load, 99 * SECOND), 1_000.0));
    load.answered(MS, 99 * SECOND);
    assert_eq!(load.latency(), Some(SECOND));
}

#[test]
fn debug_names_what_is_seen() {
    let load = known(SECOND, SECOND);
    assert_eq!(format!("{load:?}"), "Load { in_flight: 0, latency: Some(1s), .. }");
}

#[test]
fn what_is_left_is_e_to_the_minus_idle_over_the_decay() {
    for seconds in [0.001, 0.1, 0.5, 1.0, 1.386, 1.4, 2.0, 3.0, 10.0, 60.0, 170.0] {
        let left = kept(7, 7 + tick(Duration::from_secs_f64(seconds)));
        let exact = (-seconds / 2.0).exp();
        assert!((f64::from(left) / exact - 1.0).abs() < 1e-3, "{seconds}: {left} {exact}");
    }
    for ticks in 0..100_000 {
        assert!(kept(0, ticks + 1) <= kept(0, ticks), "{ticks}");
    }
    assert_eq!((kept(0, 1 << 30), kept(5, 4), kept(u32::MAX, 0)), (0.0, 1.0, kept(0, 1)));
}

proptest! {
    #[test]
    fn whatever_comes_costs_are_numbers_and_over_zero(
        steps in prop::collection::vec((0..4_u8, any::<u64>(), any::<u64>(), 0..64_u32, 0..64_u32), 1..50),
    ) {
        let load = Load::new();
        let duration = |bits: u64, shift| match shift {
            0 => Duration::MAX,
            1 => Duration::from_secs(bits),
            shift => Duration::from_nanos(bits >> shift),
        };
        for (what, one, two, first, second) in steps {
            let (value, now) = (duration(one, first), duration(two, second));
            match what {
                0 => load.answered(value, now),
                1 => load.abandoned(value, now),
                2 => load.penalise(now, value),
                _ => load.begin(),
            }
            for now in [now, Duration::ZERO, Duration::MAX, value] {
                let look = look(&load, now);
                let cost = look.latencies(&self::look(&Load::new(), now)).0 * look.busy(1.0);
                prop_assert!(cost.is_finite() && cost > 0.0, "{:?}: {}", look, cost);
                let _ = load.latency();
            }
        }
    }

    #[test]
    fn no_sample_raises_it_by_more_than_its_double_nor_leaves_it_over_what_was_seen(
        samples in prop::collection::vec((1..10_000_u64, 0..5_000_u64), 1..100),
    ) {
        let load = Load::new();
        let (mut now, mut before, mut longest) = (SECOND, None::<Duration>, Duration::ZERO);
        for (micros, gap) in samples {
            let sample = Duration::from_micros(micros);
            now += Duration::from_micros(gap);
            load.answered(sample, now);
            longest = longest.max(sample);
            let after = load.latency().unwrap();
            let slack = Duration::from_nanos(10);
            prop_assert!(after <= longest + slack && after + slack >= sample.min(before.unwrap_or(sample) * 2));
            if let Some(before) = before {
                prop_assert!(after <= before * 2 + slack);
            }
            before = Some(after);
        }
    }
}
