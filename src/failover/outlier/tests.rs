use proptest::prelude::*;

use super::*;

fn host(id: u32, successes: u64, remote: u64) -> Counts {
    Counts { id, successes, local: 0, remote }
}

/// So many percent of 100 requests succeed.
fn rates(rates: &[u64]) -> Vec<Counts> {
    (0..).zip(rates).map(|(id, rate)| host(id, *rate, 100 - rate)).collect()
}

fn by_rate() -> Outliers {
    Outliers { success_rate: Some(SuccessRate::default()), ..Outliers::default() }
}

fn by_share() -> Outliers {
    Outliers { failure_percentage: Some(FailurePercentage::default()), ..Outliers::default() }
}

fn both() -> Outliers {
    Outliers { failure_percentage: Some(FailurePercentage::default()), ..by_rate() }
}

fn ids(settings: &Outliers, hosts: &[Counts]) -> Vec<u32> {
    judge(settings, hosts).iter().map(|outlier| outlier.id).collect()
}

fn rounded(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

#[test]
fn by_default_nobody_is_judged() {
    assert_eq!(judge(&Outliers::default(), &rates(&[0, 100, 100, 100, 100, 100])), []);
}

/// The numbers of Envoy's own test: a mean of 90, and a threshold of 52.
#[test]
fn the_threshold_of_the_success_rate_is_envoys() {
    let found = judge(&by_rate(), &rates(&[50, 100, 100, 100, 100]));
    let [Outlier { id: 0, why: Why::SuccessRate { rate, mean, threshold }, errors: CountedErrors::Together }] =
        found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!([rate, mean, threshold].map(rounded), [0.5, 0.9, 0.52]);
    assert_eq!(ids(&by_rate(), &rates(&[99, 100, 100, 100, 100])), [0], "next to those that never fail");
    assert_eq!(ids(&by_rate(), &rates(&[50, 60, 100, 100, 100])), [0_u32; 0]);
    assert_eq!(ids(&by_rate(), &rates(&[50, 90, 100, 80, 100, 95, 70])), [0]);
}

#[test]
fn where_all_are_equally_bad_none_is_an_outlier() {
    for rate in 0..=100 {
        for hosts in 5..40 {
            assert_eq!(ids(&by_rate(), &rates(&vec![rate; hosts])), [0_u32; 0]);
        }
    }
    let narrow = SuccessRate { deviations: 0.000_001, ..SuccessRate::default() };
    for (good, of) in [(7, 100), (1, 3), (123, 1_000), (2, 7)] {
        let same: Vec<_> = (0..7).map(|id| host(id, 100 * good, 100 * (of - good))).collect();
        assert_eq!(ids(&Outliers { success_rate: Some(narrow), ..Outliers::default() }, &same), [0_u32; 0]);
    }
}

#[test]
fn those_with_too_few_requests_are_neither_judged_nor_counted() {
    let mut hosts = rates(&[0, 100, 100, 100, 100, 100]);
    hosts[0] = host(0, 0, 99);
    assert_eq!(ids(&by_rate(), &hosts), [0_u32; 0]);
    hosts[0] = host(0, 0, 100);
    assert_eq!(ids(&by_rate(), &hosts), [0]);
    hosts[4] = host(4, 99, 0);
    assert_eq!(ids(&by_rate(), &hosts), [0]);
    hosts[5] = host(5, 99, 0);
    let narrow = |hosts| Some(SuccessRate { hosts, deviations: 1.0, ..SuccessRate::default() });
    let of_at_least = |least| Outliers { success_rate: narrow(least), ..Outliers::default() };
    assert_eq!(ids(&of_at_least(4), &hosts), [0]);
    assert_eq!(ids(&of_at_least(5), &hosts), [0_u32; 0], "four of five");
}

#[test]
fn a_share_of_failures_is_judged_by_itself() {
    assert_eq!(ids(&by_share(), &[host(7, 15, 85), host(8, 16, 84)]), [7]);
    assert_eq!(ids(&by_share(), &[host(7, 0, 49), host(8, 0, 50)]), [8]);
    assert_eq!(ids(&by_share(), &[host(7, 0, 0)]), [0_u32; 0]);
    assert_eq!(ids(&by_share(), &[host(7, 10, 90), host(8, 0, 100)]), [8, 7], "the worst first");
    assert_eq!(judge(&by_share(), &[host(7, 10, 90)])[0].why, Why::FailurePercentage { share: 0.9 });
}

#[test]
fn one_that_stands_out_twice_is_found_once_and_the_worst_goes_first() {
    let found = judge(&both(), &rates(&[100, 100, 100, 5, 100, 100, 100, 0]));
    assert_eq!(found.iter().map(|outlier| outlier.id).collect::<Vec<_>>(), [7, 3]);
    assert_eq!(ids(&both(), &rates(&[100, 100, 100, 100, 0])), [4]);
}

#[test]
fn errors_of_both_kinds_are_counted_apart_if_wanted() {
    let host = |id, successes, local, remote| Counts { id, successes, local, remote };
    // Of 1 half is never answered; 2 answers half with an error; of 3 a third each.
    let hosts = [host(1, 50, 50, 0), host(2, 50, 0, 50), host(3, 40, 40, 40)];
    let half = FailurePercentage { threshold: 0.5, requests: 60 };
    let of = |errors| {
        let settings = Outliers { failure_percentage: Some(half), errors, ..Outliers::default() };
        judge(&settings, &hosts).iter().map(|outlier| (outlier.id, outlier.errors)).collect::<Vec<_>>()
    };
    use CountedErrors::{Apart, Local, Remote, Together};
    assert_eq!(of(Together), [(3, Together), (1, Together), (2, Together)]);
    assert_eq!(of(Local), [(1, Local)]);
    assert_eq!(of(Remote), [(2, Remote), (3, Remote)], "of the answers");
    assert_eq!(of(Apart), [(1, Local), (2, Remote), (3, Remote)]);
    // Too few answers to say how good they are.
    let settings = Outliers { failure_percentage: Some(half), errors: Remote, ..Outliers::default() };
    assert_eq!(ids(&settings, &[host(1, 0, 99, 59), host(2, 0, 0, 60)]), [2]);
}

#[test]
fn each_ejection_lasts_longer_up_to_the_maximum_and_is_forgotten_by_healthy_intervals() {
    let settings = Outliers::default();
    let mut ejections = Ejections::default();
    for n in 1..=50 {
        assert_eq!(ejections.eject(&settings, 0.5), Duration::from_secs(5 * n));
    }
    for _ in 0..1_000 {
        assert_eq!(ejections.eject(&settings, 0.5), Duration::from_secs(250));
    }
    assert_eq!(ejections.count(), 60);
    (0..57).for_each(|_| ejections.healthy());
    assert_eq!(ejections.eject(&settings, 0.5), Duration::from_secs(20));
    (0..9).for_each(|_| ejections.healthy());
    assert_eq!(ejections.eject(&settings, 0.0), Duration::from_secs(4));
    assert_eq!(ejections.eject(&settings, 1.0), Duration::from_secs(12));
    let long = Outliers { base_ejection: Duration::MAX, max_ejection: Duration::MAX, ..settings };
    assert!(Ejections::default().eject(&long, 0.5) > Duration::MAX / 2);
    let max = Duration::from_secs(7 << 50);
    let long = Outliers { base_ejection: max, max_ejection: max, ..settings };
    assert!(Ejections::default().eject(&long, 1.0) <= max, "rounding included");
}

#[test]
fn no_more_than_the_share_may_go_counted_afterwards_and_never_the_last() {
    let may = |ejected, total| cap(ejected, total, 0.5);
    assert!(may(0, 2) && !may(1, 2), "one of two");
    assert!(!may(0, 1), "none of one");
    assert!(may(0, 3) && !may(1, 3));
    assert!(may(1, 4) && !may(2, 4));
    assert!(!may(0, 0) && !cap(0, 1, 1.0) && cap(8, 10, 1.0) && !cap(9, 10, 1.0));
    assert!(cap(28, 100, 0.29) && !cap(29, 100, 0.29), "rounding costs none");
}

#[test]
fn settings_that_cannot_be() {
    let name = "fleet".into();
    let refused = |change: fn(&mut Outliers)| {
        let mut settings = both();
        change(&mut settings);
        settings.check(&Check::of(&name)).err().map(|error| error.field())
    };
    assert_eq!(refused(|_| {}), None);
    assert_eq!(refused(|outliers| outliers.interval = Duration::ZERO), Some("outliers.interval"));
    assert_eq!(refused(|outliers| outliers.base_ejection = Duration::ZERO), Some("outliers.base_ejection"));
    assert_eq!(refused(|outliers| outliers.max_ejection = Duration::from_secs(4)), Some("outliers.max_ejection"));
    let rate = |rate: SuccessRate| {
        let settings = Outliers { success_rate: Some(rate), ..Outliers::default() };
        settings.check(&Check::of(&name)).unwrap_err().field()
    };
    let default = SuccessRate::default();
    assert_eq!(rate(SuccessRate { hosts: 2, ..default }), "outliers.success_rate.hosts");
    assert_eq!(rate(SuccessRate { requests: 0, ..default }), "outliers.success_rate.requests");
    for deviations in [0.0, 10.1, f64::NAN] {
        assert_eq!(rate(SuccessRate { deviations, ..default }), "outliers.success_rate.deviations");
    }
    let share = |share: FailurePercentage| {
        let settings = Outliers { failure_percentage: Some(share), ..Outliers::default() };
        settings.check(&Check::of(&name)).unwrap_err().field()
    };
    assert_eq!(share(FailurePercentage { requests: 0, ..Default::default() }), "outliers.failure_percentage.requests");
    for threshold in [0.0, 1.01, f64::NAN] {
        assert_eq!(
            share(FailurePercentage { threshold, ..Default::default() }),
            "outliers.failure_percentage.threshold"
        );
    }
}

fn hosts() -> impl Strategy<Value = Vec<Counts>> {
    let host = prop_oneof![
        (0_u64..300, 0_u64..300, 0_u64..300),
        Just((0, 0, 200)),
        Just((0, 200, 0)),
        Just((200, 0, 0)),
        (0_u64..3, 60_u64..200, 60_u64..200),
    ];
    prop::collection::vec(host, 0..20).prop_map(|hosts| {
        (0..).zip(hosts).map(|(id, (successes, local, remote))| Counts { id, successes, local, remote }).collect()
    })
}

proptest! {
    #[test]
    fn f27_never_more_than_the_share_is_ejected_and_never_the_last(
        rounds in prop::collection::vec(hosts(), 1..5), share in 0.0..=1.0,
        errors in prop::sample::select(vec![CountedErrors::Together, CountedErrors::Apart]),
    ) {
        let settings = Outliers { errors, ..both() };
        let mut out = std::collections::HashSet::new();
        let total = rounds.iter().map(Vec::len).max().unwrap_or(0) as u32;
        for hosts in rounds {
            let hosts: Vec<_> = hosts.into_iter().filter(|host| !out.contains(&host.id)).collect();
            for outlier in judge(&settings, &hosts) {
                if cap(out.len() as u32, total, share) {
                    prop_assert!(out.insert(outlier.id), "found twice");
                }
            }
            prop_assert!(out.len() as f64 <= share * f64::from(total) + 1e-6);
            prop_assert!(total == 0 || (out.len() as u32) < total);
        }
    }

    #[test]
    fn one_in_one_and_the_square_of_the_deviations_is_an_outlier_at_most(hosts in hosts(), deviations in 0.5..3.0) {
        let rate = SuccessRate { deviations, requests: 1, ..SuccessRate::default() };
        let settings = Outliers { success_rate: Some(rate), ..Outliers::default() };
        let most = hosts.len() as f64 / (1.0 + deviations * deviations);
        prop_assert!(judge(&settings, &hosts).len() as f64 <= most + 1e-9);
    }

    #[test]
    fn an_ejection_is_never_longer_than_the_maximum(
        base in 1_u64..1_000, more in 0_u64..10_000, random in 0.0..1.0, times in 1_u32..100,
    ) {
        let (base, max) = (Duration::from_millis(base), Duration::from_millis(base + more));
        let settings = Outliers { base_ejection: base, max_ejection: max, ..Outliers::default() };
        let mut ejections = Ejections::default();
        for _ in 0..times {
            let wait = ejections.eject(&settings, random);
            prop_assert!(wait <= max && wait >= base.mul_f64(0.66), "{wait:?}");
        }
    }
}
