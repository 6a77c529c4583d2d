//! A fleet, what is under way in it, and what must hold of it.

use std::collections::HashMap;

use super::{
    super::{super::Cause, member::Cold, *},
    MS, Set, Step,
};
use crate::{
    failover::{TierPolicy, probe::Report},
    rng::Rng,
    telemetry::Name,
};

pub(super) struct World {
    fleet: Fleet,
    now: Duration,
    next: u32,
    probed: bool,
    trials: Vec<Trial>,
    /// When each came up last, and whether it has been in hold since, by key.
    up: HashMap<Name, Duration>,
}

impl World {
    pub(super) fn new(tiers: &[u32], set: &Set, probed: bool, by_role: bool) -> Self {
        let fleet = Fleet::new(set.settings(), by_role, Rng::seeded(7));
        let (trials, up) = (Vec::new(), HashMap::new());
        let mut world = Self { fleet, now: Duration::ZERO, next: 1, probed, trials, up };
        tiers.iter().for_each(|tier| world.insert(*tier));
        world.fleet.start();
        world
    }

    fn insert(&mut self, tier: u32) {
        let id = self.next;
        self.next += 1;
        let zone = Some(Name::from(format!("z{}", id % 2)));
        let meta = Meta { tier, zone, ..Meta::new(Name::from(format!("{id}"))) };
        self.fleet.insert(id, meta, Checked::new(self.probed), None, self.now);
    }

    fn id(&self, who: usize) -> Option<u32> {
        let members = &self.fleet.members;
        (!members.is_empty()).then(|| members[who % members.len()].id)
    }

    pub(super) fn run(&mut self, step: &Step) {
        let now = self.now;
        let fleet = &mut self.fleet;
        let id = |who: usize| (!fleet.members.is_empty()).then(|| fleet.members[who % fleet.members.len()].id);
        match *step {
            Step::Fail { who, cause, stale } => {
                let Some(id) = id(who) else { return };
                let cause = [Cause::Connect(2), Cause::NoAnswer(5), Cause::Errors(5), Cause::SuccessRate(0.5, 0.9)]
                    [usize::from(cause) % 4];
                let generation = fleet.generation(id).unwrap().wrapping_sub(u32::from(stale));
                fleet.advance(now);
                let before = self.passives();
                let ejected = self.fleet.failing(id, generation, cause, now);
                assert!(!(stale && ejected), "what is late changes nothing");
                if stale {
                    assert_eq!(before, self.passives());
                }
                if ejected && matches!(cause, Cause::Errors(_) | Cause::SuccessRate(..)) {
                    self.within_the_share(id, cause);
                }
            }
            Step::AllFail => {
                let _ = fleet.all_failing(now);
            }
            Step::Take { who } => {
                let trials = self.fleet.plan(now).trials;
                if !trials.is_empty() {
                    self.trials.extend(self.fleet.take_trial(trials[who % trials.len()].0.id, now));
                }
            }
            Step::End { which, end } => {
                if self.trials.is_empty() {
                    return;
                }
                let trial = self.trials[which % self.trials.len()];
                // It stays there by times, and ends again: the second end changes nothing.
                if end < 4 {
                    self.trials.retain(|other| *other != trial);
                }
                let end =
                    [TrialEnd::Passed, TrialEnd::Failed, TrialEnd::Nothing, TrialEnd::GivenBack][usize::from(end) % 4];
                let stale = self.fleet.generation(trial.id) != Some(trial.generation);
                let before = self.passives();
                self.fleet.trial_ended(trial, end, now);
                assert!(!stale || before == self.passives(), "what is late changes nothing");
            }
            Step::Probe { who, ok, drain, maintenance } => {
                if let Some(id) = self.id(who).filter(|_| self.probed) {
                    let report = Report::new().drain(drain).maintenance(maintenance);
                    self.fleet.probed(id, if ok { Ok(report) } else { Err(Name::from_static("no")) }, now);
                }
            }
            Step::Insert { tier } => {
                if self.fleet.members.len() < 8 {
                    self.insert(tier);
                }
            }
            Step::Leave { who } => id(who).into_iter().for_each(|id| fleet.leave(id, now)),
            Step::Remove { who } => id(who).into_iter().for_each(|id| fleet.remove(id, now)),
            Step::Alter { who, tier } => {
                if let Some(id) = id(who) {
                    let meta = Meta { tier, ..fleet.member(id).unwrap().meta.clone() };
                    fleet.alter(id, meta, now);
                }
            }
            Step::Drain { who, on } => id(who).into_iter().for_each(|id| fleet.set_draining(id, on, now)),
            Step::Pin { who } => id(who).into_iter().for_each(|id| drop(fleet.pin(id, now))),
            Step::FailBack => fleet.fail_back(now),
            Step::Set(ref set) => fleet.set_settings(set.settings(), now),
            Step::Wait(ms) => {
                self.now += Duration::from_millis(ms);
                let _ = self.fleet.advance(self.now);
            }
        }
    }

    /// Of each endpoint what calls have shown, and whose turn it is.
    fn passives(&self) -> String {
        let members = self.fleet.members.iter().map(|member| (member.id, member.passive, member.generation));
        format!("{:?} {:?}", members.collect::<Vec<_>>(), self.fleet.all_out)
    }

    /// It has just been ejected for what it answers.
    fn within_the_share(&self, id: u32, cause: Cause) {
        let fleet = &self.fleet;
        let tier = fleet.member(id).unwrap().meta.tier;
        let elsewhere = fleet.members.iter().any(|member| member.meta.tier != tier && member.admissible());
        let present = || fleet.members.iter().filter(|member| member.meta.tier == tier && member.present());
        if !fleet.member(id).unwrap().present() {
            return;
        }
        let out = present().filter(|member| member.passive != Passive::In).count();
        if !elsewhere {
            assert!(present().any(Member::admissible), "the last one stays");
        }
        if !elsewhere || !matches!(cause, Cause::Errors(_)) {
            assert!(out as f64 <= fleet.settings.max_ejected * present().count() as f64);
        }
    }

    pub(super) fn check(&mut self) {
        let fleet = &mut self.fleet;
        let plan = fleet.plan(self.now);
        let admissible = fleet.members.iter().any(Member::admissible);
        let present = fleet.members.iter().any(Member::present);
        let by_failures = fleet.all_out.is_some_and(|out| out.by_failures);
        assert_eq!(plan.all_out, fleet.all_out.is_some());
        if !fleet.members.is_empty() {
            assert_eq!(plan.all_out, !admissible || by_failures);
        }
        if !plan.groups.is_empty() {
            let sum: f64 = plan.groups.iter().map(|group| group.share).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{sum} {:?}", plan.groups);
        }
        assert_eq!(plan.groups.is_empty(), plan.all_out || !admissible);
        let panics = matches!(fleet.settings.tiers, TierPolicy::Spillover { .. });
        for seat in plan.groups.iter().flat_map(|group| &group.seats) {
            let member = fleet.member(seat.id).unwrap();
            assert!(member.admissible() || panics && member.present(), "{member:?}");
        }
        // Each is there at most once with a share, and what is best is not left out.
        let seats: Vec<u32> = plan.groups.iter().flat_map(|group| &group.seats).map(|seat| seat.id).collect();
        for member in fleet.members.iter().filter(|member| member.admissible() && !plan.all_out) {
            assert!(seats.contains(&member.id), "{member:?}");
        }
        for (seat, _) in &plan.trials {
            let member = fleet.member(seat.id).unwrap();
            assert!(member.present(), "{member:?}");
            assert!(plan.all_out || matches!(member.passive, Passive::Waiting { .. }), "{member:?}");
        }
        if plan.all_out && present {
            let most = 400 * MS + 80 * MS;
            match fleet.all_out.unwrap().trial {
                AllOutTrial::At(at) => assert!(at <= self.now + most, "{at:?}"),
                AllOutTrial::Waiting(_) => assert!(!plan.trials.is_empty()),
                AllOutTrial::Trying { id, .. } => assert!(fleet.member(id).unwrap().present()),
            }
            assert!(plan.next.is_some());
        }
        fleet.take_events();
    }

    /// Nothing is gone back to before its hold is over, unless what was used instead is lost.
    pub(super) fn holds(&mut self, hold: Duration) {
        let fleet = &mut self.fleet;
        let enough = match fleet.settings.tiers {
            TierPolicy::Strict { min_healthy } => min_healthy as usize,
            TierPolicy::Spillover { .. } => 1,
        };
        let events = fleet.take_events();
        for event in &events {
            match event {
                FailoverEvent::EndpointUp { key, after: Some(_) } => drop(self.up.insert(key.clone(), self.now)),
                FailoverEvent::TierChanged { from: Some(from), to: Some(to) } if to < from => {
                    let plan = fleet.plan(self.now);
                    let stays = |member: &Member| member.meta.tier == *from && member.admissible() && !member.is_held();
                    if fleet.members.iter().filter(|member| stays(member)).count() < enough || fleet.in_use != Some(*to)
                    {
                        continue;
                    }
                    let mut used = plan.groups[0].seats.iter().map(|seat| &fleet.member(seat.id).unwrap().meta.key);
                    let up = |key: &Name| self.up.get(key).is_none_or(|up| self.now >= *up + hold);
                    assert!(used.any(up), "{events:?}, up since {:?}, now {:?}", self.up, self.now);
                }
                _ => {}
            }
        }
    }

    /// From now on all is well: so many steps at `due` and at the probes' times, and all that are there are in.
    pub(super) fn recovers(&mut self) {
        let ids: Vec<u32> = self.fleet.members.iter().map(|member| member.id).collect();
        for id in ids {
            self.fleet.set_draining(id, false, self.now);
        }
        let begun = self.now;
        let mut steps = 0;
        loop {
            let to_probe = self.fleet.due_probe(self.now);
            let asked: Vec<u32> = self.fleet.members.iter().filter(|member| member.is_asked()).map(|m| m.id).collect();
            for id in to_probe.into_iter().chain(asked) {
                self.fleet.probed(id, Ok(Report::new()), self.now);
            }
            while let Some((seat, _)) = self.fleet.plan(self.now).trials.first() {
                let Some(trial) = self.fleet.take_trial(seat.id, self.now) else { break };
                self.fleet.trial_ended(trial, TrialEnd::Passed, self.now);
            }
            self.fleet.take_events();
            let used = self.fleet.in_use.unwrap_or(u32::MAX);
            let needed = |member: &&Member| member.meta.tier <= used && !member.leaving && member.cold == Cold::Runs;
            let well = self.fleet.members.iter().filter(needed).all(Member::admissible);
            if well && self.fleet.all_out.is_none_or(|_| self.fleet.members.iter().all(|member| member.leaving)) {
                break;
            }
            let plan = self.fleet.plan(self.now);
            let next = [plan.due, self.fleet.next_probe()].into_iter().flatten().min();
            let next = next.unwrap_or_else(|| panic!("stuck: {:?}", self.fleet));
            // What is due does not stay so.
            self.now = self.now.max(next);
            self.fleet.advance(self.now);
            steps += 1;
            assert!(steps < 500, "goes round: {:?}", self.fleet);
        }
        assert!(self.now - begun <= 40_000 * MS, "{:?}", self.now - begun);
    }

    /// With nobody there to act, what is due comes to an end.
    pub(super) fn is_never_busy(&mut self) {
        let mut before = None;
        let mut same = 0;
        for _ in 0..200 {
            let Some(due) = self.fleet.plan(self.now).due else { return };
            self.now = self.now.max(due);
            self.fleet.advance(self.now);
            same = if before == Some(due) { same + 1 } else { 0 };
            assert!(same < 3, "{due:?} stays due: {:?}", self.fleet);
            before = Some(due);
        }
        panic!("never at rest: {:?}", self.fleet);
    }
}
