//! The scenarios that everything is measured against.

use std::time::Duration;

use super::{Backend, FaultKind, Load, Scenario};

const SECOND: Duration = Duration::from_secs(1);
/// When the faults begin.
const AT: Duration = Duration::from_secs(10);
/// For how long after the faults is judged.
const AFTER: Duration = Duration::from_secs(30);

impl Scenario {
    /// The listed scenarios, by name: `steady`, `outage_refuse`, `outage_hang`, `brownout`, `gray`, `net_latency`,
    /// `overload2x`, `metastable`, `cold_cache`, `zone_loss`, `zone_refuse`, `flap`, `bursts`, `failover`, `poison`,
    /// `stragglers`.
    pub fn listed() -> Vec<Self> {
        NAMES.iter().filter_map(|name| Self::named(name)).collect()
    }

    /// The listed scenario of this name.
    pub fn named(name: &str) -> Option<Self> {
        let mut scenario = Self::new(name);
        let long = 30 * SECOND;
        let scenario = match name {
            "steady" => return Some(scenario),
            "outage_refuse" => scenario.fault(FaultKind::Refuse, AT, long),
            "outage_hang" => scenario.fault(FaultKind::Swallow, AT, long),
            "brownout" => scenario.fault(FaultKind::Fail { share: 0.2 }, AT, long),
            "gray" => scenario.fault_of(vec![0], FaultKind::Slow { factor: 50.0 }, AT, long),
            "net_latency" => scenario.fault(FaultKind::Latency { extra: Duration::from_millis(400) }, AT, 20 * SECOND),
            "overload2x" => {
                // 2,000/s, twice what the backends can do.
                scenario.fault(FaultKind::Load { factor: 2000.0 / 600.0 }, AT, 20 * SECOND)
            }
            "metastable" => {
                scenario.world.load = Load::Poisson { rate: 800.0 };
                scenario.fault(FaultKind::Slow { factor: 4.0 }, AT, 5 * SECOND)
            }
            "cold_cache" => {
                let cold = FaultKind::Cold { factor: 4.0, completions: 2000 };
                scenario =
                    scenario.fault(FaultKind::Refuse, AT, 5 * SECOND).fault(cold, AT + 5 * SECOND, Duration::MAX);
                // At a quarter of the speed, 2,000 calls of each take 40 s.
                scenario.over = Some(AT + 45 * SECOND);
                scenario.window = AT..AT + 45 * SECOND + AFTER;
                return Some(scenario);
            }
            "zone_loss" => {
                scenario.world.load = Load::Poisson { rate: 500.0 };
                scenario.fault_of(vec![0, 1], FaultKind::Swallow, AT, long)
            }
            "zone_refuse" => {
                scenario.world.load = Load::Poisson { rate: 500.0 };
                scenario.fault_of(vec![0, 1], FaultKind::Refuse, AT, long)
            }
            "flap" => (0..8).fold(scenario, |scenario, round| {
                scenario.fault_of(vec![0], FaultKind::Refuse, AT + round * 4 * SECOND, 2 * SECOND)
            }),
            "bursts" => (0..6).fold(scenario, |scenario, round| {
                scenario.fault(FaultKind::FailAtOnce { share: 1.0 }, AT + round * 10 * SECOND, SECOND)
            }),
            "failover" => {
                let primary = Backend { workers: 20, queue: 2500, ..Backend::default() };
                scenario.world.backends = vec![primary.clone(), Backend { standby: true, ..primary }];
                let dies = FaultKind::Failover { promoted_after: 5 * SECOND, name_follows_within: 30 * SECOND };
                scenario.fault_of(vec![0], dies, AT, Duration::MAX)
            }
            "poison" => scenario.fault(FaultKind::Invalid { share: 0.6 }, AT, 20 * SECOND),
            "stragglers" => scenario.fault(FaultKind::Stragglers { share: 0.01, factor: 20.0 }, AT, long),
            _ => return None,
        };
        Some(scenario.judged_until(AFTER))
    }
}

const NAMES: [&str; 16] = [
    "steady",
    "outage_refuse",
    "outage_hang",
    "brownout",
    "gray",
    "net_latency",
    "overload2x",
    "metastable",
    "cold_cache",
    "zone_loss",
    "zone_refuse",
    "flap",
    "bursts",
    "failover",
    "poison",
    "stragglers",
];
