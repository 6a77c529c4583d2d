//! All endpoints of one client, and which of them are in. Pure: takes `now`, and says what has changed.
//!
//! `mod.rs` keeps what is known and moves it on; `member.rs` is one endpoint, `plan.rs` what follows for calls.

mod member;
mod plan;

use std::time::Duration;

pub(super) use self::plan::{Group, Plan, Seat};
use self::{
    member::{Cold, Member, Out, Passive},
    plan::groups,
};
use super::{
    Cause, EndpointState, FailoverEvent, FailoverSettings, Meta,
    check::{self, Checked},
    probe::Report,
};
use crate::{rng::Rng, telemetry::Name};

/// See the module.
#[derive(Debug)]
pub(super) struct Fleet {
    members: Vec<Member>,
    settings: FailoverSettings,
    rng: Rng,
    /// All are out: one call at a time tries one of them.
    all_out: Option<AllOut>,
    /// Where the traffic goes, by hand.
    pinned: Option<u32>,
    /// The first tier that gets calls.
    in_use: Option<u32>,
    /// Whoever comes now joins others that are there.
    started: bool,
    events: Vec<FailoverEvent>,
}

#[derive(Clone, Copy, Debug)]
struct AllOut {
    since: Duration,
    /// Not one after the other has gone: so many calls in a row have failed, by whoever was asked.
    by_failures: bool,
    trials: u32,
    trial: AllOutTrial,
    /// Whom the last trial was of.
    last: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
enum AllOutTrial {
    At(Duration),
    Waiting(u32),
    Trying { id: u32, since: Duration },
}

/// How an attempt ended that an endpoint was tried with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrialEnd {
    Passed,
    Failed,
    /// It says nothing.
    GivenBack,
}

/// Leave to try an endpoint, with the generation that it has from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) id: u32,
    pub(super) generation: u32,
}

impl Fleet {
    pub(super) fn new(settings: FailoverSettings, rng: Rng) -> Self {
        let (members, events) = (Vec::new(), Vec::new());
        Self { members, settings, rng, all_out: None, pinned: None, in_use: None, started: false, events }
    }

    // ## Members

    pub(super) fn insert(&mut self, id: u32, meta: Meta, checked: Checked, cold: bool, now: Duration) {
        let mut member = Member::new(id, meta, checked, cold, now);
        if self.started {
            member.comes_back(now);
        }
        self.members.push(member);
        // As they were given, in each tier.
        self.members.sort_by_key(|member| member.meta.tier);
        // Nobody has asked it yet.
        self.all_out = self.all_out.filter(|out| !out.by_failures);
        self.settle(now);
    }

    /// All that are there at first are there.
    pub(super) fn start(&mut self) {
        self.started = true;
        self.events.clear();
    }

    /// It has another tier, weight or zone from now on.
    pub(super) fn alter(&mut self, id: u32, meta: Meta, now: Duration) {
        if let Some(member) = self.member_mut(id) {
            (member.meta, member.leaving) = (meta, false);
        }
        self.members.sort_by_key(|member| member.meta.tier);
        self.settle(now);
    }

    /// It gets no new calls, and is dropped when those under way have ended.
    pub(super) fn leave(&mut self, id: u32, now: Duration) {
        self.drain(id, now, |member| member.leaving = true);
    }

    pub(super) fn set_draining(&mut self, id: u32, draining: bool, now: Duration) {
        if draining {
            self.drain(id, now, |member| member.draining = true);
        } else {
            self.member_mut(id).into_iter().for_each(|member| member.draining = false);
            self.settle(now);
        }
    }

    fn drain(&mut self, id: u32, now: Duration, mark: impl FnOnce(&mut Member)) {
        if let Some(member) = self.member_mut(id) {
            let before = member.draining || member.leaving || member.wants_drain;
            mark(member);
            let key = member.meta.key.clone();
            if !before {
                self.events.push(FailoverEvent::EndpointDraining { key });
            }
        }
        self.settle(now);
    }

    pub(super) fn remove(&mut self, id: u32, now: Duration) {
        self.members.retain(|member| member.id != id);
        self.settle(now);
    }

    pub(super) fn id_of(&self, key: &str) -> Option<u32> {
        self.members.iter().find(|member| *member.meta.key == *key).map(|member| member.id)
    }

    pub(super) fn generation(&self, id: u32) -> Option<u32> {
        self.member(id).map(|member| member.generation)
    }

    pub(super) fn metas(&self) -> impl Iterator<Item = (u32, &Meta, bool)> {
        self.members.iter().map(|member| (member.id, &member.meta, member.leaving))
    }

    // ## What calls show

    /// So many calls in a row have failed there that it is to be ejected. Whether it was.
    pub(super) fn failing(&mut self, id: u32, generation: u32, cause: Cause, now: Duration) -> bool {
        self.advance(now);
        let stale = |member: &&Member| member.generation == generation && member.passive == Passive::In;
        let Some(member) = self.member(id).filter(stale) else { return false };
        let opinion = matches!(cause, Cause::Errors(_) | Cause::SuccessRate(..) | Cause::FailurePercentage(_));
        if opinion && member.admissible() && !self.may_be_spared(id, cause) {
            return false;
        }
        self.eject(id, cause, now);
        self.settle(now);
        true
    }

    /// Whether an endpoint may be ejected for what it answers: never the last one, nor more than the share in the last
    /// tier that there is.
    fn may_be_spared(&self, id: u32, cause: Cause) -> bool {
        let Some(member) = self.member(id) else { return false };
        let tier = member.meta.tier;
        let elsewhere = self.members.iter().any(|other| other.meta.tier != tier && other.admissible());
        let statistics = !matches!(cause, Cause::Errors(_));
        if elsewhere && !statistics {
            return true;
        }
        let of_tier = || self.members.iter().filter(|other| other.meta.tier == tier && other.present());
        let total = of_tier().count();
        let out = 1 + of_tier().filter(|other| other.passive != Passive::In).count();
        let left = of_tier().any(|other| other.id != id && other.admissible());
        (left || elsewhere) && out as f64 <= self.settings.max_ejected * total as f64
    }

    /// So many calls in a row have failed, of all endpoints each.
    pub(super) fn all_failing(&mut self, now: Duration) -> bool {
        if self.all_out.is_some() {
            return false;
        }
        self.all_are_out(true, now);
        // What began before that says nothing of what comes after.
        self.members.iter_mut().for_each(|member| member.generation = member.generation.wrapping_add(1));
        self.settle(now);
        true
    }

    /// Leave to try it, if it still waits for that.
    pub(super) fn take_trial(&mut self, id: u32, now: Duration) -> Option<Trial> {
        self.advance(now);
        if let Some(out) = &mut self.all_out {
            if !matches!(out.trial, AllOutTrial::Waiting(waiting) if waiting == id) {
                return None;
            }
            out.trial = AllOutTrial::Trying { id, since: now };
            out.trials = out.trials.saturating_add(1);
            out.last = Some(id);
        } else if !matches!(self.member(id)?.passive, Passive::Waiting { .. }) {
            return None;
        }
        let member = self.member_mut(id)?;
        if let Passive::Waiting { cause, .. } = member.passive {
            member.passive = Passive::Trying { cause, since: now };
        }
        member.generation = member.generation.wrapping_add(1);
        let (generation, key) = (member.generation, member.meta.key.clone());
        self.events.push(FailoverEvent::EndpointProbing { key });
        Some(Trial { id, generation })
    }

    pub(super) fn trial_ended(&mut self, trial: Trial, end: TrialEnd, now: Duration) {
        let Trial { id, generation } = trial;
        if self.generation(id) != Some(generation) {
            return;
        }
        match (end, self.all_out) {
            (TrialEnd::Passed, out) => {
                if let Some(out) = out {
                    self.answered_again(id, out, now);
                }
                self.back_in(id, now);
            }
            (TrialEnd::Failed, Some(out)) => {
                let wait = self.settings.all_out.endless(out.trials, self.rng.unit());
                self.all_out = Some(AllOut { trial: AllOutTrial::At(now.saturating_add(wait)), ..out });
                if self.member(id).is_some_and(|member| member.passive != Passive::In) {
                    self.eject(id, Cause::Trial, now);
                }
            }
            (TrialEnd::Failed, None) => self.eject(id, Cause::Trial, now),
            (TrialEnd::GivenBack, out) => {
                let member = self.member_mut(id).expect("its generation is known");
                member.generation = member.generation.wrapping_add(1);
                if let Passive::Trying { cause, .. } = member.passive {
                    member.passive = Passive::Waiting { cause, since: now };
                }
                self.all_out = out.map(|out| AllOut { trial: AllOutTrial::Waiting(id), ..out });
            }
        }
        self.settle(now);
    }

    fn answered_again(&mut self, id: u32, out: AllOut, now: Duration) {
        self.all_out = None;
        // Whatever was wrong with all of them may be over: each is tried by the next call, and not only when its turn comes.
        for member in &mut self.members {
            if let Passive::Ejected { cause, .. } = member.passive {
                member.passive = Passive::Waiting { cause, since: now };
            }
        }
        let key = self.member(id).expect("it was tried").meta.key.clone();
        self.events.push(FailoverEvent::Recovered { key, after: now.saturating_sub(out.since) });
    }

    fn eject(&mut self, id: u32, cause: Cause, now: Duration) {
        let unit = self.rng.unit();
        let settings = self.settings.clone();
        let member = self.member_mut(id).expect("it is there");
        member.ejections = member.ejections_at(&settings, now).saturating_add(1);
        let wait = settings.ejection.endless(member.ejections, unit);
        let until = now.saturating_add(wait);
        member.passive = Passive::Ejected { cause, until };
        member.back = None;
        member.generation = member.generation.wrapping_add(1);
        member.checked.ejected();
        let key = member.meta.key.clone();
        self.events.push(FailoverEvent::EndpointEjected { key, cause, wait });
    }

    /// What calls had shown is over.
    fn back_in(&mut self, id: u32, now: Duration) {
        let member = self.member_mut(id).expect("it is there");
        if member.passive != Passive::In {
            member.passive = Passive::In;
            member.comes_back(now);
            member.generation = member.generation.wrapping_add(1);
        }
    }

    // ## What probes show

    /// The endpoints whose probe is due, each of them once.
    pub(super) fn to_probe(&mut self, now: Duration) -> Vec<u32> {
        let due = |member: &&mut Member| now >= member.asked_next && member.cold == Cold::Runs && !member.leaving;
        let ask = |member: &mut Member| {
            // Until there is a result.
            member.asked_next = Duration::MAX;
            member.id
        };
        self.members.iter_mut().filter(due).map(ask).collect()
    }

    /// When the next probe is due.
    pub(super) fn next_probe(&self) -> Option<Duration> {
        let awake = self.members.iter().filter(|member| member.cold == Cold::Runs && !member.leaving);
        awake.map(|member| member.asked_next).min().filter(|next| *next < Duration::MAX)
    }

    /// A probe has ended, with what it said, or why it failed.
    pub(super) fn probed(&mut self, id: u32, result: Result<Report, Name>, now: Duration) {
        let (unit, check) = (self.rng.unit(), self.settings.check);
        let Some(member) = self.member_mut(id) else { return };
        let change = member.checked.result(result.is_ok(), &check, now);
        match result {
            Ok(report) => self.heard(id, report),
            Err(why) => member.why = Some(why),
        }
        self.checked(id, change, now);
        let member = self.member_mut(id).expect("it is there");
        member.asked_next = member.checked.next(&check, now, unit);
    }

    /// What an endpoint says of itself.
    fn heard(&mut self, id: u32, report: Report) {
        let member = self.member_mut(id).expect("it is there");
        member.weight = report.weight.filter(|weight| weight.is_finite() && *weight > 0.0);
        member.maintenance = report.maintenance;
        let before = std::mem::replace(&mut member.wants_drain, report.drain);
        if report.drain && !before {
            let key = member.meta.key.clone();
            self.events.push(FailoverEvent::EndpointDraining { key });
        }
    }

    /// What follows from a check.
    fn checked(&mut self, id: u32, change: Option<check::Change>, now: Duration) {
        let check = self.settings.check;
        let member = self.member_mut(id).expect("it is there");
        let on_trial = matches!(member.passive, Passive::Trying { .. });
        if member.checked.lifts(&check) && member.passive != Passive::In && !on_trial {
            member.passive = Passive::In;
            member.comes_back(now);
            member.generation = member.generation.wrapping_add(1);
        }
        match change {
            Some(check::Change::Down) => {
                member.generation = member.generation.wrapping_add(1);
                let (key, why) = (member.meta.key.clone(), member.said());
                self.events.push(FailoverEvent::EndpointDown { key, why });
            }
            Some(check::Change::Up) => {
                if matches!(member.out, Some(Out::Since(_))) {
                    member.comes_back(now);
                }
                // It answers again: what calls to it showed while all were out is over.
                self.all_out = self.all_out.filter(|out| !out.by_failures);
            }
            None => {}
        }
        self.settle(now);
    }

    /// It has reported by itself.
    pub(super) fn reported(&mut self, id: u32, report: Report, now: Duration) {
        let check = self.settings.check;
        let Some(member) = self.member_mut(id) else { return };
        let change = member.checked.heartbeat(&check, now);
        self.heard(id, report);
        self.checked(id, change, now);
    }

    // ## By hand

    /// All calls go to it, as long as it is in.
    pub(super) fn pin(&mut self, id: u32, now: Duration) {
        self.pinned = Some(id);
        if let Some(member) = self.member_mut(id).filter(|member| member.is_held()) {
            member.held_until = None;
            member.damping.returned(now);
        }
        self.settle(now);
    }

    /// Nothing is by hand any more, and nothing in hold.
    pub(super) fn fail_back(&mut self, now: Duration) {
        self.pinned = None;
        self.end_holds(now, |_| true);
        self.settle(now);
    }

    pub(super) fn set_settings(&mut self, settings: FailoverSettings, now: Duration) {
        self.settings = settings;
        self.settle(now);
    }

    // ## Time

    /// Does what was due. Whether anything has changed.
    pub(super) fn advance(&mut self, now: Duration) -> bool {
        let mut changed = false;
        let mut failed = Vec::new();
        for member in &mut self.members {
            match member.passive {
                Passive::Ejected { cause, until } if now >= until => {
                    member.passive = Passive::Waiting { cause, since: until };
                    changed = true;
                }
                Passive::Trying { since, .. } if now >= since.saturating_add(self.settings.trial_timeout) => {
                    failed.push(Trial { id: member.id, generation: member.generation });
                }
                _ => {}
            }
            changed |= member.slow_start_ends(self.settings.slow_start, now);
            if member.checked.expire(&self.settings.check, now).is_some() {
                let (key, why) = (member.meta.key.clone(), member.said());
                self.events.push(FailoverEvent::EndpointDown { key, why });
                changed = true;
            }
            changed |= member.held_until.is_some_and(|until| now >= until);
        }
        if let Some(out) = self.all_out {
            match out.trial {
                AllOutTrial::At(at) => changed |= now >= at,
                AllOutTrial::Trying { id, since } if now >= since.saturating_add(self.settings.trial_timeout) => {
                    failed.extend(self.generation(id).map(|generation| Trial { id, generation }));
                }
                _ => {}
            }
        }
        changed |= !failed.is_empty();
        for trial in failed {
            self.trial_ended(trial, TrialEnd::Failed, now);
        }
        if changed {
            self.settle(now);
        }
        changed
    }

    /// What follows from a change.
    fn settle(&mut self, now: Duration) {
        self.note_ins_and_outs(now);
        self.end_holds(now, |member| member.held_until.is_some_and(|until| now >= until));
        let pin_lost = self.pinned.is_some_and(|id| self.member(id).is_none_or(|member| !member.admissible()));
        if pin_lost {
            self.pinned = None;
        }
        let any = self.members.iter().any(Member::admissible);
        match (any, self.all_out) {
            (false, None) if !self.members.is_empty() => self.all_are_out(false, now),
            (true, Some(AllOut { by_failures: false, since, .. })) => {
                self.all_out = None;
                let key = self.members.iter().find(|member| member.admissible()).map(|member| member.meta.key.clone());
                let after = now.saturating_sub(since);
                self.events.extend(key.map(|key| FailoverEvent::Recovered { key, after }));
            }
            _ => {}
        }
        self.choose_trial(now);
        self.note_tier(now);
    }

    /// Tells who has come and who has gone, and puts in hold who comes back to a tier that traffic has left.
    fn note_ins_and_outs(&mut self, now: Duration) {
        let in_use = self.in_use;
        let hold = self.settings.failback.hold();
        for index in 0..self.members.len() {
            let member = &self.members[index];
            match (member.admissible(), member.out) {
                (true, Some(out)) => {
                    let ready = |other: &Member| {
                        other.meta.tier == member.meta.tier
                            && other.out.is_none()
                            && other.admissible()
                            && !other.is_held()
                    };
                    let left = in_use.is_some_and(|tier| tier > member.meta.tier)
                        && self.members.iter().any(|other| Some(other.meta.tier) == in_use && other.admissible())
                        && !self.members.iter().any(ready);
                    let unit = self.rng.unit();
                    let member = &mut self.members[index];
                    member.out = None;
                    let after = match out {
                        Out::New => None,
                        Out::Since(since) => Some(now.saturating_sub(since)),
                    };
                    if left && out != Out::New && hold != Some(Duration::ZERO) {
                        member.held_until = Some(match hold {
                            Some(hold) => member.damping.recovered(now, hold, unit),
                            None => Duration::MAX,
                        });
                    }
                    let key = member.meta.key.clone();
                    self.events.push(FailoverEvent::EndpointUp { key, after });
                }
                (false, None) => {
                    let member = &mut self.members[index];
                    member.out = Some(Out::Since(now));
                    member.held_until = None;
                    member.damping.lost(now);
                }
                _ => {}
            }
        }
    }

    fn end_holds(&mut self, now: Duration, of: impl Fn(&Member) -> bool) {
        for member in self.members.iter_mut().filter(|member| member.is_held() && of(member)) {
            member.held_until = None;
            // Slow start begins where it is used.
            member.comes_back(now);
            member.damping.returned(now);
        }
    }

    fn all_are_out(&mut self, by_failures: bool, now: Duration) {
        let wait = self.settings.all_out.endless(1, self.rng.unit());
        let trial = AllOutTrial::At(now.saturating_add(wait));
        self.all_out = Some(AllOut { since: now, by_failures, trials: 1, trial, last: None });
        if self.members.iter().any(|member| member.out != Some(Out::New)) {
            self.events.push(FailoverEvent::AllOut);
        }
    }

    /// While all are out: whom the next trial is of. In turn, the most preferred first.
    fn choose_trial(&mut self, now: Duration) {
        let Some(out) = self.all_out else { return };
        let due = match out.trial {
            AllOutTrial::At(at) => now >= at,
            AllOutTrial::Waiting(id) | AllOutTrial::Trying { id, .. } => !self.member(id).is_some_and(Member::present),
        };
        if !due {
            return;
        }
        let of_last = out.last.and_then(|last| self.members.iter().position(|member| member.id == last));
        let start = of_last.map_or(0, |last| last + 1);
        let order = (start..self.members.len()).chain(0..start);
        let next = order.map(|index| &self.members[index]).find(|member| member.present()).map(|member| member.id);
        let trial = next.map_or(AllOutTrial::At(now), AllOutTrial::Waiting);
        self.all_out = Some(AllOut { trial, ..out });
    }

    fn note_tier(&mut self, now: Duration) {
        if self.all_out.is_some() {
            self.change_tier(None);
            return;
        }
        let plan = groups(&self.members, self.pinned, &self.settings);
        let tier = plan.first().filter(|group| group.share > 0.0).map(|group| group.tier);
        let lost = self.in_use.is_some_and(|used| {
            !self.members.iter().any(|member| member.meta.tier == used && member.admissible() && !member.is_held())
        });
        if lost && self.settings.failback.ends_with_a_loss() && self.members.iter().any(Member::is_held) {
            self.end_holds(now, |_| true);
            return self.note_tier(now);
        }
        // What is used for want of anything else is in hold no longer.
        let used: Vec<u32> =
            plan.iter().filter(|group| group.share > 0.0).flat_map(|group| &group.seats).map(|seat| seat.id).collect();
        self.end_holds(now, |member| used.contains(&member.id));
        self.change_tier(tier);
    }

    fn change_tier(&mut self, to: Option<u32>) {
        let from = std::mem::replace(&mut self.in_use, to);
        if from == to {
            return;
        }
        // The first tier that is used is no change.
        self.events.push(FailoverEvent::TierChanged { from, to });
        if let (Some(from), Some(tier)) = (from, to)
            && tier < from
        {
            self.events.push(FailoverEvent::FailedBack { tier });
        }
    }

    // ## What follows

    pub(super) fn plan(&self, now: Duration) -> Plan {
        let mut plan = Plan { all_out: self.all_out.is_some(), ..Plan::default() };
        let mut due = |at: Duration| plan.due = Some(plan.due.map_or(at, |due: Duration| due.min(at)));
        for member in &self.members {
            match member.passive {
                Passive::Ejected { until, .. } if self.all_out.is_none() => due(until),
                Passive::Trying { since, .. } => due(since.saturating_add(self.settings.trial_timeout)),
                _ => {}
            }
            member.held_until.filter(|until| *until < Duration::MAX).into_iter().for_each(&mut due);
            member.checked.silent_at(&self.settings.check).into_iter().for_each(&mut due);
            member.slow_since().into_iter().for_each(|since| due(since.saturating_add(self.settings.slow_start)));
        }
        match self.all_out.map(|out| out.trial) {
            None => {
                plan.groups = groups(&self.members, self.pinned, &self.settings);
                // Those of tiers that are not used wait until they are.
                let used = self.in_use.unwrap_or(u32::MAX);
                let wanted = self.members.iter().filter(|member| member.present() && member.meta.tier <= used);
                let waiting = |member: &Member| match member.passive {
                    Passive::Waiting { since, .. } => Some((member.id, since)),
                    _ => None,
                };
                plan.trials = wanted.filter_map(waiting).collect();
            }
            Some(AllOutTrial::Waiting(id)) => {
                plan.trials = vec![(id, now)];
                plan.next = Some(now);
            }
            Some(AllOutTrial::At(at)) => {
                let any = self.members.iter().any(Member::present);
                if any {
                    due(at);
                }
                plan.next = [any.then_some(at), self.next_probe()].into_iter().flatten().min();
            }
            Some(AllOutTrial::Trying { since, .. }) => {
                due(since.saturating_add(self.settings.trial_timeout));
                plan.next = Some(now);
            }
        }
        plan
    }

    pub(super) fn take_events(&mut self) -> Vec<FailoverEvent> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn in_use(&self) -> Option<u32> {
        self.in_use
    }

    pub(super) fn all_out_since(&self) -> Option<Duration> {
        self.all_out.map(|out| out.since)
    }

    /// Each endpoint with its state, those of tier 0 first.
    pub(super) fn states(&self, now: Duration) -> impl Iterator<Item = (u32, Meta, EndpointState)> + '_ {
        self.members.iter().map(move |member| {
            let meta = Meta { weight: member.full_weight(), ..member.meta.clone() };
            (member.id, meta, member.state(now))
        })
    }

    fn member(&self, id: u32) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    fn member_mut(&mut self, id: u32) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }
}
