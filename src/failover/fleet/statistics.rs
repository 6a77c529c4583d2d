//! Endpoints that stand out by how often they fail, judged once in an interval.

use std::time::Duration;

use super::{
    super::{
        Cause,
        outlier::{self, Counts, Why, cap},
    },
    Fleet,
    member::{Member, Passive},
};

impl Fleet {
    /// Whether it is time to judge.
    pub(in crate::failover) fn judges_at(&self) -> Option<Duration> {
        let outliers = &self.settings.outliers;
        let any = outliers.success_rate.is_some() || outliers.failure_percentage.is_some();
        any.then(|| self.judged.saturating_add(outliers.interval))
    }

    /// How the calls of each endpoint ended since the last time.
    pub(in crate::failover) fn judge(&mut self, counts: &[Counts], now: Duration) {
        self.judged = now;
        if self.all_out.is_some() {
            // There is nobody to compare with; and who is being tried is not to be ejected meanwhile.
            return;
        }
        let outliers = self.settings.outliers;
        let mut tiers: Vec<u32> = self.members.iter().map(|member| member.meta.tier).collect();
        tiers.dedup();
        for tier in tiers {
            let of_tier = |member: &&Member| member.meta.tier == tier && member.present();
            let hosts: Vec<Counts> = self
                .members
                .iter()
                .filter(of_tier)
                .filter(|member| member.passive == Passive::In)
                .filter_map(|member| counts.iter().find(|counts| counts.id == member.id).copied())
                .collect();
            let found = outlier::judge(&outliers, &hosts);
            for host in hosts.iter().filter(|host| found.iter().all(|outlier| outlier.id != host.id)) {
                self.member_mut(host.id).into_iter().for_each(|member| member.outlier.healthy());
            }
            for outlier in found {
                let total = self.members.iter().filter(of_tier).count() as u32;
                let out = self.members.iter().filter(of_tier).filter(|member| member.passive != Passive::In).count();
                if !cap(out as u32, total, self.settings.max_ejected) {
                    break;
                }
                let cause = match outlier.why {
                    Why::SuccessRate { rate, threshold, .. } => Cause::SuccessRate(rate, threshold),
                    Why::FailurePercentage { share } => Cause::FailurePercentage(share),
                };
                let unit = self.rng.unit();
                let Some(member) = self.member_mut(outlier.id) else { continue };
                let wait = member.outlier.eject(&outliers, unit);
                self.eject_for(outlier.id, cause, wait, now);
            }
        }
        self.settle(now);
    }
}
