//! Fleets through whatever may happen to them, at random.

use proptest::prelude::*;

use self::world::World;
use super::*;
use crate::{
    failover::{Failback, TierPolicy},
    telemetry::Name,
};

mod world;

const MS: Duration = Duration::from_millis(1);

/// What happens; endpoints by their place among those that are there.
#[derive(Clone, Debug)]
enum Step {
    Fail { who: usize, cause: u8, stale: bool },
    AllFail,
    Take { who: usize },
    End { which: usize, end: u8 },
    Probe { who: usize, ok: bool, drain: bool, maintenance: bool },
    Insert { tier: u32 },
    Leave { who: usize },
    Remove { who: usize },
    Alter { who: usize, tier: u32 },
    Drain { who: usize, on: bool },
    Pin { who: usize },
    FailBack,
    Set(Set),
    Wait(u64),
}

#[derive(Clone, Debug)]
struct Set {
    failback: u8,
    spill: bool,
    min_healthy: u32,
    slow: bool,
    zone: bool,
}

impl Set {
    fn settings(&self) -> FailoverSettings {
        let failback = match self.failback % 5 {
            0 => Failback::Immediate,
            1 => Failback::Manual,
            2 => Failback::Sticky,
            3 => Failback::After(2_000 * MS),
            _ => Failback::default(),
        };
        let strict = TierPolicy::Strict { min_healthy: self.min_healthy };
        FailoverSettings {
            failback,
            tiers: if self.spill { TierPolicy::spillover() } else { strict },
            slow_start: if self.slow { 10_000 * MS } else { Duration::ZERO },
            zone: self.zone.then(|| Name::from_static("z0")),
            ..FailoverSettings::default()
        }
    }
}

fn set() -> impl Strategy<Value = Set> {
    (0..5_u8, any::<bool>(), 1..3_u32, any::<bool>(), any::<bool>())
        .prop_map(|(failback, spill, min_healthy, slow, zone)| Set { failback, spill, min_healthy, slow, zone })
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..8_usize;
    prop_oneof![
        6 => (who.clone(), 0..4_u8, prop::bool::weighted(0.1)).prop_map(|(who, cause, stale)| Step::Fail { who, cause, stale }),
        1 => Just(Step::AllFail),
        4 => who.clone().prop_map(|who| Step::Take { who }),
        4 => (0..8_usize, 0..5_u8).prop_map(|(which, end)| Step::End { which, end }),
        4 => (who.clone(), any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
            .prop_map(|(who, ok, drain, maintenance)| Step::Probe { who, ok, drain, maintenance }),
        1 => (0..3_u32).prop_map(|tier| Step::Insert { tier }),
        1 => who.clone().prop_map(|who| Step::Leave { who }),
        1 => who.clone().prop_map(|who| Step::Remove { who }),
        1 => (who.clone(), 0..3_u32).prop_map(|(who, tier)| Step::Alter { who, tier }),
        1 => (who.clone(), any::<bool>()).prop_map(|(who, on)| Step::Drain { who, on }),
        1 => who.prop_map(|who| Step::Pin { who }),
        1 => Just(Step::FailBack),
        1 => set().prop_map(Step::Set),
        8 => prop_oneof![0..300_u64, 300..3_000_u64, 3_000..60_000_u64].prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_plan_is_sound(
        tiers in prop::collection::vec(0..3_u32, 1..6), set in set(), probed: bool, by_role: bool,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(&tiers, &set, probed, by_role);
        for step in &steps {
            world.run(step);
            world.check();
        }
    }

    #[test]
    fn a_tier_is_gone_back_to_after_a_hold_of_one_of_its_endpoints(
        tiers in prop::collection::vec(0..3_u32, 2..6), min_healthy in 1..3_u32,
        steps in prop::collection::vec((0..8_usize, 0..6_u8, 0..2_000_u64), 1..120),
    ) {
        let set = Set { failback: 3, spill: false, min_healthy, slow: true, zone: false };
        let mut world = World::new(&tiers, &set, false, false);
        for (who, what, wait) in steps {
            let step = match what {
                0..=2 => Step::Fail { who, cause: what, stale: false },
                3 | 4 => Step::Take { who },
                _ => Step::AllFail,
            };
            world.run(&step);
            world.holds(2_000 * MS);
            world.run(&Step::End { which: 0, end: u8::from(wait % 4 == 0) });
            world.holds(2_000 * MS);
            world.run(&Step::Wait(wait));
            world.holds(2_000 * MS);
        }
    }

    #[test]
    fn from_any_state_all_come_back_when_all_is_well(
        tiers in prop::collection::vec(0..3_u32, 1..6), set in set(), probed: bool, by_role: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(&tiers, &set, probed, by_role);
        steps.iter().for_each(|step| world.run(step));
        world.recovers();
    }

    #[test]
    fn what_is_due_does_not_stay_due(
        tiers in prop::collection::vec(0..3_u32, 1..6), set in set(), probed: bool, by_role: bool,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(&tiers, &set, probed, by_role);
        steps.iter().for_each(|step| world.run(step));
        world.is_never_busy();
    }
}
