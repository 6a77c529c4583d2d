//! All endpoints of one client, and which of them are in. Pure: takes `now`, and says what has changed.
//!
//! `mod.rs` keeps what is known, `calls.rs`, `probes.rs`, `again.rs`, `role.rs`, `statistics.rs` and `cold.rs` learn, `settle.rs` draws the
//! conclusions, `plan.rs` says what follows for calls; `member.rs` is one endpoint.

mod again;
mod calls;
mod cold;
mod member;
mod plan;
mod probes;
mod role;
mod settle;
mod statistics;

use std::time::Duration;

pub(super) use self::plan::{Group, Part, Plan, RolesPlan, Seat};
use self::{
    member::{Member, Passive},
    role::rules,
};
use super::{EndpointState, FailoverEvent, FailoverSettings, Meta, check::Checked, cold::ColdRules, roles::Roles};
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
    /// Tiers before this one are fenced: another endpoint has been promoted.
    fenced_before: Option<u32>,
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
    /// When one failed last.
    failed: Option<Duration>,
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
            fenced_before: None,
            started: false,
            judged: Duration::ZERO,
            events,
        }
    }

    // ## Members

    pub(super) fn insert(&mut self, id: u32, meta: Meta, checked: Checked, cold: Option<ColdRules>, now: Duration) {
        let mut member = Member::new(id, meta, checked, now);
        member.set_cold(cold);
        member.fenced = self.fenced_before.is_some_and(|before| member.meta.tier < before);
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
        let before = self.fenced_before;
        if let Some(member) = self.member_mut(id) {
            (member.meta, member.leaving) = (meta, false);
            member.fenced |= before.is_some_and(|before| member.meta.tier < before);
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

    fn generation(&self, id: u32) -> Option<u32> {
        self.member(id).map(|member| member.generation)
    }

    pub(super) fn generations(&self) -> impl Iterator<Item = (u32, u32)> {
        self.members.iter().map(|member| (member.id, member.generation))
    }

    pub(super) fn metas(&self) -> impl Iterator<Item = (u32, &Meta, bool)> {
        self.members.iter().map(|member| (member.id, &member.meta, member.leaving))
    }

    // ## By hand

    /// All calls go to it, as long as it is in. If it is not, nothing changes, and this is how it is.
    pub(super) fn pin(&mut self, id: u32, now: Duration) -> Result<(), EndpointState> {
        let member = self.member_mut(id).expect("it is there");
        if !member.admissible() {
            return Err(member.state(now));
        }
        if member.is_held() {
            member.held_until = None;
            member.damping.returned(now);
        }
        self.pinned = Some(id);
        // Whoever says so knows better than the calls before.
        self.all_out = self.all_out.filter(|out| !out.by_failures);
        self.settle(now);
        Ok(())
    }

    pub(super) fn pinned(&self) -> Option<&Name> {
        self.member(self.pinned?).map(|member| &member.meta.key)
    }

    /// Nothing is by hand any more, and nothing in hold.
    pub(super) fn fail_back(&mut self, now: Duration) {
        self.pinned = None;
        self.fenced_before = None;
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

    // ## What is known

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

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
