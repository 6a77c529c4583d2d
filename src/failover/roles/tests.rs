use super::*;
use crate::failover::Need;

const A: u32 = 1;
const B: u32 = 2;
const C: u32 = 3;
pub(super) const RULES: Rules = Rules { max_age: Duration::from_secs(6), refuse_writes_on_split: false };

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn roles() -> Roles {
    let mut roles = Roles::new(RULES);
    [A, B, C].into_iter().for_each(|id| roles.insert(id));
    roles
}

fn primary(epoch: u64) -> Report {
    Report::new().role(Role::Primary).epoch(epoch)
}

fn replica(epoch: u64) -> Report {
    Report::new().role(Role::Replica).epoch(epoch)
}

/// A report that is there as soon as it is asked for.
fn say(roles: &mut Roles, id: u32, report: Report, at: u64) -> Vec<RoleEvent> {
    roles.report(id, report, ms(at), ms(at))
}

/// A is the primary and B and C are replicas, since 0.
fn settled() -> Roles {
    let mut roles = roles();
    say(&mut roles, A, primary(1), 0);
    say(&mut roles, B, replica(1), 0);
    say(&mut roles, C, replica(1), 0);
    assert_eq!(roles.primary(ms(0)), Primary::Known(A));
    roles
}

fn changed(from: impl Into<Option<u32>>, to: u32, epoch: impl Into<Option<u64>>) -> RoleEvent {
    RoleEvent::PrimaryChanged { from: from.into(), to, epoch: epoch.into() }
}

#[test]
fn the_primary_is_who_says_so() {
    let mut roles = roles();
    assert_eq!(roles.primary(ms(0)), Primary::Unknown);
    assert_eq!(say(&mut roles, B, replica(1), 0), []);
    assert_eq!(say(&mut roles, A, primary(1), 0), [changed(None, A, 1)]);
    assert_eq!(say(&mut roles, A, primary(1), 2_000), []);
    assert_eq!([A, B, C].map(|id| roles.may_be_primary(id, ms(2_000))), [true, false, false]);
}

#[test]
fn one_with_a_higher_epoch_takes_over_at_once() {
    let mut roles = settled();
    let fenced = RoleEvent::Fenced { id: A, epoch: Some(1), highest: 2 };
    assert_eq!(say(&mut roles, B, primary(2), 100), [fenced, changed(A, B, 2)]);
    assert_eq!(roles.primary(ms(100)), Primary::Known(B));
    assert_eq!(say(&mut roles, A, primary(1), 200), [], "told once");
}

#[test]
fn an_old_primary_that_comes_back_with_a_lower_epoch_gets_nothing() {
    let mut roles = settled();
    assert_eq!(roles.lost(A, ms(100)), [RoleEvent::PrimaryUnknown { was: A }]);
    assert_eq!(say(&mut roles, B, primary(2), 200), [changed(A, B, 2)]);
    let fenced = RoleEvent::Fenced { id: A, epoch: Some(1), highest: 2 };
    assert_eq!(say(&mut roles, A, primary(1), 5_000), std::slice::from_ref(&fenced));
    assert!(!roles.may_be_primary(A, ms(5_000)));
    // Not even when it is the only one left.
    roles.gone(B, ms(5_100));
    assert_eq!(say(&mut roles, A, primary(1), 5_200), []);
    assert_eq!(roles.primary(ms(5_200)), Primary::Unknown);
    // Until it is said by hand that epochs begin anew.
    assert_eq!(roles.forget_epochs(ms(5_300)), [changed(None, A, None)]);
    say(&mut roles, A, primary(1), 5_400);
    assert_eq!(roles.primary(ms(5_400)), Primary::Known(A));
}

#[test]
fn the_highest_epoch_outlives_the_endpoint_that_had_it() {
    let mut roles = settled();
    say(&mut roles, B, primary(7), 100);
    roles.gone(B, ms(200));
    assert_eq!(roles.primary(ms(200)), Primary::Unknown);
    let again = 20;
    roles.insert(again);
    say(&mut roles, again, primary(6), 300);
    assert_eq!(roles.primary(ms(300)), Primary::Unknown);
    assert_eq!(say(&mut roles, again, primary(7), 400), [changed(None, again, 7)]);
}

#[test]
fn a_replica_that_follows_a_new_primary_fences_the_old_one() {
    let mut roles = settled();
    let fenced = RoleEvent::Fenced { id: A, epoch: Some(1), highest: 2 };
    assert_eq!(say(&mut roles, C, replica(2), 100), [fenced, RoleEvent::PrimaryUnknown { was: A }]);
    assert!(roles.search(ms(100)).is_some());
}

#[test]
fn one_that_gives_no_epoch_where_others_do_is_not_used() {
    let mut roles = settled();
    roles.lost(A, ms(50));
    say(&mut roles, C, Report::new().role(Role::Primary), 100);
    assert_eq!(roles.primary(ms(100)), Primary::Known(C), "its epoch was the highest one when it said it last");
    roles.insert(20);
    say(&mut roles, C, replica(1), 150);
    let fenced = RoleEvent::Fenced { id: 20, epoch: None, highest: 1 };
    assert_eq!(say(&mut roles, 20, Report::new().role(Role::Primary), 200), [fenced]);
    assert_eq!(roles.primary(ms(200)), Primary::Unknown);
}

#[test]
fn of_two_primaries_who_was_there_first_stays_and_it_is_said_once() {
    for epoch in [None, Some(4)] {
        let primary = Report { role: Some(Role::Primary), epoch, ..Report::new() };
        let mut roles = roles();
        say(&mut roles, B, primary, 0);
        assert_eq!(say(&mut roles, A, primary, 100), [RoleEvent::SplitBrain { ids: vec![A, B] }]);
        assert_eq!(say(&mut roles, A, primary, 200), []);
        assert_eq!(say(&mut roles, C, primary, 300), []);
        assert_eq!(roles.primary(ms(300)), Primary::Known(B));
        roles.rules.refuse_writes_on_split = true;
        assert_eq!(roles.primary(ms(300)), Primary::Split);
        assert_eq!([A, B, C].map(|id| roles.fit(id, Need::Primary, ms(300))), [Fit::No; 3]);
        assert_eq!(roles.gone(C, ms(400)), []);
        assert_eq!(
            say(&mut roles, A, Report { role: Some(Role::Replica), ..primary }, 500),
            [RoleEvent::SplitBrainOver]
        );
        assert_eq!(roles.primary(ms(500)), Primary::Known(B));
        assert_eq!(say(&mut roles, A, primary, 600), [RoleEvent::SplitBrain { ids: vec![A, B] }]);
    }
}

#[test]
fn a_report_that_is_too_old_says_nothing() {
    let mut roles = settled();
    say(&mut roles, B, replica(1), 4_000);
    assert_eq!(roles.due(ms(4_000)), Some(ms(6_000) + NANO));
    assert_eq!(roles.primary(ms(6_000)), Primary::Known(A));
    assert_eq!(roles.primary(ms(6_000) + NANO), Primary::Unknown);
    assert_eq!([B, C].map(|id| roles.may_read(id, None, ms(6_001))), [true, false]);
    assert_eq!(roles.look(ms(6_001)), [RoleEvent::PrimaryUnknown { was: A }]);
    assert!(roles.search(ms(6_001)).is_some());
    assert_eq!(say(&mut roles, A, primary(1), 7_000), [changed(A, A, 1)]);
}

/// A plain check of the demoted primary passes for ever.
#[test]
fn f28_a_check_that_passes_does_not_keep_a_demoted_primary() {
    let mut roles = settled();
    let plain = Report::new();
    say(&mut roles, A, plain, 5_000);
    assert_eq!(roles.primary(ms(6_100)), Primary::Unknown, "it says nothing of the role, so that grows old");
    say(&mut roles, A, primary(1), 6_200);
    assert_eq!(roles.refused_role(A, ms(6_300)), [RoleEvent::PrimaryUnknown { was: A }]);
    say(&mut roles, A, plain, 6_400);
    assert_eq!(roles.primary(ms(6_400)), Primary::Unknown);
    // Nor does one that was sent before it said so to a call.
    assert_eq!(roles.report(A, primary(1), ms(6_299), ms(6_500)), []);
    assert_eq!(say(&mut roles, B, primary(2), 6_600), [changed(A, B, 2)]);

    // Without any reports of roles.
    let mut plainly = self::roles();
    plainly.served(A, ms(0), ms(0));
    plainly.refused_role(A, ms(100));
    say(&mut plainly, A, plain, 101);
    assert_eq!(plainly.fit(A, Need::Primary, ms(101)), Fit::No);
    assert_eq!(plainly.served(B, ms(101), ms(110)), [changed(A, B, None)]);
    assert_eq!(plainly.primary(ms(99_000)), Primary::Known(B));
}

#[test]
fn a_call_that_is_told_not_primary_begins_one_search_for_all() {
    let mut roles = settled();
    assert_eq!(roles.search(ms(100)), None);
    assert_eq!(roles.refused_role(A, ms(100)), [RoleEvent::PrimaryUnknown { was: A }]);
    assert_eq!(roles.search(ms(100)), Some(Search { fast_until: ms(30_100) }));
    for late in 0..100 {
        assert_eq!(roles.refused_role(A, ms(101)), []);
        assert_eq!(roles.refused_role(B, ms(101)), []);
        assert_eq!(roles.search(ms(101)), None, "{late}");
    }
    assert!(roles.searching(ms(30_099)) && !roles.searching(ms(30_100)));
    say(&mut roles, B, primary(2), 110);
    assert_eq!(roles.search(ms(9_000)), None, "it is found");
    assert!(roles.searching(ms(9_000)), "and probing stays fast");
}

#[test]
fn rounds_follow_each_other_until_the_primary_is_found_or_the_search_is_over() {
    let mut roles = settled();
    roles.refused_role(A, ms(0));
    let mut rounds: Vec<u64> = Vec::new();
    for now in 0..60_000 {
        if roles.search(ms(now)).is_some() {
            rounds.push(now);
        }
    }
    assert_eq!(rounds[..9], [0, 50, 125, 238, 407, 661, 1_041, 1_441, 1_841]);
    assert!((29_600..30_000).contains(rounds.last().unwrap()));
}

#[test]
fn rounds_are_apart_and_begin_anew_with_each_primary_that_is_lost() {
    let mut roles = settled();
    let round = |roles: &mut Roles, at| roles.search(ms(at)).is_some();
    roles.refused_role(A, ms(0));
    assert!([0, 50, 125, 238, 407, 661].map(|at| round(&mut roles, at)).iter().all(|round| *round));
    say(&mut roles, A, primary(1), 670);
    say(&mut roles, A, replica(1), 680);
    assert_eq!([680, 710, 711].map(|at| round(&mut roles, at)), [false, false, true], "50 ms after the last one");
    assert_eq!([760, 761].map(|at| round(&mut roles, at)), [false, true]);
}

#[test]
fn a_search_is_asked_for_by_calls_that_find_no_primary() {
    let mut roles = roles();
    roles.missed(ms(100));
    assert!(roles.search(ms(100)).is_some());
    roles.missed(ms(1_000));
    assert_eq!(roles.search(ms(1_000)), None, "there is one");
    roles.missed(ms(30_100));
    assert!(roles.search(ms(30_100)).is_some());
    let mut roles = settled();
    roles.missed(ms(100));
    assert_eq!(roles.search(ms(100)), None);
}

#[test]
fn who_takes_over_from_one_that_refuses_is_searched_for_too() {
    let mut roles = settled();
    say(&mut roles, B, primary(1), 10);
    assert_eq!(roles.refused_role(A, ms(20)), [RoleEvent::SplitBrainOver, changed(A, B, 1)]);
    assert!(roles.search(ms(20)).is_some());
    assert_eq!(roles.search(ms(9_000)), None, "one round, as B is there");
}

#[test]
fn one_that_reports_itself_primary_and_refuses_calls_is_believed_ever_later() {
    let mut roles = settled();
    let mut now = 1_000;
    for wait in [0, 50, 75, 113, 169, 254, 380, 400, 400, 400] {
        roles.refused_role(A, ms(now));
        say(&mut roles, A, primary(1), now);
        if wait > 0 {
            assert_eq!(roles.primary(ms(now + wait - 1)), Primary::Unknown, "{wait} ms");
        }
        now += wait;
        assert_eq!(roles.primary(ms(now)), Primary::Known(A), "{wait} ms");
        roles.look(ms(now));
    }
    roles.served(A, ms(now), ms(now));
    roles.refused_role(A, ms(now));
    say(&mut roles, A, primary(1), now);
    assert_eq!(roles.primary(ms(now)), Primary::Known(A), "it has served since");
    now += 30_000;
    say(&mut roles, A, primary(1), now);
    roles.refused_role(A, ms(now));
    say(&mut roles, A, primary(1), now);
    assert_eq!(roles.primary(ms(now)), Primary::Known(A), "long ago");
}

#[test]
fn without_reports_all_may_be_the_primary_but_those_that_have_just_refused() {
    let mut roles = roles();
    let fits = |roles: &Roles, at| [A, B, C].map(|id| roles.fit(id, Need::Primary, ms(at)));
    assert_eq!(fits(&roles, 0), [Fit::Possible; 3]);
    roles.refused_role(A, ms(0));
    assert_eq!(roles.due(ms(0)), Some(ms(0)), "the search");
    assert!(roles.search(ms(0)).is_some());
    assert_eq!(roles.due(ms(0)), Some(ms(50)));
    assert_eq!(roles.search(ms(60)), None, "a round for each that refuses: more would not tell");
    assert_eq!(fits(&roles, 49), [Fit::No, Fit::Possible, Fit::Possible]);
    assert_eq!(fits(&roles, 50), [Fit::Possible; 3]);
    for (at, wait) in [(100, 75), (200, 112), (400, 168), (600, 253), (1_000, 379), (2_000, 400), (3_000, 400)] {
        roles.refused_role(A, ms(at));
        assert!(!roles.may_be_primary(A, ms(at + wait - 1)) && roles.may_be_primary(A, ms(at + wait + 1)), "{wait}");
    }
    assert_eq!(roles.served(B, ms(3_000), ms(3_001)), [changed(None, B, None)]);
    assert_eq!(fits(&roles, 3_002), [Fit::No, Fit::Preferred, Fit::Possible]);
    assert_eq!(roles.served(C, ms(3_000), ms(3_003)), [], "B was first");
    assert_eq!(roles.refused_role(B, ms(3_010)), [RoleEvent::PrimaryUnknown { was: B }]);
    assert_eq!(roles.served(B, ms(3_009), ms(3_011)), [], "a call from before");
    assert_eq!(roles.served(C, ms(3_011), ms(3_012)), [changed(B, C, None)]);
    assert_eq!(roles.lost(C, ms(3_013)), [RoleEvent::PrimaryUnknown { was: C }]);
}

#[test]
fn what_one_says_that_is_out_counts_when_it_was_asked_since() {
    let mut roles = settled();
    roles.lost(A, ms(100));
    assert_eq!(roles.report(A, primary(1), ms(99), ms(110)), []);
    assert_eq!(roles.report(A, primary(1), ms(101), ms(111)), [changed(A, A, 1)]);
    assert_eq!(roles.report(A, replica(1), ms(100), ms(112)), [], "overtaken");
    assert_eq!(roles.primary(ms(112)), Primary::Known(A));
}

#[test]
fn what_is_said_of_one_that_is_gone_is_not_kept() {
    let mut roles = roles();
    roles.gone(A, ms(0));
    assert_eq!(roles.served(A, ms(0), ms(0)), []);
    assert_eq!(say(&mut roles, A, primary(3), 0), []);
    assert_eq!(roles.refused_role(A, ms(0)), []);
    assert_eq!((roles.members.len(), roles.primary(ms(0))), (2, Primary::Unknown));
}

#[test]
fn replicas_are_read_from_if_they_are_near_enough() {
    let mut roles = settled();
    let second = Need::ReplicaPreferred { max_lag: ms(1_000) };
    let fits = |roles: &Roles, need, at| [A, B, C].map(|id| roles.fit(id, need, ms(at)));
    assert_eq!(fits(&roles, Need::Replica, 0), [Fit::No, Fit::Preferred, Fit::Preferred]);
    assert_eq!(fits(&roles, second, 0), [Fit::Possible, Fit::No, Fit::No], "none says how far it is behind");
    say(&mut roles, B, replica(1).lag(ms(1_000)), 100);
    say(&mut roles, C, replica(1).lag(ms(1_001)), 100);
    assert_eq!(fits(&roles, second, 100), [Fit::Possible, Fit::Preferred, Fit::No]);
    say(&mut roles, C, primary(2), 200);
    assert_eq!(fits(&roles, second, 200), [Fit::No, Fit::No, Fit::Possible], "it follows a primary that was");
    assert_eq!(fits(&roles, Need::Replica, 200), [Fit::No, Fit::Preferred, Fit::No]);
    say(&mut roles, B, replica(2), 6_050);
    assert_eq!(roles.fit(B, second, ms(6_100)), Fit::Preferred);
    assert_eq!(roles.fit(B, second, ms(6_101)), Fit::No, "what it said of its lag is too old");
    assert_eq!(fits(&roles, Need::Any, 99_000), [Fit::Preferred; 3]);
    // Without reports.
    let mut roles = self::roles();
    roles.served(A, ms(0), ms(0));
    assert_eq!(fits(&roles, Need::Replica, 0), [Fit::No, Fit::Preferred, Fit::Preferred]);
    assert_eq!(fits(&roles, second, 0), [Fit::Possible; 3]);
}
