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
    pub(in crate::failover) fn to_probe(&mut self, now: Duration) -> Vec<u32> {
        let due = |member: &&mut Member| now >= member.asked_next && member.cold == Cold::Runs && !member.leaving;
        let ask = |member: &mut Member| {
            // Until there is a result.
            member.asked_next = Duration::MAX;
            member.asked = now;
            member.id
        };
        self.members.iter_mut().filter(due).map(ask).collect()
    }

    /// What has been asked is not answered any more.
    pub(in crate::failover) fn ask_again(&mut self, now: Duration) {
        self.members.iter_mut().filter(|member| member.is_asked()).for_each(|member| member.asked_next = now);
    }

    /// When the next probe is due.
    pub(in crate::failover) fn next_probe(&self) -> Option<Duration> {
        let awake = self.members.iter().filter(|member| member.cold == Cold::Runs && !member.leaving);
        awake.map(|member| member.asked_next).min().filter(|next| *next < Duration::MAX)
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

    /// What an endpoint says of itself.
    fn heard(&mut self, id: u32, report: Report, asked: Duration, now: Duration) {
        self.of_roles(|roles| roles.report(id, report, asked, now));
        let member = self.member_mut(id).expect("it is there");
        member.weight = report.weight.filter(|weight| weight.is_finite() && *weight > 0.0);
        member.maintenance = report.maintenance;
        let before = std::mem::replace(&mut member.wants_drain, report.drain);
        if report.drain && !before {
            let key = member.meta.key.clone();
            self.events.push(FailoverEvent::EndpointDraining { key });
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
