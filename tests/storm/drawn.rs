//! Worlds drawn at random, and the listed scenarios in them.

use std::{ops::RangeInclusive, time::Duration};

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use steadfast::storm::{Fault, FaultKind, Load, Ranges, Scenario, ServiceTime, World};

fn drawn(seed: u64) -> World {
    World::drawn(&Ranges::default(), seed).unwrap()
}

fn rate(world: &World) -> f64 {
    let Load::Poisson { rate } = world.load else { panic!("{:?}", world.load) };
    rate
}

fn listed(name: &str) -> Scenario {
    Scenario::named(name).unwrap()
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-6 * other.abs()
}

fn config(cases: u32) -> ProptestConfig {
    let persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    ProptestConfig { cases, failure_persistence: persistence, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn every_listed_scenario_can_be_in_every_drawn_world(seed in any::<u64>()) {
        let world = drawn(seed);
        prop_assert_eq!(world.check(), Ok(()));
        for scenario in Scenario::listed() {
            let there = scenario.in_world(world.clone());
            prop_assert_eq!(there.check(), Ok(()), "{}", there.name);
            let faults = scenario.faults.iter().zip(&there.faults);
            let serving = there.world.backends.iter().filter(|backend| !backend.standby).count();
            for (Fault { backends: here, .. }, Fault { backends: there, .. }) in faults {
                prop_assert_eq!(here.is_empty(), there.is_empty(), "{}", scenario.name);
                prop_assert!(there.len() < serving || serving == 1, "{}", scenario.name);
            }
        }
    }

    #[test]
    fn drawn_worlds_are_within_the_ranges(seed in any::<u64>()) {
        let Ranges { service, backends, workers, clients, deadline, load, network, queue, .. } = Ranges::default();
        let world = drawn(seed);
        let backend = &world.backends[0];
        let mean = backend.service.mean();
        prop_assert!(service.contains(&mean), "{mean:?}");
        prop_assert!(backends.contains(&(world.backends.len() as u32)) && workers.contains(&backend.workers));
        prop_assert!(clients.contains(&world.clients) && network.contains(&world.network));
        let times = (world.deadline.as_secs_f64() - 5e-4)..=(world.deadline.as_secs_f64() + 5e-4);
        prop_assert!(times.end() / mean.as_secs_f64() >= *deadline.start());
        prop_assert!(times.start() / mean.as_secs_f64() <= *deadline.end());
        let share = rate(&world) / world.capacity();
        prop_assert!(share >= load.start() - 1e-9 && share <= load.end() + 1e-9, "{share}");
        let work = f64::from(backend.queue) * mean.as_secs_f64() / f64::from(backend.workers);
        prop_assert!(work <= queue.end().as_secs_f64() + 1e-9, "{work}");
        prop_assert!(work + mean.as_secs_f64() / f64::from(backend.workers) >= queue.start().as_secs_f64(), "{work}");
        prop_assert_eq!(&world, &drawn(seed), "the same seed");
    }
}

/// Not only a part of each range.
#[test]
fn the_whole_of_each_range_is_drawn() {
    let worlds: Vec<_> = (0..1000).map(drawn).collect();
    let spread = |name: &str, of: &dyn Fn(&World) -> f64, least: f64, middle: f64, most: f64| {
        let mut all: Vec<_> = worlds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        let spread = (all[20], all[500], all[980]);
        let hits = |one: f64, other: f64| (one / other).ln().abs() < 0.2;
        assert!(hits(spread.0, least) && hits(spread.1, middle) && hits(spread.2, most), "{name}: {spread:?}");
    };
    let mean = |world: &World| world.backends[0].service.mean().as_secs_f64() * 1000.0;
    spread("service", &mean, 5.3, 22.4, 94.0);
    spread("backends", &|world| world.backends.len() as f64, 2.0, 11.0, 20.0);
    spread("workers", &|world| world.backends[0].workers.into(), 1.0, 8.5, 16.0);
    spread("clients", &|world| world.clients.into(), 1.0, 10.0, 92.0);
    spread("deadline", &|world| world.deadline.as_secs_f64() * 1000.0 / mean(world), 11.8, 55.0, 98.2);
    spread("load", &|world| rate(world) / world.capacity(), 0.41, 0.6, 0.79);
    spread("network", &|world| world.network.as_secs_f64() * 1000.0, 0.9, 10.2, 19.6);
    let queue = |world: &World| f64::from(world.backends[0].queue) / world.backends[0].workers as f64 * mean(world);
    spread("queue", &queue, 590.0, 2750.0, 4900.0);
    let sigma = |world: &World| match world.backends[0].service {
        ServiceTime::LogNormal { sigma, .. } => sigma,
        ref other => panic!("{other:?}"),
    };
    spread("sigma", &sigma, 0.216, 0.6, 0.984);
}

#[test]
fn one_value_is_a_range_too() {
    let mut ranges = Ranges::default();
    let millis = Duration::from_millis;
    (ranges.service, ranges.network, ranges.queue) =
        (millis(10)..=millis(10), millis(3)..=millis(3), millis(0)..=millis(0));
    (ranges.backends, ranges.workers, ranges.clients) = (1..=1, 7..=7, 30..=30);
    (ranges.deadline, ranges.load, ranges.sigma) = (50.0..=50.0, 0.5..=0.5, 0.0..=0.0);
    let world = World::drawn(&ranges, 3).unwrap();
    assert_eq!((world.deadline, world.network, world.clients), (millis(500), millis(3), 30));
    assert_eq!((world.backends.len(), world.backends[0].workers, world.backends[0].queue), (1, 7, 0));
    assert!(near(rate(&world), 350.0));
}

#[test]
fn ranges_that_cannot_be_are_refused() {
    let (second, milli) = (Duration::from_secs(1), Duration::from_millis(1));
    type Broken = (fn(&mut Ranges), &'static str);
    let refused: [Broken; 19] = [
        (|it| it.service = Duration::ZERO..=Duration::from_secs(1), "`service`: is 0ns; allowed: 1ms to 3600s"),
        (
            |it| it.service = Duration::from_secs(1)..=Duration::from_secs(4000),
            "`service`: is 4000s; allowed: 1ms to 3600s",
        ),
        (
            |it| it.service = Duration::from_millis(6)..=Duration::from_millis(5),
            "`service`: ends at 5ms, before it begins at 6ms",
        ),
        (|it| it.sigma = 0.5..=f64::NAN, "`sigma`: is NaN; allowed: 0.0 to 3.0"),
        (|it| it.sigma = -0.5..=1.0, "`sigma`: is -0.5; allowed: 0.0 to 3.0"),
        (|it| it.backends = 0..=4, "`backends`: is 0; allowed: 1 to 1000"),
        (|it| it.backends = RangeInclusive::new(4, 2), "`backends`: ends at 2, before it begins at 4"),
        (|it| it.workers = 0..=4, "`workers`: is 0; allowed: 1 to 10000"),
        (|it| it.clients = 1..=10_001, "`clients`: is 10001; allowed: 1 to 10000"),
        (|it| it.deadline = 0.0..=1.0, "`deadline`: is 0.0; allowed: over 0, up to 1000000000.0"),
        (|it| it.deadline = 1.0..=f64::NAN, "`deadline`: ends at NaN, before it begins at 1.0"),
        (|it| it.deadline = 0.1..=1.0, "`deadline`: is 500µs at the shortest; allowed: 1ms to 3600s"),
        (|it| it.deadline = 1.0..=40_000.0, "`deadline`: is 4000s at the longest; allowed: 1ms to 3600s"),
        (|it| it.load = 0.0..=0.5, "`load`: is 0.0; allowed: over 0, up to 1000.0"),
        (|it| it.load = 0.8..=0.4, "`load`: ends at 0.4, before it begins at 0.8"),
        (|it| it.load = 0.4..=20.0, "`load`: comes to 1280000 calls/s; allowed: up to 1000000"),
        (|it| it.network = Duration::ZERO..=Duration::from_secs(61), "`network`: is 61s; allowed: 0ns to 60s"),
        (
            |it| it.queue = Duration::from_secs(2)..=Duration::from_secs(1),
            "`queue`: ends at 1s, before it begins at 2s",
        ),
        (
            |it| it.queue = Duration::ZERO..=Duration::from_secs(1000),
            "`queue`: comes to 3200000 calls; allowed: up to 1000000",
        ),
    ];
    for (break_it, expected) in refused {
        let mut ranges = Ranges::default();
        break_it(&mut ranges);
        assert_eq!(World::drawn(&ranges, 0).expect_err(expected).to_string(), expected);
    }
    let mut ranges = Ranges::default();
    ranges.service = milli..=second;
    ranges.check().unwrap();
}

/// The default world with so many backends.
fn with_backends(backends: usize) -> World {
    let mut world = World::default();
    world.backends = vec![world.backends[0].clone(); backends];
    world
}

#[test]
fn faults_of_some_backends_are_of_the_same_share_there() {
    let named = |name: &str, backends| listed(name).in_world(with_backends(backends)).faults[0].backends.clone();
    // One of five.
    assert_eq!([1, 2, 3, 5, 10].map(|backends| named("gray", backends).len()), [1, 1, 1, 1, 2]);
    assert_eq!(named("gray", 20), [0, 1, 2, 3]);
    // Two of five.
    assert_eq!([1, 2, 3, 4, 5, 10].map(|backends| named("zone_loss", backends).len()), [1, 1, 1, 2, 2, 4]);
    let most = Scenario::new("most").fault_of(vec![1, 2, 3, 4], FaultKind::Refuse, Duration::ZERO, Duration::MAX);
    assert_eq!(most.in_world(with_backends(2)).faults[0].backends, [0], "not all");
    let last = Scenario::new("last").fault_of(vec![4], FaultKind::Refuse, Duration::ZERO, Duration::MAX);
    assert_eq!(last.in_world(with_backends(2)).faults[0].backends, [1], "at least one");
    assert_eq!(most.in_world(with_backends(10)).faults[0].backends, [2, 3, 4, 5, 6, 7, 8, 9]);
    let all = Scenario::new("all").fault_of(vec![0, 1, 2, 3, 4], FaultKind::Refuse, Duration::ZERO, Duration::MAX);
    assert_eq!(all.in_world(with_backends(2)).faults[0].backends, [0, 1]);
}

#[test]
fn in_its_own_world_a_scenario_is_the_same() {
    for scenario in Scenario::listed() {
        let mut there = scenario.in_world(scenario.world.clone());
        // Which is the same load up to the rounding.
        if let (Load::Poisson { rate: there }, Load::Poisson { rate: here }) =
            (&mut there.world.load, &scenario.world.load)
            && near(*there, *here)
        {
            *there = *here;
        }
        if let [Fault { kind: FaultKind::Load { factor: there }, .. }] = &mut there.faults[..]
            && let [Fault { kind: FaultKind::Load { factor: here }, .. }] = &scenario.faults[..]
            && near(*there, *here)
        {
            *there = *here;
        }
        if scenario.name == "zone_loss" || scenario.name == "zone_refuse" {
            // Its world has less load already, and would get less again.
            there.world.load = scenario.world.load.clone();
        }
        assert_eq!(there, scenario);
    }
}

#[test]
fn a_failover_has_a_primary_and_a_standby_of_the_same_capacity() {
    for seed in 0..100 {
        let world = drawn(seed);
        let there = listed("failover").in_world(world.clone());
        let [primary, standby] = &there.world.backends[..] else { panic!("{:?}", there.world.backends) };
        assert!(!primary.standby && standby.standby && primary.workers == standby.workers);
        assert!(near(there.world.capacity(), world.capacity()));
        assert_eq!(
            u64::from(primary.queue),
            world.backends.iter().map(|backend| u64::from(backend.queue)).sum::<u64>()
        );
        assert_eq!(there.faults[0].backends, [0]);
    }
    let mut world = with_backends(4);
    world.backends[1].standby = true;
    let there = listed("failover").in_world(world.clone());
    assert_eq!((there.faults[0].backends.as_slice(), there.world), ([0, 2, 3].as_slice(), world));
}

#[test]
fn a_fault_of_a_standby_is_one_of_the_first_backend_where_there_is_none() {
    let mut here = listed("failover");
    here.faults[0] = listed("gray").faults[0].clone();
    here.faults[0].backends = vec![1];
    assert_eq!(here.in_world(with_backends(3)).faults[0].backends, [0]);
}

#[test]
fn an_overload_is_twice_the_capacity() {
    for seed in 0..100 {
        let there = listed("overload2x").in_world(drawn(seed));
        let FaultKind::Load { factor } = there.faults[0].kind else { panic!("{there:?}") };
        assert!(near(factor * rate(&there.world), 2.0 * there.world.capacity()));
    }
    let lull = Scenario::new("lull").fault(FaultKind::Load { factor: 0.5 }, Duration::ZERO, Duration::MAX);
    assert_eq!(lull.in_world(drawn(1)).faults, lull.faults);
}

#[test]
fn a_load_that_is_unusual_here_is_unusual_there() {
    let mut world = World::default();
    let mut share = |share: f64, name: &str| {
        world.load = Load::Poisson { rate: share * 1000.0 };
        (rate(&listed(name).in_world(world.clone()).world) / 10.0).round()
    };
    // In percent of the capacity. Here it is 60 usually, 80 in `metastable` and 50 in `zone_loss`.
    assert_eq!([0.4, 0.45, 0.6, 0.8].map(|of| share(of, "steady")), [40.0, 45.0, 60.0, 80.0]);
    assert_eq!([0.4, 0.45, 0.6, 0.8].map(|of| share(of, "metastable")), [53.0, 60.0, 80.0, 80.0]);
    assert_eq!([0.3, 0.6, 0.8].map(|of| share(of, "zone_loss")), [25.0, 50.0, 50.0]);
    let users = Load::Closed { users: 5, think: Duration::from_secs(1) };
    world.load = users.clone();
    assert_eq!(listed("metastable").in_world(world).world.load, users);
}

#[test]
fn the_cold_are_cold_for_as_long() {
    for seed in 0..100 {
        let there = listed("cold_cache").in_world(drawn(seed));
        let FaultKind::Cold { factor, completions } = there.faults[1].kind else { panic!("{there:?}") };
        let each = there.world.capacity() / there.world.backends.len() as f64;
        let lasts = completions as f64 * factor / each;
        assert!((lasts - 40.0).abs() < 1.0, "{lasts} s");
    }
}

#[test]
fn latency_is_in_proportion_to_the_deadline() {
    let mut world = World::default();
    world.deadline = Duration::from_millis(250);
    let there = listed("net_latency").in_world(world);
    assert_eq!(there.faults[0].kind, FaultKind::Latency { extra: Duration::from_millis(100) });
}

/// The share of the calls of a world that take longer than there is time for, whoever sends them where.
fn too_long(world: &World) -> f64 {
    let ServiceTime::LogNormal { mean, sigma } = world.backends[0].service else { panic!("{world:?}") };
    // A millisecond is lost by rounding.
    let time = (world.deadline - world.network).as_secs_f64() - 0.001;
    let deviations = ((time / mean.as_secs_f64()).ln() + sigma * sigma / 2.0) / sigma;
    // The tail of the normal distribution, by sums.
    let step = 1e-3;
    let density = |at: f64| (-at * at / 2.0).exp() / std::f64::consts::TAU.sqrt();
    (0..10_000).map(|at| density(deviations + (f64::from(at) + 0.5) * step) * step).sum()
}

/// A shorter time than the listed scenario's is judged, as worlds are many.
#[test]
fn what_is_steady_can_be_answered_in_drawn_worlds() {
    for seed in 0..100 {
        let mut steady = listed("steady").in_world(drawn(seed));
        steady.window = Duration::from_secs(1)..Duration::from_secs(4);
        let (reached, too_long) = (steady.oracle(seed).unwrap(), too_long(&steady.world));
        assert!(too_long < 0.01, "{seed}: {too_long}");
        assert!(reached >= 0.999 - too_long, "{seed}: {reached}, and {too_long} too long, in {:?}", steady.world);
    }
}
