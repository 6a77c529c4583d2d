//! How the traffic is shared out between tiers. Pure.

use crate::{ConfigError, settings::Check};

/// When a lower tier gets traffic.
///
/// What a [`Spillover`](Self::Spillover) of 1.4 makes of how many are healthy in tiers 0 and 1:
///
/// | healthy in 0 | healthy in 1 | traffic of 0 | traffic of 1 |
/// |---|---|---|---|
/// | 100 % | 100 % | 100 % | 0 |
/// | 72 % | 100 % | 100 % | 0 |
/// | 71 % | 100 % | 99.4 % | 0.6 % |
/// | 50 % | 100 % | 70 % | 30 % |
/// | 25 % | 100 % | 35 % | 65 % |
/// | 25 % | 25 % | 50 % | 50 %; over all endpoints if over half of all are out |
/// | 0 | 100 % | 0 | 100 % |
///
/// [`Strict`](Self::Strict) with `min_healthy: 1` leaves all in tier 0 in each line but the last.
///
/// A tier that has been out counts as out until it is ready again: its [`Failback`](super::Failback) decides. Before that
/// it gets only what no other tier can take. (Envoy: priority levels and overprovisioning. gRPC A62: one that merely
/// reconnects does not win the picks back.)
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum TierPolicy {
    /// All traffic goes to the first tier in which so many are healthy; if there is none, to the first in which any is.
    /// Default: this, with 1.
    Strict {
        /// At least 1. More makes a tier that is nearly gone hand over before its last endpoint is overrun; a tier that
        /// has fewer endpoints than that is used only when no other has as many.
        min_healthy: u32,
    },
    /// A tier takes as much as its healthy endpoints times `overprovision` can, and the next one what is left. If all
    /// together cannot take all, all get more, in proportion. If then over half of all endpoints are out as well, calls
    /// go to any of them (panic): so many do not fail at once, and those that are left would be overrun.
    Spillover {
        /// 1 to 100; 1.4 means that a tier is sized for all traffic with 72 % of its endpoints.
        overprovision: f64,
    },
}

impl TierPolicy {
    /// All in the first tier in which at least one is healthy.
    pub const fn strict() -> Self {
        Self::Strict { min_healthy: 1 }
    }

    /// Spilling over, with 1.4.
    pub const fn spillover() -> Self {
        Self::Spillover { overprovision: 1.4 }
    }

    pub(super) fn check(self, check: &Check<'_>) -> Result<(), ConfigError> {
        match self {
            Self::Strict { min_healthy } => {
                check.that(min_healthy >= 1, "tiers.min_healthy", min_healthy, "at least 1")
            }
            Self::Spillover { overprovision } => {
                let allowed = (1.0..=100.0).contains(&overprovision);
                check.that(allowed, "tiers.overprovision", overprovision, "1 to 100")
            }
        }
    }
}

impl Default for TierPolicy {
    fn default() -> Self {
        Self::strict()
    }
}

/// One tier, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TierState {
    /// How many can be called; those in hold count too.
    pub(super) healthy: u32,
    pub(super) total: u32,
    /// False: it has been out and is not ready again (in hold, or only reconnecting).
    pub(super) ready: bool,
}

/// Whom the picks of a tier are made among.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Panic {
    /// Its healthy endpoints.
    No,
    /// All of its endpoints, healthy or not.
    All,
}

/// The share of each tier, in their order: the sum is 1, or 0 if nothing is healthy.
pub(super) fn shares(policy: TierPolicy, tiers: &[TierState], out: &mut Vec<f64>) -> Panic {
    out.clear();
    out.resize(tiers.len(), 0.0);
    match policy {
        TierPolicy::Strict { min_healthy } => {
            if let Some(tier) = strict(tiers, min_healthy.max(1)) {
                out[tier] = 1.0;
            }
            Panic::No
        }
        TierPolicy::Spillover { overprovision } => spillover(tiers, overprovision, out),
    }
}

/// The tier of a pick, by a draw in `[0, 1)`; `None` if nothing is healthy.
pub(super) fn pick(shares: impl Iterator<Item = f64>, draw: f64) -> Option<usize> {
    let (mut below, mut last) = (0.0, None);
    for (index, share) in shares.enumerate().filter(|(_, share)| *share > 0.0) {
        below += share;
        last = Some(index);
        if draw < below {
            break;
        }
    }
    // Of the last one, too, where the sum is under 1 by a rounding.
    last
}

fn strict(tiers: &[TierState], min_healthy: u32) -> Option<usize> {
    let first = |wanted: u32, held: bool| tiers.iter().position(|tier| tier.healthy >= wanted && (tier.ready || held));
    first(min_healthy, false)
        .or_else(|| first(1, false))
        .or_else(|| first(min_healthy, true))
        .or_else(|| first(1, true))
}

fn spillover(tiers: &[TierState], overprovision: f64, out: &mut [f64]) -> Panic {
    let mut left = 1.0;
    // Those in hold come last: they get what the others cannot take.
    for ready in [true, false] {
        for (tier, share) in tiers.iter().zip(&mut *out).filter(|(tier, _)| tier.ready == ready) {
            *share = tier.health(overprovision).min(left);
            left = f64::max(left - *share, 0.0);
        }
    }
    let taken: f64 = out.iter().sum();
    if taken <= 0.0 || left <= 0.0 {
        return Panic::No;
    }
    let total: u64 = tiers.iter().map(|tier| u64::from(tier.total)).sum();
    let healthy: u64 = tiers.iter().map(|tier| u64::from(tier.healthy.min(tier.total))).sum();
    if healthy * 2 < total {
        for (tier, share) in tiers.iter().zip(out) {
            *share = f64::from(tier.total) / total as f64;
        }
        return Panic::All;
    }
    out.iter_mut().for_each(|share| *share /= taken);
    Panic::No
}

impl TierState {
    /// The share of all traffic that it can take.
    fn health(&self, overprovision: f64) -> f64 {
        if self.total == 0 {
            return 0.0;
        }
        (overprovision * f64::from(self.healthy) / f64::from(self.total)).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tier(healthy: u32, total: u32) -> TierState {
        TierState { healthy, total, ready: true }
    }

    fn held(healthy: u32, total: u32) -> TierState {
        TierState { healthy, total, ready: false }
    }

    fn of(policy: TierPolicy, tiers: &[TierState]) -> (Vec<f64>, Panic) {
        let mut out = vec![7.0; 9];
        let panic = shares(policy, tiers, &mut out);
        (out.into_iter().map(|share| (share * 1e9).round() / 1e9).collect(), panic)
    }

    fn spilt(tiers: &[TierState]) -> (Vec<f64>, Panic) {
        of(TierPolicy::spillover(), tiers)
    }

    #[test]
    fn a_tier_spills_over_what_it_cannot_take() {
        let full = tier(100, 100);
        for (healthy, kept) in [(100, 1.0), (72, 1.0), (71, 0.994), (50, 0.7), (25, 0.35), (0, 0.0)] {
            let rest = ((1.0 - kept) * 1e9_f64).round() / 1e9;
            assert_eq!(spilt(&[tier(healthy, 100), full]), (vec![kept, rest], Panic::No), "{healthy} %");
        }
        assert_eq!(spilt(&[tier(50, 100), tier(10, 100), full]).0, [0.7, 0.14, 0.16]);
    }

    #[test]
    fn tiers_that_cannot_take_all_together_get_more_in_proportion() {
        let quarters = [tier(25, 100), tier(25, 100)];
        assert_eq!(spilt(&quarters), (vec![0.5, 0.5], Panic::All));
        let spilled = of(TierPolicy::Spillover { overprovision: 1.0 }, &[tier(6, 10), tier(2, 6)]);
        assert_eq!(spilled, (vec![0.642857143, 0.357142857], Panic::No), "0.6 and 0.33, half of all are well");
    }

    #[test]
    fn panic_is_over_all_endpoints_and_only_if_over_half_are_out_and_no_tier_can_take_it() {
        assert_eq!(spilt(&[tier(1, 10), tier(3, 30)]), (vec![0.25, 0.75], Panic::All));
        assert_eq!(spilt(&[tier(1, 10), tier(3, 4)]).1, Panic::No, "the second can take it all");
        assert_eq!(of(TierPolicy::Spillover { overprovision: 1.0 }, &[tier(5, 10)]), (vec![1.0], Panic::No), "half");
        assert_eq!(spilt(&[tier(0, 10), tier(0, 3)]), (vec![0.0, 0.0], Panic::No), "all out is no panic");
        assert_eq!(of(TierPolicy::strict(), &[tier(1, 10)]).1, Panic::No);
    }

    #[test]
    fn strict_uses_the_first_tier_with_enough_or_else_the_first_with_any() {
        let strict = |min_healthy, tiers: &[TierState]| of(TierPolicy::Strict { min_healthy }, tiers).0;
        assert_eq!(strict(1, &[tier(1, 5), tier(5, 5)]), [1.0, 0.0]);
        assert_eq!(strict(2, &[tier(1, 5), tier(5, 5)]), [0.0, 1.0]);
        assert_eq!(strict(2, &[tier(0, 5), tier(1, 5), tier(1, 1)]), [0.0, 1.0, 0.0]);
        assert_eq!(strict(1, &[tier(0, 5), tier(0, 5)]), [0.0, 0.0]);
        assert_eq!(strict(1, &[]), [0.0; 0]);
    }

    #[test]
    fn a_tier_in_hold_gets_only_what_no_other_can_take() {
        assert_eq!(of(TierPolicy::strict(), &[held(5, 5), tier(1, 5)]).0, [0.0, 1.0]);
        assert_eq!(of(TierPolicy::Strict { min_healthy: 2 }, &[held(5, 5), tier(1, 5)]).0, [0.0, 1.0]);
        assert_eq!(of(TierPolicy::strict(), &[held(5, 5), tier(0, 5)]).0, [1.0, 0.0]);
        assert_eq!(spilt(&[held(5, 5), tier(4, 5)]).0, [0.0, 1.0]);
        assert_eq!(spilt(&[held(5, 5), tier(5, 10)]).0, [0.3, 0.7]);
        assert_eq!(spilt(&[held(5, 5), tier(0, 5)]).0, [1.0, 0.0]);
    }

    #[test]
    fn picks_follow_the_shares() {
        assert_eq!(pick([0.7, 0.0, 0.3].into_iter(), 0.0), Some(0));
        assert_eq!(pick([0.7, 0.0, 0.3].into_iter(), 0.69), Some(0));
        assert_eq!(pick([0.7, 0.0, 0.3].into_iter(), 0.7), Some(2));
        assert_eq!(pick([0.5, 0.499_999_999, 0.0].into_iter(), 0.999_999_999_9), Some(1));
        assert_eq!(pick([0.0, 0.0].into_iter(), 0.0), None);
    }

    #[test]
    fn settings_that_cannot_be() {
        let name = "fleet".into();
        let allowed = |policy: TierPolicy| policy.check(&Check::of(&name)).is_ok();
        assert!(allowed(TierPolicy::default()) && allowed(TierPolicy::spillover()));
        assert!(!allowed(TierPolicy::Strict { min_healthy: 0 }));
        for overprovision in [0.99, 101.0, f64::NAN, f64::INFINITY] {
            assert!(!allowed(TierPolicy::Spillover { overprovision }));
        }
    }

    fn tiers() -> impl Strategy<Value = Vec<TierState>> {
        let tier = (0_u32..8, 0_u32..8, any::<bool>());
        let tier = tier.prop_map(|(healthy, out, ready)| TierState { healthy, total: healthy + out, ready });
        prop::collection::vec(tier, 0..5)
    }

    fn policies() -> impl Strategy<Value = TierPolicy> {
        prop_oneof![
            (1_u32..6).prop_map(|min_healthy| TierPolicy::Strict { min_healthy }),
            (1.0..4.0).prop_map(|overprovision| TierPolicy::Spillover { overprovision }),
        ]
    }

    proptest! {
        #[test]
        fn all_traffic_is_shared_out_to_who_can_take_it(policy in policies(), tiers in tiers(), draw in 0.0..1.0) {
            let mut out = Vec::new();
            let panic = shares(policy, &tiers, &mut out);
            let any = tiers.iter().any(|tier| tier.healthy > 0);
            let sum: f64 = out.iter().sum();
            prop_assert!((sum - f64::from(u8::from(any))).abs() < 1e-9, "{out:?}");
            prop_assert_eq!(pick(out.iter().copied(), draw).is_some(), any);
            for (share, tier) in out.iter().zip(&tiers) {
                prop_assert!(*share >= 0.0);
                prop_assert!(*share == 0.0 || tier.healthy > 0 || panic == Panic::All);
            }
        }

        #[test]
        fn one_more_that_is_well_never_costs_its_tier_traffic(
            policy in policies(), tiers in tiers(), which in any::<prop::sample::Index>(),
        ) {
            prop_assume!(!tiers.is_empty());
            let which = which.index(tiers.len());
            prop_assume!(tiers[which].healthy < tiers[which].total);
            let (mut before, mut after) = (Vec::new(), Vec::new());
            let panic = shares(policy, &tiers, &mut before);
            let mut better = tiers.clone();
            better[which].healthy += 1;
            // In panic shares go by how many there are.
            prop_assume!(panic == shares(policy, &better, &mut after));
            prop_assert!(after[which] >= before[which] - 1e-9, "{before:?} {after:?}");
        }
    }
}
