//! What probes and reports show of endpoints.

use std::time::Duration;

use super::{
    super::{FailoverEvent, check, probe::Report},
    Fleet,
    member::{Cold, Member, Out, Passive},
};
use crate::telemetry::Name;

impl Fleet {
    /// The endpoints whose probe is due, each of them once.
    pub(in crate::failover) fn due_probe(&mut self, now: Duration) -> Vec<u32> {
        let due = |member: &&mut Member| now >= member.asked_next && member.cold == Cold::Runs && !member.leaving;
        let ask = |member: &mut Member| {
            // Until there is a result.
            member.asked_next = Duration::MAX;
            member.asked = now;
            member.id
        };
        self.members.iter_mut().filter(due).map(ask).collect()
    }

    /// When the next probe is due.
    pub(in crate::failover) fn next_probe(&self) -> Option<Duration> {
        let awake = self.members.iter().filter(|member| member.cold == Cold::Runs && !member.leaving);
        awake.map(|member| member.asked_next).min().filter(|next| *next < Duration::MAX)
    }

    /// When a probe may say next what calls by role wait for: `now`, if it may be any time.
    pub(in crate::failover) fn next_answer(&self, now: Duration) -> Option<Duration> {
        if self.members.iter().any(Member::is_asked) { Some(now) } else { self.next_probe() }
    }

    /// A probe has ended, with what it said, or why it failed.
    pub(in crate::failover) fn probed(&mut self, id: u32, result: Result<Report, Name>, now: Duration) {
        let (unit, check) = (self.rng.unit(), self.settings.check);
        let Some(member) = self.member_mut(id) else { return };
        let change = member.checked.result(result.is_ok(), &check, now);
        match result {
            Ok(report) => {
                let asked = member.asked;
                self.heard(id, report, asked, now);
            }
            Err(why) => member.why = Some(why),
        }
        self.checked(id, change, now);
        let member = self.member_mut(id).expect("it is there");
        member.asked_next = member.checked.next(&check, now, unit);
    }

    /// A probe has come to nothing that says anything of the endpoint.
    pub(in crate::failover) fn probe_lost(&mut self, id: u32, now: Duration) {
        let fast = self.settings.check.fast;
        if let Some(member) = self.member_mut(id).filter(|member| member.is_asked()) {
            member.asked_next = now.saturating_add(fast);
        }
    }

    /// The probes that are under way are lost.
    pub(in crate::failover) fn ask_anew(&mut self, now: Duration) {
        self.members.iter_mut().filter(|member| member.is_asked()).for_each(|member| member.asked_next = now);
        // Starts are lost with the task as well.
        for member in &mut self.members {
            if let Cold::Starting { failures, .. } = member.cold {
                member.cold = Cold::Asleep { until: now, failures };
            }
        }
    }

    /// How often to ask has changed.
    pub(super) fn reschedule(&mut self, now: Duration) {
        let check = self.settings.check;
        for member in self.members.iter_mut().filter(|member| member.checked.is_probed() && !member.is_asked()) {
            member.asked_next = member.checked.next(&check, now, self.rng.unit());
        }
    }

    /// When somebody who reports by himself has been silent for too long.
    pub(in crate::failover) fn next_silence(&self) -> Option<Duration> {
        let check = &self.settings.check;
        self.members.iter().filter(|member| !member.leaving).filter_map(|member| member.checked.silent_at(check)).min()
    }

    /// All reports have been read that came before `heard`. Not done by whoever looks next: to a client that was held up
    /// itself all would have been silent.
    pub(in crate::failover) fn judge_silence(&mut self, heard: Duration, now: Duration) {
        for member in &mut self.members {
            if member.checked.expire(&self.settings.check, heard).is_some() {
                member.begins_anew(now);
                let (key, why) = (member.meta.key.clone(), member.said());
                self.events.push(FailoverEvent::EndpointDown { key, why });
            }
        }
        self.settle(now);
    }

    /// When a member that has not been proven, or is down, may have passed as often as it must: `now`, if it may be any time.
    pub(super) fn proven_at(&self, member: &Member, now: Duration) -> Option<Duration> {
        if member.leaving || member.draining || member.cold != Cold::Runs {
            return None;
        }
        let result = if member.is_asked() { now } else { member.asked_next };
        member.checked.proven_at(&self.settings.check, result, now)
    }

    /// What an endpoint says of itself.
    fn heard(&mut self, id: u32, report: Report, asked: Duration, now: Duration) {
        self.of_roles(|roles| roles.report(id, report, asked, now));
        let member = self.member_mut(id).expect("it is there");
        member.weight = report.usable_weight();
        let drained = std::mem::replace(&mut member.wants_drain, report.drain);
        let worked_on = std::mem::replace(&mut member.maintenance, report.maintenance);
        if (drained, worked_on) == (report.drain, report.maintenance) {
            return;
        }
        let key = member.meta.key.clone();
        if report.drain && !drained {
            self.events.push(FailoverEvent::EndpointDraining { key: key.clone() });
        }
        match (worked_on, report.maintenance) {
            (false, true) => self.events.push(FailoverEvent::MaintenanceBegan { key }),
            (true, false) => self.events.push(FailoverEvent::MaintenanceEnded { key }),
            _ => {}
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
                member.begins_anew(now);
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
    pub(in crate::failover) fn reported(&mut self, id: u32, report: Report, now: Duration) {
        let check = self.settings.check;
        let Some(member) = self.member_mut(id) else { return };
        let change = member.checked.heartbeat(&check, now);
        self.heard(id, report, now, now);
        self.checked(id, change, now);
    }
}
