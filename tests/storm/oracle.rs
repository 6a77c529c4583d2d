//! The oracle's goodput in the listed scenarios, in percent of what is offered.

use std::time::Duration;

use steadfast::storm::{Class, FaultKind, Scenario};

/// The mean of three seeds.
fn oracle(name: &str) -> f64 {
    let scenario = Scenario::named(name).unwrap();
    (0..3).map(|seed| scenario.oracle(seed).unwrap() * 100.0).sum::<f64>() / 3.0
}

macro_rules! reaches {
    ($($name:ident $figure:literal)*) => {$(
        #[test]
        fn $name() {
            let reached = oracle(stringify!($name));
            assert!((reached - $figure).abs() <= 0.5, "{reached:.2}, and not {}", $figure);
        }
    )*};
}

reaches! {
    steady 100.0
    outage_refuse 51.7
    outage_hang 51.7
    brownout 100.0
    gray 100.0
    net_latency 100.0
    overload2x 67.2
    metastable 92.2
    cold_cache 61.9
    zone_loss 100.0
    zone_refuse 100.0
    flap 100.0
    bursts 99.6
    failover 88.4
    poison 100.0
    stragglers 100.0
}

#[test]
fn a_deadline_that_is_short_is_served_as_well_as_it_can_be() {
    let mut scenario = Scenario::named("steady").unwrap();
    scenario.window.end = Duration::from_secs(20);
    // Two and a half means: of 8 % of the calls the work alone takes longer.
    scenario.world.deadline = Duration::from_millis(42);
    let reached = scenario.oracle(0).unwrap();
    assert!((0.85..0.97).contains(&reached), "{reached}");
    // So is one kind of requests among others.
    scenario.world.deadline = Duration::from_secs(1);
    let mut hasty = Class::default();
    hasty.deadline = Some(Duration::from_millis(42));
    scenario.world.classes.push(hasty);
    let reached = scenario.oracle(0).unwrap();
    assert!((0.92..0.99).contains(&reached), "{reached}");
    // And where everything has become slow.
    let slow = Scenario::new("slow").fault(FaultKind::Slow { factor: 30.0 }, Duration::from_secs(10), Duration::MAX);
    let reached = slow.oracle(0).unwrap();
    assert!((0.035..0.06).contains(&reached), "{reached}");
}
