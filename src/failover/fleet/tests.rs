//! Fleets in states that need care, each told in a few steps.

use super::{
    super::{Cause, Failback},
    *,
};
use crate::{
    failover::{TierPolicy, probe::Report},
    telemetry::Name,
};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

fn meta(tier: u32) -> impl Fn(u32) -> Meta {
    move |id| Meta { tier, ..Meta::new(Name::from(format!("{id}"))) }
}

/// A fleet of these endpoints without probes, by their tiers, numbered from 1 on.
fn fleet(tiers: &[u32], edit: impl FnOnce(&mut FailoverSettings)) -> Fleet {
    build(tiers, false, |_| Checked::new(false), edit)
}

fn build(tiers: &[u32], roles: bool, checked: fn(u32) -> Checked, edit: impl FnOnce(&mut FailoverSettings)) -> Fleet {
    let mut settings = FailoverSettings::default();
    edit(&mut settings);
    let mut fleet = Fleet::new(settings, roles, Rng::seeded(7));
    for (tier, id) in tiers.iter().zip(1..) {
        fleet.insert(id, meta(*tier)(id), checked(id), None, Duration::ZERO);
    }
    fleet.start();
    fleet
}

impl Fleet {
    /// Calls to it get no connection.
    fn loses(&mut self, id: u32, now: Duration) {
        let generation = self.generation(id).unwrap();
        assert!(self.failing(id, generation, Cause::Connect(2), now));
    }

    fn trials(&self, now: Duration) -> Vec<u32> {
        self.plan(now).trials.iter().map(|(seat, _)| seat.id).collect()
    }

    fn chosen(&self, now: Duration) -> Vec<(u32, f64)> {
        let groups = self.plan(now).groups;
        groups.iter().flat_map(|group| group.seats.iter().map(|seat| (seat.id, group.share))).collect()
    }

    /// It is tried and passes.
    fn returns(&mut self, id: u32, now: Duration) {
        self.advance(now);
        let trial = self.take_trial(id, now).expect("it waits for that");
        self.trial_ended(trial, TrialEnd::Passed, now);
    }
}

#[test]
fn an_endpoint_of_a_tier_that_takes_the_rest_is_tried_while_the_first_tier_is_in_use() {
    let mut fleet = fleet(&[0, 0, 1, 1], |settings| settings.tiers = TierPolicy::spillover());
    fleet.loses(1, SEC);
    fleet.loses(3, SEC);
    assert_eq!((fleet.in_use(), fleet.plan(SEC).groups.len()), (Some(0), 2));
    fleet.advance(3 * SEC);
    assert_eq!(fleet.trials(3 * SEC), [1, 3]);
}

#[test]
fn with_roles_an_endpoint_of_any_tier_is_tried() {
    let mut fleet = build(&[0, 1], true, |_| Checked::new(false), |_| ());
    fleet.loses(2, SEC);
    fleet.advance(3 * SEC);
    assert_eq!((fleet.in_use(), fleet.trials(3 * SEC)), (Some(0), vec![2]), "it may be the only replica");
    let mut fleet = self::fleet(&[0, 1], |_| ());
    fleet.loses(2, SEC);
    fleet.advance(3 * SEC);
    assert!(fleet.trials(3 * SEC).is_empty(), "a standby waits until it is needed");
}

#[test]
fn in_panic_a_tier_that_is_down_has_no_share() {
    let probed = |id| Checked::new(id > 4);
    let mut fleet = build(&[0, 0, 0, 0, 1, 1], false, probed, |settings| settings.tiers = TierPolicy::spillover());
    for id in 5..=6 {
        fleet.probed(id, Err(Name::from_static("no")), SEC);
    }
    (1..=3).for_each(|id| fleet.loses(id, SEC));
    let groups = fleet.plan(SEC).groups;
    assert_eq!(groups.iter().map(|group| group.seats.len()).collect::<Vec<_>>(), [4], "panic");
    assert_eq!(groups[0].share, 1.0);
}

#[test]
fn with_all_out_a_trial_that_is_given_back_is_the_turn_of_the_next() {
    let mut fleet = fleet(&[0, 0], |_| ());
    (1..=2).for_each(|id| fleet.loses(id, SEC));
    fleet.advance(2 * SEC);
    assert_eq!(fleet.trials(2 * SEC), [1]);
    let trial = fleet.take_trial(1, 2 * SEC).unwrap();
    fleet.trial_ended(trial, TrialEnd::GivenBack, 2 * SEC);
    assert_eq!(fleet.trials(2 * SEC), [2], "whoever tried the first one did not wait for it");
}

#[test]
fn with_all_out_one_that_was_tried_before_that_changes_nothing_of_whose_turn_it_is() {
    for end in [TrialEnd::Failed, TrialEnd::GivenBack] {
        let mut fleet = fleet(&[0, 0], |_| ());
        fleet.loses(1, SEC);
        fleet.advance(3 * SEC);
        let before = fleet.take_trial(1, 3 * SEC).unwrap();
        fleet.loses(2, 3 * SEC);
        fleet.advance(4 * SEC);
        let of_all = fleet.trials(4 * SEC)[0];
        assert_eq!(of_all, 2, "the first one is being tried");
        fleet.take_trial(2, 4 * SEC).unwrap();
        fleet.trial_ended(before, end, 4 * SEC);
        assert!(fleet.take_trial(1, 4 * SEC).is_none(), "one at a time");
        fleet.advance(5 * SEC);
        assert!(fleet.take_trial(1, 5 * SEC).is_none(), "one at a time");
    }
}

#[test]
fn a_trial_that_says_nothing_any_more_is_waited_for_no_longer() {
    let mut fleet = fleet(&[0, 0], |_| ());
    fleet.loses(2, SEC);
    fleet.advance(3 * SEC);
    let overtaken = fleet.take_trial(2, 3 * SEC).unwrap();
    assert!(fleet.all_failing(3 * SEC));
    fleet.returns(1, 4 * SEC);
    fleet.trial_ended(overtaken, TrialEnd::Failed, 4 * SEC);
    fleet.returns(2, 4 * SEC);
    assert_eq!(fleet.chosen(4 * SEC).len(), 2);
}

#[test]
fn an_endpoint_that_goes_down_while_it_is_tried_is_not_tried_for_ever() {
    let mut fleet = build(&[0, 0], false, |_| Checked::new(true), |_| ());
    (1..=2).for_each(|id| fleet.probed(id, Ok(Report::new()), SEC));
    fleet.loses(1, SEC);
    fleet.advance(3 * SEC);
    fleet.take_trial(1, 3 * SEC).unwrap();
    (0..3).for_each(|_| fleet.probed(1, Err(Name::from_static("no")), 3 * SEC));
    (0..2).for_each(|_| fleet.probed(1, Ok(Report::new()), 4 * SEC));
    assert_eq!(fleet.chosen(4 * SEC).len(), 2, "it has passed as often as it takes");
}

#[test]
fn a_key_means_the_endpoint_that_came_last() {
    let mut fleet = fleet(&[0, 0], |_| ());
    fleet.leave(1, SEC);
    fleet.insert(3, Meta::new(Name::from_static("1")), Checked::new(false), None, SEC);
    assert_eq!(fleet.id_of("1"), Some(3));
    fleet.leave(3, SEC);
    assert!(matches!(fleet.id_of("1"), Some(1 | 3)));
}

#[test]
fn a_tier_that_had_too_few_is_in_hold_too_before_it_is_gone_back_to() {
    let mut fleet = fleet(&[0, 0, 1, 1], |settings| settings.tiers = TierPolicy::Strict { min_healthy: 2 });
    fleet.loses(1, SEC);
    assert_eq!(fleet.in_use(), Some(1));
    fleet.returns(1, 3 * SEC);
    assert_eq!(fleet.in_use(), Some(1), "in hold");
    fleet.advance(32 * SEC);
    assert_eq!(fleet.in_use(), Some(1));
    fleet.advance(37 * SEC);
    assert_eq!(fleet.in_use(), Some(0));
}

#[test]
fn in_a_tier_that_is_used_nothing_stays_in_hold() {
    let edit = |settings: &mut FailoverSettings| {
        settings.tiers = TierPolicy::Strict { min_healthy: 2 };
        settings.failback = Failback::Manual;
    };
    let mut fleet = fleet(&[0, 0, 1, 1], edit);
    fleet.loses(1, SEC);
    fleet.returns(1, 3 * SEC);
    fleet.loses(3, 4 * SEC);
    assert_eq!(fleet.in_use(), Some(0));
    let used = fleet.chosen(4 * SEC);
    assert_eq!(used[..2], [(1, 1.0), (2, 1.0)], "{used:?}");
}

#[test]
fn another_way_of_going_back_is_that_of_endpoints_in_hold_too() {
    let held = |failback| {
        let mut fleet = fleet(&[0, 1], |settings| settings.failback = failback);
        fleet.loses(1, SEC);
        fleet.returns(1, 3 * SEC);
        assert_eq!(fleet.in_use(), Some(1));
        fleet
    };
    let becomes = |fleet: &mut Fleet, failback, now| {
        let settings = FailoverSettings { failback, ..fleet.settings.clone() };
        fleet.set_settings(settings, now);
    };
    for before in [Failback::Manual, Failback::Sticky, Failback::After(1000 * SEC)] {
        let mut fleet = held(before);
        becomes(&mut fleet, Failback::Immediate, 4 * SEC);
        assert_eq!(fleet.in_use(), Some(0), "{before:?}");
        let mut fleet = held(before);
        becomes(&mut fleet, Failback::After(2 * SEC), 4 * SEC);
        assert!(fleet.plan(4 * SEC).due.unwrap() <= 7 * SEC);
        fleet.advance(7 * SEC);
        assert_eq!(fleet.in_use(), Some(0), "{before:?}");
    }
    let mut fleet = held(Failback::After(2 * SEC));
    becomes(&mut fleet, Failback::Manual, 4 * SEC);
    fleet.advance(1000 * SEC);
    assert_eq!(fleet.in_use(), Some(1));
}

#[test]
fn while_a_probe_is_under_way_something_may_come_of_it() {
    let mut fleet = build(&[0], false, |_| Checked::new(true), |_| ());
    assert_eq!(fleet.plan(MS).next, Some(Duration::ZERO));
    assert_eq!(fleet.due_probe(MS), [1]);
    assert_eq!(fleet.plan(300 * MS).next, Some(300 * MS));
    assert!(fleet.due_probe(300 * MS).is_empty(), "it has been asked");
    fleet.probed(1, Err(Name::from_static("no")), 400 * MS);
    assert!(fleet.plan(400 * MS).next.unwrap() > 800 * MS);
}

#[test]
fn one_that_is_asked_when_a_search_begins_is_asked_fast_after_that() {
    let mut fleet = build(&[0, 0], true, |_| Checked::new(true), |settings| settings.check.jitter = 0.0);
    assert_eq!(fleet.due_probe(Duration::ZERO), [1, 2]);
    (1..=2).for_each(|id| fleet.probed(id, Ok(Report::new()), MS));
    assert_eq!(fleet.due_probe(2001 * MS), [1, 2]);
    fleet.probed(1, Ok(Report::new()), 2001 * MS);
    fleet.missed(2010 * MS);
    assert_eq!(fleet.due_probe(2010 * MS), [1], "the other one is asked");
    (1..=2).for_each(|id| fleet.probed(id, Ok(Report::new()), 2020 * MS));
    assert_eq!(fleet.next_probe(), Some(2520 * MS));
    assert_eq!(fleet.due_probe(2520 * MS), [1, 2]);
}

#[test]
fn an_ejection_may_be_longer_than_there_is_time() {
    let mut fleet = fleet(&[0, 0], |_| ());
    fleet.eject_for(1, Cause::Trial, Duration::MAX, SEC);
    let member = fleet.member(1).unwrap();
    assert_eq!(member.state(SEC), EndpointState::Ejected { cause: Cause::Trial, wait: Duration::MAX - SEC });
    fleet.advance(Duration::MAX - SEC);
    assert!(fleet.trials(Duration::MAX - SEC).is_empty());
}
