//! What follows from the state of the fleet for calls: who can be chosen, in which order of preference. Pure.

use std::time::Duration;

use super::{
    super::{
        FailoverSettings,
        tiers::{self, Panic, TierPolicy, TierState},
    },
    Member,
};

/// For calls, until the fleet changes again.
#[derive(Debug, Default)]
pub(in crate::failover) struct Plan {
    /// The most preferred first. Where several have a share, calls begin at one of them by chance.
    pub(in crate::failover) groups: Vec<Group>,
    /// Who is to be tried by one call, and since when.
    pub(in crate::failover) trials: Vec<(u32, Duration)>,
    /// Whether that is all there is: any call may try it, and the others wait.
    pub(in crate::failover) all_out: bool,
    /// When to look again, though nothing happens.
    pub(in crate::failover) due: Option<Duration>,
    /// While nothing can be called: when something may be tried next.
    pub(in crate::failover) next: Option<Duration>,
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
pub(super) fn groups(members: &[Member], pinned: Option<u32>, settings: &FailoverSettings) -> Vec<Group> {
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
        groups.extend(by_zone(tier, share, members, &used, settings).into_iter().flatten());
        // In hold next to others of their tier: when nothing else is left.
        let held: Vec<&Member> = all().filter(|member| ready && member.is_held()).collect();
        later.extend(group(tier, 0.0, &held));
    }
    groups.extend(later);
    // Tiers without a share come after those that have one, in their order.
    groups.sort_by_key(|group| group.share <= 0.0);
    if let Some(pinned) = members.iter().find(|member| Some(member.id) == pinned && member.admissible()) {
        groups.iter_mut().for_each(|group| group.share = 0.0);
        groups.splice(0..0, group(pinned.meta.tier, 1.0, &[pinned]));
    }
    groups
}

/// A tier, or its endpoints in our zone and then the others. The zone takes as much as its healthy endpoints can.
fn by_zone(
    tier: u32,
    share: f64,
    members: &[Member],
    used: &[&Member],
    settings: &FailoverSettings,
) -> [Option<Group>; 2] {
    let near = |member: &Member| settings.zone.is_none() || member.meta.zone == settings.zone;
    let (ours, others): (Vec<&Member>, Vec<&Member>) = used.iter().partition(|member| near(member));
    let total = members.iter().filter(|member| member.meta.tier == tier && !member.leaving && near(member)).count();
    let ours_take = if others.is_empty() {
        1.0
    } else {
        (overprovision(settings.tiers) * ours.len() as f64 / total.max(1) as f64).min(1.0)
    };
    [group(tier, share * ours_take, &ours), group(tier, share * (1.0 - ours_take), &others)]
}

fn overprovision(tiers: TierPolicy) -> f64 {
    match tiers {
        TierPolicy::Spillover { overprovision } => overprovision,
        TierPolicy::Strict { .. } => 1.4,
    }
}

fn group(tier: u32, share: f64, members: &[&Member]) -> Option<Group> {
    let seat = |member: &&Member| Seat { id: member.id, weight: member.full_weight(), slow_since: member.slow_since() };
    (!members.is_empty()).then(|| Group { tier, share, seats: members.iter().map(seat).collect() })
}
