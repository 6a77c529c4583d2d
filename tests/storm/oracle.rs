//! The oracle's goodput in the listed scenarios, in percent of what is offered.

use std::time::Duration;

use steadfast::storm::{
    Backend, Candidate, Class, Failure, FaultKind, Load, Request, Scenario, ServiceTime, Stack, Upstream,
};
use tower::ServiceExt;

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

/// What `none` gets is never more than what the oracle does.
fn is_reached(scenario: &Scenario) -> (f64, f64) {
    let report = Stack::new("none", |upstream: Upstream| upstream).run(scenario, 0).unwrap();
    assert!(report.goodput <= 100.5, "{}: {:.2} %", scenario.name, report.goodput);
    (report.goodput, report.oracle)
}

#[test]
fn a_network_that_takes_most_of_the_deadline_is_allowed_for() {
    let mut steady = Scenario::named("steady").unwrap();
    steady.window.end = Duration::from_secs(20);
    (steady.world.deadline, steady.world.network) = (Duration::from_millis(200), Duration::from_millis(100));
    let (goodput, oracle) = is_reached(&steady);
    assert!(goodput > 95.0 && oracle > 0.95, "{goodput} {oracle}");
    // Where it leaves two and a half means, those are what can be counted on.
    steady.world.deadline = Duration::from_millis(150);
    let (goodput, oracle) = is_reached(&steady);
    assert!(goodput > 90.0 && oracle > 0.9, "{goodput} {oracle}");
}

#[test]
fn the_fastest_backend_is_known_wherever_it_stands() {
    let mut steady = Scenario::named("steady").unwrap();
    steady.window.end = Duration::from_secs(20);
    steady.world.load = Load::Poisson { rate: 100.0 };
    // In time, and too slow for anything to be.
    for takes in [700, 1200] {
        let mut slow = Backend::default();
        slow.service = ServiceTime::Fixed(Duration::from_millis(takes));
        steady.world.backends = vec![slow.clone(), Backend::default(), slow];
        let (_, oracle) = is_reached(&steady);
        steady.world.backends.swap(0, 1);
        assert!(oracle > 0.99 && oracle == is_reached(&steady).1, "{takes}: {oracle}");
    }
}

#[test]
fn classes_with_more_work_need_more_time() {
    let mut steady = Scenario::named("steady").unwrap();
    steady.window.end = Duration::from_secs(20);
    let mut heavy = Class::default();
    (heavy.share, heavy.work) = (0.1, 40.0);
    steady.world.classes.push(heavy);
    let sheds = Stack::new("sheds", |upstream: Upstream| {
        tower::service_fn(move |request: Request| {
            let upstream = upstream.clone();
            async move { if request.class() == 1 { Err(Failure::Overloaded) } else { upstream.oneshot(request).await } }
        })
    });
    let report = sheds.run(&steady, 0).unwrap();
    assert!((85.0..=100.5).contains(&report.goodput), "{}", report.goodput);
}

#[test]
fn failures_at_once_do_not_hold_up_time() {
    let nearly = FaultKind::FailAtOnce { share: 0.999_99 };
    let scenario = Scenario::new("nearly").fault(nearly, Duration::from_secs(10), Duration::from_secs(5));
    assert!(scenario.oracle(0).unwrap() < 1.0);
}

#[test]
fn where_nothing_can_be_answered_nothing_is_missed() {
    let down = Scenario::new("down").fault(FaultKind::Refuse, Duration::ZERO, Duration::MAX);
    assert_eq!(is_reached(&down), (100.0, 0.0));
}
