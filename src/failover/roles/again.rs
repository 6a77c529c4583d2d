//! Reports that say what is known already.

use std::time::Duration;

use super::{super::probe::Report, Roles};

impl Roles {
    /// Where the primary is known, and this says what the report before did, which still counts: nothing follows but that it
    /// counts for longer. Whether it is so; if not, nothing has been done.
    pub(in crate::failover) fn report_again(
        &mut self,
        id: u32,
        report: &Report,
        asked: Duration,
        now: Duration,
    ) -> bool {
        let settled = self.known && !self.split;
        let Some(member) = self.member(id) else { return false };
        // What it leaves out stays as it was, and grows old.
        let role = report.role.is_none_or(|role| member.role == Some(role) && self.fresh(member.asked, now));
        let epoch = report.epoch.is_none() || report.epoch == member.epoch;
        let lag = report.lag.is_none_or(|lag| member.lag.is_some_and(|(said, at)| said == lag && self.fresh(at, now)));
        let again = settled && role && epoch && lag && asked >= member.asked;
        if again && let Some(member) = self.member_mut(id) {
            member.asked = if report.role.is_some() { asked } else { member.asked };
            member.lag = report.lag.map(|lag| (lag, asked)).or(member.lag);
        }
        again
    }
}
