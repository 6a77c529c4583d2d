mod hashing;
mod loaded;
mod shares;

use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const ALL: [Balance; 5] =
    [Balance::RoundRobin, Balance::Weighted, Balance::LeastRequests, Balance::PeakEwma, Balance::Rendezvous];

/// An endpoint, as a choice sees it.
struct One {
    usable: bool,
    weight: f64,
    hash: u64,
    load: Load,
}

/// A list, what chooses from it, and chance.
struct List {
    ones: Vec<One>,
    chooser: Chooser,
    turn: AtomicU64,
    random: u64,
}

impl Candidates for List {
    fn len(&self) -> usize {
        self.ones.len()
    }

    fn usable(&self, i: usize) -> bool {
        self.ones[i].usable
    }

    fn load(&self, i: usize) -> &Load {
        &self.ones[i].load
    }

    fn weight(&self, i: usize) -> f64 {
        self.ones[i].weight
    }

    fn hash(&self, i: usize) -> u64 {
        self.ones[i].hash
    }
}

impl List {
    fn new(balance: Balance, weights: &[f64]) -> Self {
        let one = |(i, weight): (usize, &f64)| One {
            usable: true,
            weight: *weight,
            hash: key_hash(&format!("endpoint-{i}")),
            load: Load::new(),
        };
        Self {
            ones: weights.iter().enumerate().map(one).collect(),
            chooser: Chooser::new(balance, weights),
            turn: AtomicU64::new(0),
            random: 7,
        }
    }

    fn choose(&mut self, affinity: Option<Affinity>, now: Duration) -> Option<usize> {
        self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        self.chooser.choose(self, &self.turn, affinity.map(Affinity::bits), rendezvous::mix(self.random), now)
    }

    /// How many of so many choices each gets, with nothing in flight.
    fn counts(&mut self, choices: usize) -> Vec<usize> {
        let mut counts = vec![0; self.ones.len()];
        (0..choices).for_each(|_| counts[self.choose(None, SECOND).unwrap()] += 1);
        counts
    }

    /// The same as shares of all.
    fn shares(&mut self, choices: usize) -> Vec<f64> {
        self.counts(choices).into_iter().map(|count| count as f64 / choices as f64).collect()
    }
}

#[track_caller]
fn assert_near(left: &[f64], right: &[f64], tolerance: f64) {
    assert_eq!(left.len(), right.len());
    let near = left.iter().zip(right).all(|(left, right)| (left - right).abs() <= tolerance);
    assert!(near, "{left:?} is not {right:?}");
}

fn weights() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(1.0),
        1e-3..1e3_f64,
        Just(0.0),
        Just(-1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::MIN_POSITIVE)
    ]
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), (0..100_000_000_000_u64).prop_map(Duration::from_nanos)]
}

proptest! {
    #[test]
    fn whatever_the_state_one_that_is_usable_is_found_and_no_other(
        endpoints in prop::collection::vec(
            (any::<bool>(), weights(), weights(), 0..20_u8, times(), times(), any::<bool>()), 0..60
        ),
        only in any::<prop::sample::Index>(),
        nows in prop::collection::vec(times(), 1..8),
        (seed, affinity) in (any::<u64>(), any::<u64>()),
    ) {
        let base: Vec<_> = endpoints.iter().map(|(_, base, ..)| *base).collect();
        for balance in ALL {
            for sparse in [false, true] {
                let mut list = List::new(balance, &base);
                list.random = seed;
                list.turn = AtomicU64::new(seed);
                for (i, (usable, _, weight, in_flight, latency, at, penalised)) in endpoints.iter().enumerate() {
                    let one = &mut list.ones[i];
                    one.usable = if sparse { i == only.index(endpoints.len()) } else { *usable };
                    one.weight = *weight;
                    (0..*in_flight).for_each(|_| one.load.begin());
                    one.load.answered(*latency, *at);
                    if *penalised {
                        one.load.penalise(*at, SECOND);
                    }
                }
                let any = list.ones.iter().any(|one| one.usable);
                for now in &nows {
                    for affinity in [None, Some(Affinity::from(affinity))] {
                        match list.choose(affinity, *now) {
                            Some(i) => prop_assert!(list.ones[i].usable, "{:?} {}", balance, i),
                            None => prop_assert!(!any, "{:?} found none", balance),
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_turn_that_overflows_is_the_first_again() {
    let mut list = List::new(Balance::RoundRobin, &[1.0; 4]);
    list.turn = AtomicU64::new(u64::MAX);
    let order: Vec<_> = (0..3).map(|_| list.choose(None, SECOND).unwrap()).collect();
    assert_eq!(order, [3, 0, 1]);
    assert_eq!(list.turn.load(Relaxed), 2);
}

#[test]
fn places_are_exponential() {
    for (bits, x) in
        [(0, 0.5 / 8_388_608.0), (1 << 30, 0.25), (1 << 31, 0.5), (3 << 30, 0.75), (999 << 22, 999.0 / 1_024.0)]
    {
        let (ours, exact) = (f64::from(exponential(bits)), -f64::ln(x));
        assert!((ours / exact - 1.0).abs() < 0.02, "{x}: {ours} {exact}");
    }
    let last = exponential(u32::MAX);
    assert!(last > 0.0 && last < 1e-6, "{last}");
    let mut chance = Chance(7);
    let sum: f32 = (0..100_000).flat_map(|_| chance.places()).sum();
    assert!((sum / 200_000.0 - 1.0).abs() < 0.01, "{sum}");
}

#[test]
fn the_default_is_the_one_that_finds_its_way_around_slow_endpoints() {
    assert_eq!(Balance::default(), Balance::PeakEwma);
}
