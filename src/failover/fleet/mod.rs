//! All endpoints of one client, and which of them are in. Pure: takes `now`, and says what has changed.
//!
//! `mod.rs` keeps what is known, `calls.rs` and `probes.rs` learn, `settle.rs` draws the conclusions, `plan.rs` says what
//! follows for calls; `member.rs` is one endpoint.

mod calls;
mod cold;
mod member;
mod plan;
mod probes;
mod settle;
mod statistics;

use std::time::Duration;

pub(super) use self::plan::{Group, Part, Plan, RolesPlan, Seat};
use self::{
    member::{Member, Passive},
    plan::groups,
};
use super::{
    EndpointState, FailoverEvent, FailoverSettings, Meta, Need,
    check::Checked,
    cold::ColdRules,
    probe::Role,
    roles::{Fit, Primary, RoleEvent, Roles, Rules},
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
    /// Whether any has been yet.
    ever_used: bool,
    /// Which is the primary, if calls ask for it.
    roles: Option<Roles>,
    /// When something of it changes by the time alone.
    roles_due: Option<Duration>,
    /// Whoever comes now joins others that are there.
    started: bool,
    /// When statistics were judged last.
    judged: Duration,
    events: Vec<FailoverEvent>,
}

#[derive(Clone, Copy, Debug)]
struct AllOut {
    since: Duration,
    /// Whether that was told: before any has been in, it is how it begins.
    told: bool,
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
    /// It says nothing, and another one at once would not either.
    Nothing,
    /// Nobody has waited for it.
    GivenBack,
}

/// Leave to try an endpoint, with the generation that it has from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trial {
    pub(super) id: u32,
    pub(super) generation: u32,
}

impl Fleet {
    pub(super) fn new(settings: FailoverSettings, by_role: bool, rng: Rng) -> Self {
        let (members, events) = (Vec::new(), Vec::new());
        let roles = by_role.then(|| Roles::new(rules(&settings)));
        Self {
            members,
            settings,
            rng,
            all_out: None,
            pinned: None,
            in_use: None,
            ever_used: false,
            roles,
            roles_due: None,
            started: false,
            judged: Duration::ZERO,
            events,
        }
    }

    // ## Members

    pub(super) fn insert(&mut self, id: u32, meta: Meta, checked: Checked, cold: Option<ColdRules>, now: Duration) {
        let mut member = Member::new(id, meta, checked, now);
        member.set_cold(cold);
        if self.started {
            member.comes_back(now);
        }
        self.members.push(member);
        self.roles.iter_mut().for_each(|roles| roles.insert(id));
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
        self.of_roles(|roles| roles.gone(id, now));
        self.settle(now);
    }

    pub(super) fn id_of(&self, key: &str) -> Option<u32> {
        // One that leaves may have been replaced.
        let of_key = self.members.iter().filter(|member| *member.meta.key == *key);
        of_key.max_by_key(|member| (!member.leaving, member.id)).map(|member| member.id)
    }

    /// Whether somebody waits for its calls to end.
    pub(super) fn is_going(&self, id: u32) -> bool {
        self.member(id).is_some_and(|member| member.leaving || member.draining)
    }

    pub(super) fn generation(&self, id: u32) -> Option<u32> {
        self.member(id).map(|member| member.generation)
    }

    pub(super) fn metas(&self) -> impl Iterator<Item = (u32, &Meta, bool)> {
        self.members.iter().map(|member| (member.id, &member.meta, member.leaving))
    }

    // ## Roles

    /// It has answered a call that it is not the primary.
    pub(super) fn refused_role(&mut self, id: u32, now: Duration) {
        self.of_roles(|roles| roles.refused_role(id, now));
        self.settle(now);
    }

    /// It has taken a call that needs the primary.
    pub(super) fn served(&mut self, id: u32, began: Duration, now: Duration) {
        self.of_roles(|roles| roles.served(id, began, now));
        self.settle(now);
    }

    /// A call needs the primary, and none is known.
    pub(super) fn missed(&mut self, now: Duration) {
        self.roles.iter_mut().for_each(|roles| roles.missed(now));
        self.settle(now);
    }

    pub(super) fn forget_epochs(&mut self, now: Duration) {
        self.of_roles(|roles| roles.forget_epochs(now));
        self.settle(now);
    }

    /// Tells what has been found out of roles.
    fn of_roles(&mut self, learn: impl FnOnce(&mut Roles) -> Vec<RoleEvent>) {
        let Some(roles) = &mut self.roles else { return };
        for event in learn(roles) {
            let key =
                |id: u32| self.members.iter().find(|member| member.id == id).map(|member| member.meta.key.clone());
            let event = match event {
                RoleEvent::PrimaryChanged { from, to, epoch } => {
                    FailoverEvent::PrimaryChanged { from: from.and_then(key), to: key(to), epoch }
                }
                RoleEvent::PrimaryUnknown { was } => {
                    FailoverEvent::PrimaryChanged { from: key(was), to: None, epoch: None }
                }
                RoleEvent::Fenced { id, .. } => match key(id) {
                    Some(key) => FailoverEvent::Fenced { key },
                    None => continue,
                },
                RoleEvent::SplitBrain { ids } => {
                    FailoverEvent::SplitBrain { keys: ids.into_iter().filter_map(key).collect() }
                }
                RoleEvent::SplitBrainOver => FailoverEvent::SplitBrainEnded,
            };
            self.events.push(event);
        }
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
        self.members.iter_mut().for_each(|member| member.fenced = false);
        self.settle(now);
        self.end_holds(now, |_| true);
        self.settle(now);
    }

    pub(super) fn set_settings(&mut self, settings: FailoverSettings, now: Duration) {
        self.roles.iter_mut().for_each(|roles| roles.rules = rules(&settings));
        let failback = std::mem::replace(&mut self.settings, settings).failback;
        self.reschedule(now);
        if failback != self.settings.failback {
            self.hold_anew(now);
        }
        self.settle(now);
    }

    // ## Time

    /// Does what was due. Whether anything has changed.
    pub(super) fn advance(&mut self, now: Duration) -> bool {
        let mut changed = false;
        let mut failed = Vec::new();
        if let Some(roles) = &self.roles {
            changed |= self.roles_due.is_some_and(|due| now >= due) || roles.due(now) != self.roles_due;
        }
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

    // ## What follows

    pub(super) fn plan(&self, now: Duration) -> Plan {
        let mut plan =
            Plan { all_out: self.all_out.is_some(), roles: RolesPlan::of(self.roles.as_ref(), now), ..Plan::default() };
        // What calls need to know of roles is known from probes.
        let (mut due, mut next) = (self.roles_due, self.next_probe().filter(|_| self.roles.is_some()));
        let sooner = |at: &mut Option<Duration>, than: Duration| *at = Some(at.map_or(than, |at| at.min(than)));
        for member in &self.members {
            match member.passive {
                Passive::Ejected { until, .. } if self.all_out.is_none() => {
                    sooner(&mut due, until);
                    sooner(&mut next, until);
                }
                Passive::Waiting { .. } if self.all_out.is_none() => sooner(&mut next, now),
                Passive::Trying { since, .. } => {
                    sooner(&mut due, since.saturating_add(self.settings.trial_timeout));
                    sooner(&mut next, now);
                }
                _ => {}
            }
            let ends = member.held_until.filter(|until| *until < Duration::MAX);
            let warm = member.slow_since().map(|since| since.saturating_add(self.settings.slow_start));
            [ends, warm].into_iter().flatten().for_each(|at| sooner(&mut due, at));
            self.proven_at(member, now).into_iter().for_each(|at| sooner(&mut next, at));
        }
        // What only the task does, as starting a cold standby, is not among it: who looks could do nothing.
        self.judges_at().into_iter().for_each(|at| sooner(&mut due, at));
        match self.all_out.map(|out| out.trial) {
            None => {
                plan.groups = groups(&self.members, self.pinned, &self.settings, self.roles.as_ref(), now);
                // Those of tiers that are not used wait until they are; but by role any may be the only one.
                let shared = plan.groups.iter().filter(|group| group.share > 0.0).map(|group| group.tier).max();
                let used = self.in_use.map_or(u32::MAX, |tier| shared.map_or(tier, |shared| tier.max(shared)));
                let used = if self.roles.is_some() { u32::MAX } else { used };
                let wanted = self.members.iter().filter(|member| member.present() && member.meta.tier <= used);
                let waiting = |member: &Member| match member.passive {
                    Passive::Waiting { since, .. } => Some((Seat::of(member, self.roles.as_ref(), now), since)),
                    _ => None,
                };
                plan.trials = wanted.filter_map(waiting).collect();
            }
            Some(AllOutTrial::Waiting(id)) => {
                let since = self.all_out.map_or(now, |out| out.since);
                let may = self.members.iter().filter(|member| self.may_be_tried(id, member));
                let seats = may.map(|member| (Seat::of(member, self.roles.as_ref(), now), since));
                plan.trials.extend(seats);
                plan.trials.sort_by_key(|(seat, _)| seat.id != id);
                next = Some(now);
            }
            Some(AllOutTrial::At(at)) => {
                if self.members.iter().any(Member::present) {
                    sooner(&mut due, at);
                    sooner(&mut next, at);
                }
            }
            Some(AllOutTrial::Trying { since, .. }) => {
                sooner(&mut due, since.saturating_add(self.settings.trial_timeout));
                next = Some(now);
            }
        }
        if self
            .members
            .iter()
            .any(|member| member.is_asked() && (member.checked.up() != Some(true) || self.roles.is_some()))
        {
            next = Some(next.map_or(now, |next| next.min(now)));
        }
        (plan.due, plan.next) = (due, next);
        plan
    }

    /// While all are out, and it is the turn of `turn`: of roles it may be that no call fits that one.
    fn may_be_tried(&self, turn: u32, member: &Member) -> bool {
        let tried = matches!(member.passive, Passive::Trying { .. });
        member.id == turn || self.roles.is_some() && member.present() && !tried
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

    pub(super) fn primary(&self, now: Duration) -> Option<&Name> {
        match self.roles.as_ref()?.primary(now) {
            Primary::Known(id) => self.member(id).map(|member| &member.meta.key),
            Primary::Unknown | Primary::Split => None,
        }
    }

    pub(super) fn is_split(&self) -> bool {
        self.roles.as_ref().is_some_and(Roles::is_split)
    }

    /// The part that an endpoint plays, as far as is known.
    pub(super) fn role(&self, id: u32, now: Duration) -> Option<Role> {
        let roles = self.roles.as_ref()?;
        if roles.fit(id, Need::Primary, now) == Fit::Preferred {
            return Some(Role::Primary);
        }
        roles.role(id)
    }

    fn member(&self, id: u32) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    fn member_mut(&mut self, id: u32) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }
}

fn rules(settings: &FailoverSettings) -> Rules {
    // A probe that is late by two is still believed.
    let max_age = settings.check.every.saturating_mul(3).saturating_add(settings.check.timeout);
    Rules { max_age, refuse_writes_on_split: settings.refuse_writes_on_split_brain }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
