//! What follows from the state of the fleet for calls: who can be chosen, in which order of preference. Pure.

use std::time::Duration;

use super::{
    super::{
        FailoverSettings, Need,
        roles::{Fit, Primary, Roles},
        tiers::{self, Panic, TierPolicy, TierState},
    },
    AllOutTrial, Fleet,
    member::{Member, Passive},
};

/// For calls, until the fleet changes again.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::failover) struct Plan {
    /// The most preferred first. Where several have a share, calls begin at one of them by chance.
    pub(in crate::failover) groups: Vec<Group>,
    /// Who is to be tried by one call, and since when.
    pub(in crate::failover) trials: Vec<(Seat, Duration)>,
    /// Whether that is all there is: any call may try it, and the others wait.
    pub(in crate::failover) all_out: bool,
    /// When to look again, though nothing happens.
    pub(in crate::failover) due: Option<Duration>,
    /// Where nothing can be called: when something may be tried next.
    pub(in crate::failover) next: Option<Duration>,
    pub(in crate::failover) roles: RolesPlan,
}

impl Plan {
    /// Whether calls that see `shown` see all there is to see. To look again too soon does no harm.
    pub(in crate::failover) fn is_shown_by(&self, shown: &Self, now: Duration) -> bool {
        // What may be at any time may be so still.
        let next = |plan: &Self| plan.next.map(|next| next.max(now));
        let looks = shown.due.filter(|due| *due > now).is_some_and(|due| self.due.is_none_or(|later| due <= later));
        (looks || self.due == shown.due)
            && next(self) == next(shown)
            && (self.all_out, self.roles) == (shown.all_out, shown.roles)
            && self.trials == shown.trials
            && self.groups == shown.groups
    }
}

/// What calls need to know of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::failover) struct RolesPlan {
    pub(in crate::failover) primary: Option<u32>,
    /// Two say that they are it, and then none is to be used.
    pub(in crate::failover) split: bool,
    /// It is not known, and searched for.
    pub(in crate::failover) searching: bool,
}

impl RolesPlan {
    fn of(seen: &Seen<'_>) -> Self {
        match seen.primary {
            Primary::Known(id) => Self { primary: Some(id), ..Self::default() },
            Primary::Unknown => Self { searching: seen.roles.searching(seen.now), ..Self::default() },
            Primary::Split => Self { split: true, ..Self::default() },
        }
    }
}

/// The roles at one moment. Which is the primary is found out once, not for each endpoint.
pub(super) struct Seen<'a> {
    roles: &'a Roles,
    primary: Primary,
    now: Duration,
}

impl<'a> Seen<'a> {
    fn at(roles: &'a Roles, now: Duration) -> Self {
        Self { roles, primary: roles.primary(now), now }
    }
}

/// Endpoints of equal preference.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::failover) struct Group {
    pub(in crate::failover) tier: u32,
    /// The share of all calls.
    pub(in crate::failover) share: f64,
    pub(in crate::failover) seats: Vec<Seat>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::failover) struct Seat {
    pub(in crate::failover) id: u32,
    /// Without slow start.
    pub(in crate::failover) weight: f64,
    /// Since when it is in slow start, if it is.
    pub(in crate::failover) slow_since: Option<Duration>,
    pub(in crate::failover) part: Part,
}

/// Which needs it fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::failover) struct Part {
    primary: Fit,
    replica: bool,
    /// How far it lags behind, if that is known.
    lag: Option<Duration>,
}

impl Part {
    /// Where calls do not ask for roles.
    const ANY: Self = Self { primary: Fit::Preferred, replica: true, lag: Some(Duration::ZERO) };

    pub(in crate::failover) fn fits(&self, need: Need) -> Fit {
        let preferred = |fits: bool, or: Fit| if fits { Fit::Preferred } else { or };
        match need {
            Need::Any => Fit::Preferred,
            Need::Primary => self.primary,
            Need::Replica => preferred(self.replica, Fit::No),
            Need::ReplicaPreferred { max_lag } => {
                let near = self.replica && self.lag.is_some_and(|lag| lag <= max_lag);
                preferred(near, self.primary.min(Fit::Possible))
            }
        }
    }
}

impl Seat {
    fn of(member: &Member, seen: Option<&Seen<'_>>) -> Self {
        let part = seen.map_or(Part::ANY, |Seen { roles, primary, now }| Part {
            primary: roles.fit_primary(member.id, *primary, *now),
            replica: roles.may_read(member.id, None, *now),
            lag: roles.lag(member.id, *now),
        });
        Self { id: member.id, weight: member.full_weight(), slow_since: member.slow_since(), part }
    }
}

/// The shares of tiers that are there, in order, and whether all of them are used for want of healthy ones.
pub(super) fn tier_shares(members: &[Member], settings: &FailoverSettings) -> (Vec<u32>, Vec<f64>, Panic) {
    let mut numbers: Vec<u32> = members.iter().map(|member| member.meta.tier).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let states: Vec<TierState> = numbers
        .iter()
        .map(|tier| {
            let of_tier = || members.iter().filter(|member| member.meta.tier == *tier && !member.leaving);
            let healthy = |held| of_tier().filter(|member| member.admissible() && member.is_held() == held).count();
            let ready = healthy(false);
            let count = if ready > 0 { ready } else { healthy(true) };
            TierState { healthy: count as u32, total: of_tier().count() as u32, ready: ready > 0 }
        })
        .collect();
    let mut shares = Vec::new();
    let panic = tiers::shares(settings.tiers, &states, &mut shares);
    (numbers, shares, panic)
}

/// The groups, the most preferred first.
pub(super) fn groups(
    members: &[Member],
    pinned: Option<u32>,
    settings: &FailoverSettings,
    seen: Option<&Seen<'_>>,
) -> Vec<Group> {
    let group = |tier: u32, share: f64, members: &[&Member]| {
        let seats = members.iter().map(|member| Seat::of(member, seen)).collect();
        (!members.is_empty()).then_some(Group { tier, share, seats })
    };
    let (numbers, shares, panic) = tier_shares(members, settings);
    let mut groups = Vec::new();
    let mut later = Vec::new();
    for (tier, share) in numbers.into_iter().zip(shares) {
        let usable = |member: &&Member| {
            member.meta.tier == tier && (member.admissible() || panic == Panic::All && member.present())
        };
        let ready = members.iter().filter(usable).any(|member| !member.is_held());
        let all = || members.iter().filter(usable);
        let used: Vec<&Member> = all().filter(|member| !ready || !member.is_held()).collect();
        let ([ours, others], ours_take) = by_zone(tier, members, &used, settings);
        groups.extend(group(tier, share * ours_take, &ours));
        groups.extend(group(tier, share * (1.0 - ours_take), &others));
        // In hold next to others of their tier: when nothing else is left.
        let held: Vec<&Member> = all().filter(|member| ready && member.is_held()).collect();
        later.extend(group(tier, 0.0, &held));
    }
    groups.extend(later);
    // Tiers without a share come after those that have one, in their order.
    groups.sort_by_key(|group| group.share <= 0.0);
    // Those of tiers where nobody is there are the others'.
    let sum: f64 = groups.iter().map(|group| group.share).sum();
    if sum > 0.0 {
        groups.iter_mut().for_each(|group| group.share /= sum);
    }
    if let Some(pinned) = members.iter().find(|member| Some(member.id) == pinned && member.admissible()) {
        groups.iter_mut().for_each(|group| group.share = 0.0);
        groups.splice(0..0, group(pinned.meta.tier, 1.0, &[pinned]));
    }
    groups
}

/// The endpoints of a tier in our zone, the others, and how much the zone takes: as much as its healthy endpoints can.
fn by_zone<'a>(
    tier: u32,
    members: &[Member],
    used: &[&'a Member],
    settings: &FailoverSettings,
) -> ([Vec<&'a Member>; 2], f64) {
    let near = |member: &Member| settings.zone.is_none() || member.meta.zone == settings.zone;
    let (ours, others): (Vec<&Member>, Vec<&Member>) = used.iter().partition(|member| near(member));
    let total = members.iter().filter(|member| member.meta.tier == tier && !member.leaving && near(member)).count();
    let can = (overprovision(settings.tiers) * ours.len() as f64 / total.max(1) as f64).min(1.0);
    let take = if others.is_empty() { 1.0 } else { can };
    ([ours, others], take)
}

fn overprovision(tiers: TierPolicy) -> f64 {
    match tiers {
        TierPolicy::Spillover { overprovision } => overprovision,
        TierPolicy::Strict { .. } => 1.4,
    }
}

impl Fleet {
    pub(in crate::failover) fn plan(&self, now: Duration) -> Plan {
        let seen = self.roles.as_ref().map(|roles| Seen::at(roles, now));
        let seen = seen.as_ref();
        let mut plan = Plan {
            all_out: self.all_out.is_some(),
            roles: seen.map_or_else(RolesPlan::default, RolesPlan::of),
            ..Plan::default()
        };
        let (mut due, mut next) = (self.roles_due, None);
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
                plan.groups = groups(&self.members, self.pinned, &self.settings, seen);
                // Those of tiers that are not used wait until they are; but by role any may be the only one.
                let shared = plan.groups.iter().filter(|group| group.share > 0.0).map(|group| group.tier).max();
                let used = self.in_use.map_or(u32::MAX, |tier| shared.map_or(tier, |shared| tier.max(shared)));
                let used = if self.roles.is_some() { u32::MAX } else { used };
                let wanted = self.members.iter().filter(|member| member.present() && member.meta.tier <= used);
                let waiting = |member: &Member| match member.passive {
                    Passive::Waiting { since, .. } => Some((Seat::of(member, seen), since)),
                    _ => None,
                };
                plan.trials = wanted.filter_map(waiting).collect();
            }
            Some(AllOutTrial::Waiting(id)) => {
                let since = self.all_out.map_or(now, |out| out.since);
                let may = self.members.iter().filter(|member| self.may_be_tried(id, member));
                let seats = may.map(|member| (Seat::of(member, seen), since));
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
        if self.members.iter().any(|member| member.is_asked() && member.checked.up() != Some(true)) {
            next = Some(next.map_or(now, |next| next.min(now)));
        }
        (plan.due, plan.next) = (due, next);
        plan
    }

    /// While all are out, and it is the turn of `turn`: of roles it may be that no call fits that one.
    pub(super) fn may_be_tried(&self, turn: u32, member: &Member) -> bool {
        let tried = matches!(member.passive, Passive::Trying { .. });
        member.id == turn || self.roles.is_some() && member.present() && !tried
    }
}
