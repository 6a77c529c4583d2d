//! Scenarios as files: what is written is read back, and nothing that is read panics.

use std::time::Duration;

use proptest::{prelude::*, test_runner::FileFailurePersistence};
use steadfast::storm::{Backend, Class, FaultKind, Load, Scenario, ServiceTime, World};

fn time(most: u64) -> impl Strategy<Value = Duration> {
    let millis = (1..=most * 1000).prop_map(Duration::from_millis);
    prop_oneof![millis, (1_000_000..=most * 1_000_000_000).prop_map(Duration::from_nanos)]
}

fn factor() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1000.0), Just(1.0), Just(1e-7), 1e-9..1000.0]
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), Just(1.0), 0.0..1.0]
}

fn load() -> impl Strategy<Value = Load> {
    prop_oneof![
        (1e-3..100.0).prop_map(|rate| Load::Poisson { rate }),
        prop::collection::vec(time(100), 1..20).prop_map(|mut times| {
            times.sort();
            Load::Trace(times)
        }),
        (1..50_u32, time(3600)).prop_map(|(users, think)| Load::Closed { users, think }),
    ]
}

fn service() -> impl Strategy<Value = ServiceTime> {
    prop_oneof![
        time(3600).prop_map(ServiceTime::Fixed),
        time(3600).prop_map(|mean| ServiceTime::Exponential { mean }),
        (time(3600), 0.0..=3.0).prop_map(|(mean, sigma)| ServiceTime::LogNormal { mean, sigma }),
        prop::collection::vec((time(3600), 1..u64::MAX / 10), 1..10).prop_map(ServiceTime::Recorded),
    ]
}

fn backend() -> impl Strategy<Value = Backend> {
    (1..=10_000_u32, 0..=1_000_000_u32, service(), any::<bool>()).prop_map(|(workers, queue, service, standby)| {
        let mut backend = Backend::default();
        (backend.workers, backend.queue, backend.service, backend.standby) = (workers, queue, service, standby);
        backend
    })
}

fn class() -> impl Strategy<Value = Class> {
    let some = (any::<String>(), factor(), any::<u8>(), prop::option::of(time(3600)), factor(), any::<bool>());
    some.prop_map(|(name, share, priority, deadline, work, idempotent)| {
        let mut class = Class::default();
        (class.name, class.share, class.priority) = (name, share, priority);
        (class.deadline, class.work, class.idempotent) = (deadline, work, idempotent);
        class
    })
}

fn world() -> impl Strategy<Value = World> {
    let backends = prop::collection::vec((backend(), 1..4_usize), 1..5);
    let some = (time(3600), time(60), 1..=10_000_u32, load(), backends, prop::collection::vec(class(), 1..4));
    some.prop_map(|(deadline, network, clients, load, backends, classes)| {
        let mut world = World::default();
        (world.deadline, world.network, world.clients, world.load) = (deadline, network, clients, load);
        world.backends = backends.into_iter().flat_map(|(backend, count)| vec![backend; count]).collect();
        // Not all can be standbys.
        world.backends[0].standby = false;
        world.classes = classes;
        world
    })
}

fn kind() -> impl Strategy<Value = FaultKind> {
    prop_oneof![
        Just(FaultKind::Refuse),
        Just(FaultKind::Swallow),
        share().prop_map(|share| FaultKind::Fail { share }),
        share().prop_map(|share| FaultKind::FailAtOnce { share }),
        factor().prop_map(|factor| FaultKind::Slow { factor }),
        (factor(), 1..=1_000_000_000_u64).prop_map(|(factor, completions)| FaultKind::Cold { factor, completions }),
        (share(), factor()).prop_map(|(share, factor)| FaultKind::Stragglers { share, factor }),
        time(60).prop_map(|extra| FaultKind::Latency { extra }),
        factor().prop_map(|factor| FaultKind::Load { factor }),
        share().prop_map(|share| FaultKind::Invalid { share }),
        (time(86_400), time(86_400)).prop_map(|(promoted_after, name_follows_within)| FaultKind::Failover {
            promoted_after,
            name_follows_within
        }),
    ]
}

fn scenario() -> impl Strategy<Value = Scenario> {
    let lasts = prop_oneof![Just(Duration::MAX), time(100), any::<u64>().prop_map(|seconds| Duration::new(seconds, 1))];
    let faults = prop::collection::vec((kind(), time(99), lasts, any::<u16>()), 0..5);
    let some = (any::<String>(), world(), faults, time(99), time(900), prop::option::of(time(99)));
    some.prop_map(|(name, world, faults, from, more, over)| {
        let mut scenario = Scenario::new(name);
        scenario.window = from..Duration::from_secs(100) + more;
        (scenario.world, scenario.over) = (world, over);
        for (kind, at, lasts, named) in faults {
            let serves = |backend: &usize| !scenario.world.backends[*backend].standby;
            let named = (0..scenario.world.backends.len()).filter(|backend| named >> (backend % 16) & 1 > 0);
            let backends = match kind {
                FaultKind::Latency { .. } | FaultKind::Load { .. } | FaultKind::Invalid { .. } => Vec::new(),
                FaultKind::Failover { .. } => named.filter(serves).collect(),
                _ => named.collect(),
            };
            scenario = scenario.fault_of(backends, kind, at, lasts);
        }
        scenario
    })
}

fn config(cases: u32) -> ProptestConfig {
    let persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    ProptestConfig { cases, failure_persistence: persistence, max_global_rejects: 100_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn what_is_written_is_read_back(scenario in scenario()) {
        // Some have a failover without a standby, or a load fault without a rate.
        prop_assume!(scenario.check().is_ok());
        let toml = scenario.to_toml();
        prop_assert_eq!(Scenario::from_toml(&toml), Ok(scenario.clone()), "{}", toml);
        let toml = scenario.world.to_toml();
        prop_assert_eq!(World::from_toml(&toml), Ok(scenario.world), "{}", toml);
    }

    #[test]
    fn what_is_garbled_has_its_place_in_the_file(
        scenario in scenario(), at in any::<prop::sample::Index>(), cut in 0..30_usize, put in "[a-z0-9 =\\[\\]{}\".,#\n-]{0,6}|\\PC{0,3}",
    ) {
        let mut toml: Vec<char> = scenario.to_toml().chars().collect();
        let at = at.index(toml.len());
        toml.splice(at..(at + cut).min(toml.len()), put.chars());
        let toml: String = toml.into_iter().collect();
        if let Err(error) = Scenario::from_toml(&toml) && let Some((line, column)) = error.place() {
            let lines: Vec<_> = toml.split('\n').collect();
            prop_assert!(line <= lines.len() && column <= lines[line - 1].chars().count() + 1, "{error}\n{toml}");
        }
    }
}

#[test]
fn nothing_is_the_default_world_without_faults() {
    assert_eq!(Scenario::from_toml(""), Ok(Scenario::new("scenario")));
    assert_eq!(Scenario::from_toml("[world]"), Ok(Scenario::new("scenario")));
    assert_eq!(World::from_toml(""), Ok(World::default()));
}

#[test]
fn listed_scenarios_are_read_back() {
    for scenario in Scenario::listed() {
        assert_eq!(Scenario::from_toml(&scenario.to_toml()).as_ref(), Ok(&scenario));
    }
}

#[test]
fn the_window_is_around_the_faults() {
    let seconds = Duration::from_secs;
    let fault = |at, lasts| format!("[[faults]]\nkind = \"refuse\"\nat = \"{at}\"\nlasts = \"{lasts}\"\n");
    let window = |toml: &str| Scenario::from_toml(toml).unwrap().window;
    let faults = fault("1m", "5s") + &fault("20s", "10s");
    assert_eq!(window(&faults), seconds(20)..seconds(95));
    assert_eq!(window(&format!("from = \"1s\"\n{faults}")), seconds(1)..seconds(95));
    assert_eq!(window(&format!("until = \"70s\"\n{faults}")), seconds(20)..seconds(70));
    let forever = fault("20s", "forever");
    let scenario = Scenario::from_toml(&format!("until = \"70s\"\n{forever}")).unwrap();
    assert_eq!((scenario.window, scenario.faults[0].lasts), (seconds(20)..seconds(70), Duration::MAX));
}

#[test]
fn each_form_is_read() {
    let millis = Duration::from_millis;
    let world = |toml: &str| World::from_toml(toml).unwrap();
    assert_eq!(world("load.rate = 700").load, Load::Poisson { rate: 700.0 });
    assert_eq!(world("load.trace = [\"10ms\", \"12ms\"]").load, Load::Trace(vec![millis(10), millis(12)]));
    let load = world("load = { users = 50, think = \"100ms\" }").load;
    assert_eq!(load, Load::Closed { users: 50, think: millis(100) });
    let service = |toml: &str| world(&format!("[[backends]]\nservice = {toml}")).backends[0].service.clone();
    let mean = millis(20);
    assert_eq!(service("{ fixed = \"20ms\" }"), ServiceTime::Fixed(mean));
    assert_eq!(service("{ exponential = \"20ms\" }"), ServiceTime::Exponential { mean });
    assert_eq!(service("{ sigma = 1 }"), ServiceTime::LogNormal { mean, sigma: 1.0 });
    assert_eq!(service("{ mean = \"5ms\" }"), ServiceTime::LogNormal { mean: millis(5), sigma: 0.5 });
    let recorded = service("{ recorded = [[\"5ms\", 100], [\"20ms\", 30]] }");
    assert_eq!(recorded, ServiceTime::Recorded(vec![(millis(5), 100), (millis(20), 30)]));
    let failover = "[[world.backends]]\n[[world.backends]]\nstandby = true\n[[faults]]\nkind = \"failover\"\n\
                    at = \"10s\"\npromoted_after = \"5s\"\nname_follows_within = \"30s\"\nbackends = [0]\n";
    let scenario = Scenario::from_toml(failover).unwrap();
    assert_eq!(scenario.faults[0].lasts, Duration::MAX, "nothing comes back");
    assert_eq!(scenario.window, Duration::from_secs(10)..Duration::from_secs(45));
}
