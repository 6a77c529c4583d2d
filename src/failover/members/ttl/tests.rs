//! What the tests pin.
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

const LIMITS: Limits = Limits {
    floor: Duration::from_secs(5),
    ceiling: Duration::from_secs(300),
    keep: Duration::from_secs(30),
    timeout: Duration::from_secs(10),
};

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 5432))
}

fn target(host: u8, priority: u16, weight: u16) -> Target {
    Target { address: at(host), priority, weight }
}

fn part(of: &str, hosts: &[u8]) -> Part {
    Part { of: of.to_owned(), targets: Some(hosts.iter().map(|host| target(*host, 0, 0)).collect()) }
}

fn unanswered(of: &str) -> Part {
    Part { of: of.to_owned(), targets: None }
}

fn found(hosts: &[u8], ttl: u64) -> Outcome {
    Outcome::Found { parts: vec![part("A", hosts)], ttl: Duration::from_secs(ttl) }
}

fn addresses(set: Option<&[Placed]>) -> Option<Vec<SocketAddr>> {
    set.map(|set| set.iter().map(|placed| placed.address).collect())
}

/// Asks when it is due and is given this; returns when that was, and what is published.
fn failed() -> Outcome {
    Outcome::Failed(Name::from_static("SERVFAIL"))
}

fn next(ttl: &mut Ttl, outcome: Outcome) -> (Duration, Option<Vec<SocketAddr>>) {
    let now = ttl.due();
    ttl.ask(now);
    (now, addresses(ttl.answered(now, outcome, 0.5)))
}

#[test]
fn asks_when_the_time_to_live_is_over_between_floor_and_ceiling() {
    let mut ttl = Ttl::new(LIMITS);
    let begins: Vec<u64> =
        [60, 0, 5, 299, 301, u64::MAX, 7].map(|seconds| next(&mut ttl, found(&[1], seconds)).0.as_secs()).into();
    assert_eq!(begins, [0, 60, 65, 70, 369, 669, 969]);
    assert_eq!(ttl.due(), 976 * SECOND);
}

#[test]
fn publishes_what_has_changed_and_nothing_else() {
    let mut ttl = Ttl::new(LIMITS);
    assert_eq!(next(&mut ttl, found(&[2, 1], 9)).1, Some(vec![at(1), at(2)]));
    assert_eq!(next(&mut ttl, found(&[1, 2, 1], 9)).1, None);
    assert_eq!(next(&mut ttl, found(&[2, 3], 9)).1, Some(vec![at(2), at(3)]));
}

#[test]
fn failures_are_tried_again_after_waits_that_double_and_keep_the_set_for_ever() {
    let mut ttl = Ttl::new(LIMITS);
    next(&mut ttl, found(&[1], 60));
    let mut last = next(&mut ttl, failed()).0;
    let mut waits = Vec::new();
    for _ in 0..2000 {
        let (now, published) = next(&mut ttl, failed());
        assert_eq!(published, None);
        waits.push((now - last).as_secs_f64().round() as u64);
        last = now;
    }
    assert_eq!(waits[..7], [1, 2, 4, 8, 16, 25, 25]);
    assert!(last > 13 * 3600 * SECOND);
    // And begins anew after a good one.
    let good = next(&mut ttl, found(&[1], 60)).0;
    let failed = next(&mut ttl, failed()).0;
    assert_eq!(failed, good + 60 * SECOND);
    assert!(ttl.due() < failed + 2 * SECOND);
}

#[test]
fn it_fails_from_a_lookup_that_left_something_open_to_the_next_full_one() {
    let mut ttl = Ttl::new(LIMITS);
    let half = || Outcome::Found { parts: vec![part("A", &[1]), unanswered("AAAA db. 80")], ttl: SECOND };
    for (outcome, failing) in [
        (found(&[1], 5), None),
        (half(), Some("no answer to AAAA db. 80")),
        (Outcome::Found { parts: vec![unanswered("A db. 80")], ttl: SECOND }, Some("no answer to A db. 80")),
        (failed(), Some("SERVFAIL")),
        (Outcome::Nothing, Some("there is no such name, or nothing under it")),
        (Outcome::Failed(ttl.too_late()), Some("no answer within 10s")),
        (found(&[2], 5), None),
    ] {
        next(&mut ttl, outcome);
        assert_eq!(ttl.failing().map(Name::as_str), failing);
    }
}

#[test]
fn waits_after_failures_are_spread_and_never_over_the_longest() {
    let wait = |failures: u32, random: f64| {
        let mut ttl = Ttl::new(LIMITS);
        (0..failures).for_each(|_| {
            ttl.answered(Duration::ZERO, failed(), random);
        });
        ttl.due().as_secs_f64()
    };
    assert!((wait(1, 0.0) - 0.8).abs() < 0.01 && (wait(1, 0.999) - 1.2).abs() < 0.01);
    assert!((wait(50, 0.0) - 20.0).abs() < 0.01 && (wait(50, 0.999) - 30.0).abs() < 0.1);
}

#[test]
fn nothing_is_believed_when_it_is_still_said_after_the_time_to_keep() {
    let mut ttl = Ttl::new(LIMITS);
    next(&mut ttl, found(&[1], 60));
    let (first, mut published) = next(&mut ttl, Outcome::Nothing);
    let mut now = first;
    while published.is_none() {
        assert!(now < first + LIMITS.keep);
        (now, published) = next(&mut ttl, Outcome::Nothing);
    }
    assert_eq!((now, published), (first + LIMITS.keep, Some(Vec::new())));
    // Said once, it stays so; and what comes back is there at once.
    assert_eq!(next(&mut ttl, Outcome::Nothing).1, None);
    assert_eq!(next(&mut ttl, found(&[2], 60)).1, Some(vec![at(2)]));
}

#[test]
fn the_time_to_keep_begins_anew_with_a_good_answer_and_not_with_a_failure() {
    let mut ttl = Ttl::new(LIMITS);
    next(&mut ttl, found(&[1], 5));
    let first = next(&mut ttl, Outcome::Nothing).0;
    next(&mut ttl, found(&[1], 40));
    let (second, published) = next(&mut ttl, Outcome::Nothing);
    assert!(second > first + LIMITS.keep && published.is_none());
    loop {
        // What failed does not know.
        let (now, published) = next(&mut ttl, failed());
        assert_eq!(published, None);
        if now > second + 2 * LIMITS.keep {
            break;
        }
    }
    assert_eq!(next(&mut ttl, Outcome::Nothing).1, Some(Vec::new()));
}

#[test]
fn an_answer_without_addresses_is_none() {
    let mut ttl = Ttl::new(Limits { keep: Duration::ZERO, ..LIMITS });
    assert_eq!(next(&mut ttl, found(&[], 60)).1, None);
    next(&mut ttl, found(&[1], 60));
    assert_eq!(next(&mut ttl, found(&[], 60)).1, Some(Vec::new()));
}

#[test]
fn looks_again_at_once_and_not_twice_in_a_second() {
    let mut ttl = Ttl::new(LIMITS);
    next(&mut ttl, found(&[1], 60));
    ttl.look_again(SECOND / 4);
    assert_eq!(ttl.due(), SECOND);
    ttl.look_again(30 * SECOND);
    assert_eq!(ttl.due(), SECOND);
    let mut ttl = Ttl::new(LIMITS);
    next(&mut ttl, found(&[1], 60));
    ttl.look_again(30 * SECOND);
    assert_eq!(ttl.due(), 30 * SECOND);
    // What is being asked is new enough, and this does not end it.
    ttl.ask(30 * SECOND);
    ttl.look_again(31 * SECOND);
    assert_eq!(ttl.due(), 40 * SECOND);
    ttl.answered(31 * SECOND, found(&[1], 60), 0.5);
    assert_eq!(ttl.due(), 91 * SECOND);
    // A wait after failures is cut short too.
    (0..9).for_each(|_| {
        ttl.answered(100 * SECOND, failed(), 0.5);
    });
    ttl.look_again(103 * SECOND);
    assert_eq!(ttl.due(), 103 * SECOND);
}

#[test]
fn what_was_not_answered_stays_as_it_was_and_is_asked_for_again_soon() {
    let mut ttl = Ttl::new(LIMITS);
    let both = |v4, v6| Outcome::Found { parts: vec![v4, v6], ttl: 60 * SECOND };
    assert_eq!(next(&mut ttl, both(part("A", &[1]), part("AAAA", &[6]))).1, Some(vec![at(1), at(6)]));
    let (now, published) = next(&mut ttl, both(part("A", &[2]), unanswered("AAAA")));
    assert_eq!(published, Some(vec![at(2), at(6)]));
    assert!(ttl.due() < now + 2 * SECOND);
    // For as long as it is not answered.
    assert_eq!(next(&mut ttl, both(part("A", &[2]), unanswered("AAAA"))).1, None);
    assert_eq!(next(&mut ttl, both(unanswered("A"), part("AAAA", &[]))).1, Some(vec![at(2)]));
    // Nothing was found, and nobody knows whether there is more: that is a failure.
    let mut ttl = Ttl::new(Limits { keep: Duration::ZERO, ..LIMITS });
    next(&mut ttl, found(&[1], 60));
    assert_eq!(next(&mut ttl, both(part("AAAA", &[]), unanswered("A of another"))).1, None);
}

fn of(targets: &[Target]) -> Vec<(u32, f64)> {
    let parts = [Part { of: String::new(), targets: Some(targets.to_vec()) }];
    placed(&parts).into_iter().map(|placed| (placed.tier, placed.weight)).collect()
}

#[test]
fn priorities_become_tiers_without_gaps() {
    assert_eq!(
        of(&[target(1, 20, 5), target(2, 10, 5), target(3, 65_535, 5), target(4, 10, 7)]),
        [(1, 5.0), (0, 5.0), (2, 5.0), (0, 7.0)]
    );
}

#[test]
fn weights_are_those_of_the_records_as_far_as_endpoints_can_have_them() {
    assert_eq!(of(&[target(1, 0, 0), target(2, 0, 0)]), [(0, 1.0), (0, 1.0)]);
    assert_eq!(of(&[target(1, 0, 0), target(2, 0, 3), target(3, 0, 1000)]), [(0, 0.01), (0, 3.0), (0, 1000.0)]);
    let scaled = of(&[target(1, 0, 50_000), target(2, 0, 25_000), target(3, 1, 40)]);
    assert_eq!(scaled, [(0, 1000.0), (0, 500.0), (1, 40.0)]);
}

#[test]
fn an_address_that_is_there_twice_has_its_better_place() {
    let (bad, worse, good) = (target(1, 5, 9), target(1, 7, 90), target(1, 5, 10));
    for targets in [[bad, worse, good], [good, bad, worse], [worse, good, bad]] {
        assert_eq!(of(&targets), [(0, 10.0)]);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Found(Vec<u8>, u64),
    Nothing,
    Failed,
    LookAgain,
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64, f64)>> {
    let step = prop_oneof![
        2 => (prop::collection::vec(0_u8..5, 0..4), 0_u64..600).prop_map(|(hosts, ttl)| Step::Found(hosts, ttl)),
        4 => Just(Step::Nothing),
        2 => Just(Step::Failed),
        2 => Just(Step::LookAgain),
    ];
    prop::collection::vec((step, 0_u64..12_000, 0.0..1.0), 0..60)
}

proptest! {
    /// Over any history: what is published is what has changed; the set is the last that was found, until it was said for
    /// the time to keep that there is nothing; and name servers are asked neither too often nor too late.
    #[test]
    fn the_set_is_the_last_good_one(steps in steps()) {
        let mut ttl = Ttl::new(LIMITS);
        let mut set: Vec<SocketAddr> = Vec::new();
        let (mut nothing_since, mut ended) = (None, None);
        let mut now = Duration::ZERO;
        for (step, millis, random) in steps {
            let took = Duration::from_millis(millis).min(LIMITS.timeout);
            let outcome = match step {
                Step::LookAgain => {
                    let due = ttl.due();
                    now += took / 10;
                    ttl.look_again(now);
                    prop_assert!(ttl.due() <= due);
                    prop_assert!(ended.is_none_or(|ended| ttl.due() >= due.min(ended + SECOND)));
                    continue;
                }
                Step::Found(hosts, ttl) => found(&hosts, ttl),
                Step::Nothing => Outcome::Nothing,
                Step::Failed => failed(),
            };
            now = now.max(ttl.due());
            ttl.ask(now);
            now += took;
            ended = Some(now);
            let before = set.clone();
            match &outcome {
                Outcome::Found { parts, .. } if !placed(parts).is_empty() => {
                    set = placed(parts).iter().map(|placed| placed.address).collect();
                    nothing_since = None;
                }
                Outcome::Failed(_) => {}
                _ => {
                    if now >= *nothing_since.get_or_insert(now) + LIMITS.keep {
                        set.clear();
                    }
                }
            }
            let good = nothing_since.is_none() && matches!(outcome, Outcome::Found { .. });
            let published = addresses(ttl.answered(now, outcome, random));
            prop_assert_eq!(published, (set != before).then(|| set.clone()));
            let waits = ttl.due() - now;
            if good {
                prop_assert!(waits >= LIMITS.floor && waits <= LIMITS.ceiling);
            } else {
                let believed = nothing_since.map(|since| since + LIMITS.keep);
                prop_assert!(waits <= 30 * SECOND);
                prop_assert!(waits >= SECOND * 4 / 5 || believed == Some(ttl.due()), "{:?}", waits);
            }
        }
    }
}
