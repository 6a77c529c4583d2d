//! Who gets how many, when endpoints are slow, stalled, or fail.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::*;

/// How a call ends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Answered,
    Failed,
}

/// Calls at a steady pace, and what becomes of them.
struct World {
    list: List,
    now: Duration,
    gap: Duration,
    /// End, endpoint, begin, how.
    pending: BinaryHeap<Reverse<(Duration, usize, Duration, End)>>,
    /// How many of the calls since it was last looked at each has got.
    counts: Vec<usize>,
}

impl World {
    fn new(balance: Balance, weights: &[f64], gap: Duration) -> Self {
        let counts = vec![0; weights.len()];
        Self { list: List::new(balance, weights), now: SECOND, gap, pending: BinaryHeap::new(), counts }
    }

    /// Runs for so long; `call` says how a call to an endpoint ends that begins now.
    fn run(&mut self, time: Duration, mut call: impl FnMut(usize, Duration) -> (Duration, End)) -> Vec<usize> {
        let until = self.now + time;
        self.counts.fill(0);
        while self.now < until {
            while let Some(Reverse((at, i, begin, end))) =
                self.pending.peek().copied().filter(|next| next.0.0 <= self.now)
            {
                self.pending.pop();
                let load = &self.list.ones[i].load;
                load.end();
                match end {
                    End::Answered => load.answered(at - begin, at),
                    End::Failed => load.penalise(at, SECOND),
                }
            }
            let i = self.list.choose(None, self.now).unwrap();
            self.list.ones[i].load.begin();
            self.counts[i] += 1;
            let (takes, end) = call(i, self.now);
            self.pending.push(Reverse((self.now + takes, i, self.now, end)));
            self.now += self.gap;
        }
        self.counts.clone()
    }
}

const WELL: (Duration, End) = (Duration::from_millis(10), End::Answered);

#[test]
fn fault_24_who_fails_fast_gets_little() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests] {
        let mut world = World::new(balance, &[1.0; 5], MS);
        let fails = (Duration::from_micros(50), End::Failed);
        let counts = world.run(20 * SECOND, |i, _| if i == 0 { fails } else { WELL });
        assert!((15..=25).contains(&counts[0]), "one per penalty: {counts:?}");
    }
}

#[test]
fn who_stalls_gets_little() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests] {
        let mut world = World::new(balance, &[1.0; 5], MS);
        world.run(5 * SECOND, |_, _| WELL);
        let stalls = (60 * SECOND, End::Answered);
        let counts = world.run(20 * SECOND, |i, _| if i == 0 { stalls } else { WELL });
        assert!(counts[0] <= 20, "{counts:?}");
    }
}

#[test]
fn who_is_slow_gets_little_and_nobody_else_is_short() {
    let mut world = World::new(Balance::PeakEwma, &[1.0; 5], MS);
    let slow = (300 * MS, End::Answered);
    let counts = world.run(20 * SECOND, |i, _| if i == 0 { slow } else { WELL });
    assert!(counts[0] < 200, "one in a hundred: {counts:?}");
    assert!(counts[1..].iter().all(|count| (4_500..5_500).contains(count)), "{counts:?}");
}

#[test]
fn a_straggler_does_not_exile() {
    for gap in [MS, 20 * MS] {
        let mut world = World::new(Balance::PeakEwma, &[1.0; 3], gap);
        world.run(5 * SECOND, |_, _| WELL);
        let mut left = 1;
        let mut straggles = |i, _| if i == 0 && left > 0 { (left = 0, (200 * MS, End::Answered)).1 } else { WELL };
        world.run(SECOND, &mut straggles);
        let counts = world.run(4 * SECOND, &mut straggles);
        let even: usize = counts.iter().sum::<usize>() / 3;
        assert!(counts[0] > even / 2, "{gap:?}: {counts:?}");
    }
}

#[test]
fn who_was_slow_is_called_again_and_has_its_share_soon_after() {
    let mut world = World::new(Balance::PeakEwma, &[1.0; 5], MS);
    world.run(10 * SECOND, |i, _| if i == 0 { (SECOND, End::Answered) } else { WELL });
    // ln(1 s / 10 ms) x 2 s = 9.2 s at the latest, and somewhat less as others have calls in flight.
    let counts = world.run(10 * SECOND, |_, _| WELL);
    assert!(counts[0] > 0, "{counts:?}");
    let counts = world.run(5 * SECOND, |_, _| WELL);
    assert!((700..1_300).contains(&counts[0]), "{counts:?}");
}

#[test]
fn one_without_a_sample_gets_its_share_and_not_more() {
    let mut world = World::new(Balance::PeakEwma, &[1.0; 5], MS);
    let never = (3_600 * SECOND, End::Answered);
    world.run(5 * SECOND, |_, _| WELL);
    world.list.ones[0].load.forget();
    let counts = world.run(10 * SECOND, |i, _| if i == 0 { never } else { WELL });
    assert!((1..=20).contains(&counts[0]), "who never answers: {counts:?}");
    world.list.ones[1].load.forget();
    let counts = world.run(5 * SECOND, |i, _| if i == 0 { never } else { WELL });
    assert!((1_000..1_500).contains(&counts[1]), "who is well: {counts:?}");
}

#[test]
fn calls_in_flight_go_by_weight() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests] {
        for gap in [100 * MS / 1_000, 20 * MS] {
            let mut world = World::new(balance, &[1.0, 2.0, 1.0], gap);
            let counts = world.run(20_000 * gap, |_, _| WELL);
            let share = counts[1] as f64 / 20_000.0;
            assert!((0.42..0.55).contains(&share), "{balance:?}, {gap:?}: {counts:?}");
        }
    }
}

#[test]
fn in_slow_start_it_gets_less_by_power_of_two_choices_too() {
    for gap in [100 * MS / 1_000, 20 * MS] {
        let mut world = World::new(Balance::PeakEwma, &[1.0; 4], gap);
        world.list.ones[0].weight = 0.1;
        let counts = world.run(20_000 * gap, |_, _| WELL);
        let share = counts[0] as f64 / 20_000.0;
        assert!((0.01..0.08).contains(&share), "{gap:?}: {counts:?}");
    }
}

#[test]
fn the_penalised_lose_against_all_others_and_are_used_when_nothing_else_is_left() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests] {
        let mut list = List::new(balance, &[1.0, 1.0, 1e-3]);
        list.ones[0].load.penalise(SECOND, SECOND);
        (0..50).for_each(|_| list.ones[1].load.begin());
        list.ones[1].load.answered(100 * SECOND, SECOND);
        list.ones[2].usable = false;
        assert_eq!(list.counts(100), [0, 100, 0], "{balance:?}");
        list.ones[1].usable = false;
        assert_eq!(list.counts(100), [100, 0, 0]);
    }
}

#[test]
fn least_requests_are_those_by_weight() {
    let mut list = List::new(Balance::LeastRequests, &[1.0; 8]);
    (0..8).for_each(|i| (0..i % 5 + 1).for_each(|_| list.ones[i].load.begin()));
    let counts = list.counts(1_000);
    assert!(counts[0] + counts[5] == 1_000 && counts[0].abs_diff(counts[5]) < 300, "{counts:?}");
    // Of 8 of 100, hardly ever all are among the busier half.
    let mut list = List::new(Balance::LeastRequests, &[1.0; 100]);
    (0..50).for_each(|i| list.ones[2 * i].load.begin());
    let busier: usize = list.counts(10_000).iter().step_by(2).sum();
    assert!((10..90).contains(&busier), "{busier}");
}

#[test]
fn two_choices_are_two_different_ones() {
    for usable in [2, 3] {
        let mut list = List::new(Balance::PeakEwma, &[1.0; 9]);
        list.ones.iter_mut().for_each(|one| one.usable = false);
        (0..usable).for_each(|i| list.ones[4 * i].usable = true);
        list.ones[4].load.begin();
        assert_eq!(list.counts(2_000)[4], 0, "the busiest of {usable} never wins");
    }
}
