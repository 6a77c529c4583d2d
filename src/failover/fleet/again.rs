//! Probes and reports that say that all is as it was, as most do: nothing follows from them, so nobody looks at the others.

use std::time::Duration;

use super::{
    super::probe::Report,
    Fleet,
    member::{Member, Passive},
};

impl Fleet {
    /// A probe has passed as before. Whether that is so; if not, nothing has been done.
    pub(in crate::failover) fn probed_again(&mut self, id: u32, report: &Report, now: Duration) -> bool {
        let asked = self.member(id).map(|member| member.asked);
        if !asked.is_some_and(|asked| self.is_as_before(id, report, asked, now)) {
            return false;
        }
        let (unit, check) = (self.rng.unit(), self.settings.check);
        if let Some(member) = self.member_mut(id) {
            member.checked.result(true, &check, now);
            member.asked_next = member.checked.next(&check, now, unit);
        }
        true
    }

    /// The same for what an endpoint reports by itself.
    pub(in crate::failover) fn reported_again(&mut self, id: u32, report: &Report, now: Duration) -> bool {
        if !self.is_as_before(id, report, now, now) {
            return false;
        }
        let check = self.settings.check;
        if let Some(member) = self.member_mut(id) {
            member.checked.heartbeat(&check, now);
        }
        true
    }

    fn is_as_before(&mut self, id: u32, report: &Report, asked: Duration, now: Duration) -> bool {
        let goes_on = self.all_out.is_none() && self.member(id).is_some_and(|member| member.goes_on(report));
        goes_on && self.roles.as_mut().is_none_or(|roles| roles.report_again(id, report, asked, now))
    }
}

impl Member {
    /// Whether it is up, and is after this as it is now.
    fn goes_on(&self, report: &Report) -> bool {
        self.checked.up() == Some(true)
            && self.passive == Passive::In
            && (self.weight, self.maintenance, self.wants_drain)
                == (report.usable_weight(), report.maintenance, report.drain)
    }
}

#[cfg(test)]
mod tests;
