//! Which endpoint is the primary, and which replicas can be read from. Pure.
//!
//! Two sources: what probes report, and what calls teach. As soon as any report has named a role, only reports make a
//! primary; calls then only say who is none. Without such reports, whoever takes a call that needs the primary is it.

use std::time::Duration;

use self::search::Searching;
pub(super) use self::{fit::Fit, search::Search};
use super::probe::{Report, Role};

mod again;
mod fit;
mod search;

/// Refusals that are further apart are not in a row.
const FORGET: Duration = Duration::from_secs(30);
/// Between two rounds of a search, and after an endpoint has said that it is not the primary: this, growing by half.
const WAIT: Duration = Duration::from_millis(50);
const MAX_WAIT: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// A report that is older says nothing of the role any more.
    pub(super) max_age: Duration,
    /// With two primaries none is used, instead of the one that was there first.
    pub(super) refuse_writes_on_split: bool,
}

/// What has been found out. `from` may be the same as `to`, if it has been unknown in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RoleEvent {
    PrimaryChanged {
        from: Option<u32>,
        to: u32,
        epoch: Option<u64>,
    },
    PrimaryUnknown {
        was: u32,
    },
    /// It says that it is the primary, of an epoch that is over. Once each time.
    Fenced {
        id: u32,
        epoch: Option<u64>,
        highest: u64,
    },
    SplitBrain {
        ids: Vec<u32>,
    },
    SplitBrainOver,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Primary {
    Known(u32),
    Unknown,
    /// More than one, and then none is to be used.
    Split,
}

#[derive(Clone, Debug)]
pub(super) struct Roles {
    pub(super) rules: Rules,
    /// In the order of their numbers.
    members: Vec<Member>,
    /// Whether any report has ever named a role.
    reporting: bool,
    /// Of all that have ever reported, those that are gone included.
    pub(super) highest: Option<u64>,
    /// Who took a call that needs the primary, where no reports are.
    served_by: Option<u32>,
    /// Who was the primary last, and whether it still is.
    incumbent: Option<u32>,
    known: bool,
    split: bool,
    searching: Searching,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Member {
    id: u32,
    pub(super) role: Option<Role>,
    /// When it was asked for it.
    asked: Duration,
    pub(super) epoch: Option<u64>,
    pub(super) lag: Option<(Duration, Duration)>,
    /// How often in a row it has said to calls that it is not the primary, and when last.
    refusals: u32,
    refused: Duration,
    fenced: bool,
}

impl Roles {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            members: Vec::new(),
            reporting: false,
            highest: None,
            served_by: None,
            incumbent: None,
            known: false,
            split: false,
            searching: Searching::default(),
        }
    }

    /// There is one more. What is said of others says nothing.
    pub(super) fn insert(&mut self, id: u32) {
        let at = self.members.partition_point(|member| member.id < id);
        self.members.insert(at, Member { id, ..Member::default() });
    }

    /// Its probe, sent at `asked`, says this. What the report leaves out stays as it was, and grows old.
    pub(super) fn report(&mut self, id: u32, report: Report, asked: Duration, now: Duration) -> Vec<RoleEvent> {
        self.highest = self.highest.max(report.epoch);
        if report.role.is_some() && !std::mem::replace(&mut self.reporting, true) && self.searching(now) {
            // It was asked before the search began, as others may have been, and rounds are worth while from here on.
            self.searching.want(false, now);
        }
        let Some(member) = self.member_mut(id) else { return self.look(now) };
        // Overtaken by a later one.
        let late = asked < member.asked;
        if let (Some(role), false) = (report.role, late) {
            member.asked = asked;
            // What was asked before it said the contrary to a call is no news.
            let contradicted = role == Role::Primary && member.refusals > 0 && asked < member.refused;
            member.role = Some(role).filter(|_| !contradicted);
        }
        if !late {
            member.epoch = report.epoch.or(member.epoch);
            member.lag = report.lag.map(|lag| (lag, asked)).or(member.lag);
        }
        self.look(now)
    }

    /// It has answered a call that it is not the primary.
    pub(super) fn refused_role(&mut self, id: u32, now: Duration) -> Vec<RoleEvent> {
        let reporting = self.reporting;
        let believed = if reporting { self.claims(id, now) } else { self.may_be_primary(id, now) };
        if !believed {
            // All calls that are told the same are one search.
            return Vec::new();
        }
        let Some(member) = self.member_mut(id) else { return Vec::new() };
        let in_a_row = now.saturating_sub(member.refused) < FORGET;
        member.refusals = if in_a_row { member.refusals + 1 } else { 1 };
        member.refused = now;
        member.role = None;
        self.no_longer_served_by(id);
        let events = self.look(now);
        self.searching.want(self.known, now);
        events
    }

    /// It has taken a call that needs the primary, begun at `began`.
    pub(super) fn served(&mut self, id: u32, began: Duration, now: Duration) -> Vec<RoleEvent> {
        let Some(member) = self.member_mut(id) else { return Vec::new() };
        if member.refusals > 0 && began < member.refused {
            return Vec::new();
        }
        member.refusals = 0;
        // Who was there first stays.
        self.served_by = self.served_by.or(Some(id));
        self.look(now)
    }

    /// It is out: what it has said of its role says nothing any more. Its epoch and its refusals stay.
    pub(super) fn lost(&mut self, id: u32, now: Duration) -> Vec<RoleEvent> {
        if let Some(member) = self.member_mut(id) {
            // What was asked before is late.
            (member.role, member.asked) = (None, now);
        }
        self.no_longer_served_by(id);
        self.look(now)
    }

    /// There is no such endpoint any more. The highest epoch stays.
    pub(super) fn gone(&mut self, id: u32, now: Duration) -> Vec<RoleEvent> {
        self.members.retain(|member| member.id != id);
        self.no_longer_served_by(id);
        let events = self.look(now);
        self.incumbent = self.incumbent.filter(|incumbent| *incumbent != id);
        events
    }

    /// Epochs have begun anew, as after a restore. By hand only.
    pub(super) fn forget_epochs(&mut self, now: Duration) -> Vec<RoleEvent> {
        self.highest = None;
        self.members.iter_mut().for_each(|member| member.epoch = None);
        self.look(now)
    }

    /// What follows from the time alone, too.
    pub(super) fn look(&mut self, now: Duration) -> Vec<RoleEvent> {
        let mut events = Vec::new();
        self.tell_fenced(now, &mut events);
        let claimants = self.claimants(now).count();
        if claimants > 1 && !self.split {
            events.push(RoleEvent::SplitBrain { ids: self.claimants(now).collect() });
        } else if claimants < 2 && self.split {
            events.push(RoleEvent::SplitBrainOver);
        }
        self.split = claimants > 1;
        match (self.chosen(now), self.incumbent) {
            (Some(id), from) => {
                if !self.known || from != Some(id) {
                    let epoch = self.member(id).and_then(|member| member.epoch);
                    events.push(RoleEvent::PrimaryChanged { from, to: id, epoch });
                }
                (self.incumbent, self.known) = (Some(id), true);
                self.searching.end();
            }
            (None, Some(was)) if self.known => {
                events.push(RoleEvent::PrimaryUnknown { was });
                self.searching.want(true, now);
                self.known = false;
            }
            (None, _) => {}
        }
        events
    }

    pub(super) fn primary(&self, now: Duration) -> Primary {
        if self.rules.refuse_writes_on_split && self.claimants(now).nth(1).is_some() {
            return Primary::Split;
        }
        self.chosen(now).map_or(Primary::Unknown, Primary::Known)
    }

    pub(super) fn is_split(&self) -> bool {
        self.split
    }

    /// A round of the search is due: all endpoints are to be probed at once. Each round is given out once, to whoever asks
    /// first; as long as the primary is unknown there are more of them.
    pub(super) fn search(&mut self, now: Duration) -> Option<Search> {
        self.searching.take(self.reporting && !self.known, now)
    }

    /// A call needs the primary, and none is known: there is a search, if there is none yet.
    pub(super) fn missed(&mut self, now: Duration) {
        if !self.known && !self.searching(now) {
            self.searching.want(true, now);
        }
    }

    /// Whether probing is to be fast.
    pub(super) fn searching(&self, now: Duration) -> bool {
        self.searching.fast(now)
    }

    /// When an answer changes next by the time alone.
    pub(super) fn due(&self, now: Duration) -> Option<Duration> {
        let ends = self.members.iter().flat_map(|member| {
            let age = |asked: Duration| asked.saturating_add(self.rules.max_age).saturating_add(NANO);
            let role = member.role.map(|_| age(member.asked));
            let lag = member.lag.map(|(_, asked)| age(asked));
            let refused = member.refused_until(self.counted(member));
            [role, lag, Some(refused)].into_iter().flatten().filter(|end| *end > now)
        });
        ends.chain(self.searching.due(now)).min()
    }

    fn tell_fenced(&mut self, now: Duration, events: &mut Vec<RoleEvent>) {
        let (highest, rules) = (self.highest, self.rules);
        for member in &mut self.members {
            let says = member.role == Some(Role::Primary) && now.saturating_sub(member.asked) <= rules.max_age;
            let fenced = says && member.epoch < highest;
            if let (true, false, Some(highest)) = (fenced, member.fenced, highest) {
                events.push(RoleEvent::Fenced { id: member.id, epoch: member.epoch, highest });
            }
            member.fenced = fenced;
        }
    }

    fn chosen(&self, now: Duration) -> Option<u32> {
        if !self.reporting {
            return self.served_by;
        }
        let stays = self.incumbent.filter(|incumbent| self.claims(*incumbent, now));
        stays.or_else(|| self.claimants(now).min())
    }

    fn claims(&self, id: u32, now: Duration) -> bool {
        self.member(id).is_some_and(|member| self.believed(member, now))
    }

    /// Those that are believed to be the primary.
    fn claimants(&self, now: Duration) -> impl Iterator<Item = u32> + '_ {
        self.members.iter().filter(move |member| self.believed(member, now)).map(|member| member.id)
    }

    /// The epochs of all that are believed are equal: one that gives none where others do could be of any.
    fn believed(&self, member: &Member, now: Duration) -> bool {
        member.role == Some(Role::Primary)
            && self.fresh(member.asked, now)
            && member.epoch == self.highest
            && now >= member.refused_until(self.counted(member))
    }

    fn fresh(&self, asked: Duration, now: Duration) -> bool {
        now.saturating_sub(asked) <= self.rules.max_age
    }

    /// A report makes good for one refusal at once; one that says so again and again is believed ever later.
    fn counted(&self, member: &Member) -> u32 {
        member.refusals.saturating_sub(u32::from(self.reporting))
    }

    fn no_longer_served_by(&mut self, id: u32) {
        self.served_by = self.served_by.filter(|served_by| *served_by != id);
    }

    /// With what it has said last.
    pub(super) fn member(&self, id: u32) -> Option<&Member> {
        self.members.binary_search_by_key(&id, |member| member.id).ok().map(|at| &self.members[at])
    }

    fn member_mut(&mut self, id: u32) -> Option<&mut Member> {
        self.members.binary_search_by_key(&id, |member| member.id).ok().map(|at| &mut self.members[at])
    }
}

impl Member {
    /// Until when it is no primary after so many refusals.
    fn refused_until(&self, refusals: u32) -> Duration {
        self.refused + wait(refusals)
    }
}

const NANO: Duration = Duration::from_nanos(1);

/// Nothing, 50 ms, 75 ms, and so on up to 400 ms.
fn wait(times: u32) -> Duration {
    match times {
        0 => Duration::ZERO,
        _ => WAIT.mul_f64(1.5_f64.powi(times.min(9) as i32 - 1)).min(MAX_WAIT),
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
