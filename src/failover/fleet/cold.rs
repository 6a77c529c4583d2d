//! Cold standbys: when one is to be started, and when it may sleep again.

use std::time::Duration;

use super::{
    super::{FailoverEvent, check::Checked, cold::ColdRules},
    AllOut, Fleet,
    member::{Cold, Member},
};
use crate::telemetry::Name;

impl Fleet {
    /// The cold standby that is to be started now, if one is: once, one at a time, and not before nothing else has been
    /// there for as long as it says.
    pub(in crate::failover) fn due_start(&mut self, now: Duration) -> Option<u32> {
        if self.members.iter().any(|member| matches!(member.cold, Cold::Starting { .. })) {
            return None;
        }
        let out = self.all_out?;
        let none = self.none_is_there();
        let is_due = |member: &&mut Member| member.starts_at(&out, none).is_some_and(|at| now >= at);
        let member = self.members.iter_mut().find(is_due)?;
        let Cold::Asleep { failures, .. } = member.cold else { return None };
        member.cold = Cold::Starting { since: now, failures };
        let id = member.id;
        self.settle(now);
        Some(id)
    }

    /// Whether none could even be tried: checks say that they are down, or they are to be left alone.
    fn none_is_there(&self) -> bool {
        !self.members.iter().any(Member::present)
    }

    /// When the next start is due.
    pub(super) fn starts_at(&self) -> Option<Duration> {
        let out = self.all_out?;
        let none = self.none_is_there();
        let starting = self.members.iter().any(|member| matches!(member.cold, Cold::Starting { .. }));
        self.members.iter().filter(|_| !starting).filter_map(|member| member.starts_at(&out, none)).min()
    }

    /// It runs, or could not be started.
    pub(in crate::failover) fn started(&mut self, id: u32, result: Result<Checked, Name>, now: Duration) {
        let unit = self.rng.unit();
        let Some(member) = self.member_mut(id) else { return };
        let (Cold::Starting { since, failures }, Some(rules)) = (member.cold, member.cold_rules.clone()) else {
            return;
        };
        let (key, tier) = (member.meta.key.clone(), member.meta.tier);
        match result {
            Ok(checked) => {
                member.cold = Cold::Runs;
                member.asked_next = if checked.is_probed() { now } else { Duration::MAX };
                member.checked = checked;
                member.unused_since = None;
                if rules.promotes {
                    self.fenced_before = self.fenced_before.max(Some(tier));
                    for member in self.members.iter_mut().filter(|member| member.meta.tier < tier && !member.fenced) {
                        member.fenced = true;
                        self.events.push(FailoverEvent::Fenced { key: member.meta.key.clone() });
                    }
                }
                self.events.push(FailoverEvent::Activated { key, took: now.saturating_sub(since) });
            }
            Err(why) => {
                let failures = failures.saturating_add(1);
                let until = now.saturating_add(rules.retry.endless(failures, unit));
                member.cold = Cold::Asleep { until, failures };
                self.events.push(FailoverEvent::ActivationFailed { key, why });
            }
        }
        self.settle(now);
    }

    /// The cold standbys that run and have not been used for as long as they say: they are cold from now on.
    pub(in crate::failover) fn due_stop(&mut self, now: Duration) -> Vec<u32> {
        let mut ids = Vec::new();
        for member in &mut self.members {
            if member.stops_at().is_some_and(|at| now >= at) {
                // Not started again before it has been stopped.
                let stops = member.cold_rules.as_ref().map_or(Duration::ZERO, |rules| rules.deadline);
                member.cold = Cold::Asleep { until: now.saturating_add(stops), failures: 0 };
                member.unused_since = None;
                ids.push(member.id);
            }
        }
        if !ids.is_empty() {
            self.settle(now);
        }
        ids
    }

    /// It has been stopped, or could not be.
    pub(in crate::failover) fn stopped(&mut self, id: u32, result: Result<(), Name>, now: Duration) {
        let Some(member) = self.member_mut(id) else { return };
        if let Cold::Asleep { until, .. } = &mut member.cold {
            *until = now.min(*until);
        }
        let key = member.meta.key.clone();
        self.events.push(match result {
            Ok(()) => FailoverEvent::Stopped { key },
            Err(why) => FailoverEvent::StopFailed { key, why },
        });
        self.settle(now);
    }

    /// Since when those that were started are no longer used.
    pub(super) fn note_unused(&mut self, now: Duration) {
        let in_use = self.in_use;
        for member in self.members.iter_mut().filter(|member| member.cold_rules.is_some()) {
            let unused = member.cold == Cold::Runs && in_use.is_some_and(|tier| tier < member.meta.tier);
            member.unused_since = if unused { member.unused_since.or(Some(now)) } else { None };
        }
    }

    /// When the task has something to do: a probe, or a cold standby.
    pub(in crate::failover) fn task_due(&self) -> Option<Duration> {
        self.cold_due().chain(self.next_probe()).min()
    }

    /// When a cold standby is to be started or stopped.
    pub(in crate::failover) fn cold_due(&self) -> impl Iterator<Item = Duration> {
        self.starts_at().into_iter().chain(self.members.iter().filter_map(Member::stops_at))
    }
}

impl Member {
    pub(super) fn set_cold(&mut self, rules: Option<ColdRules>) {
        if rules.is_some() {
            self.cold = Cold::Asleep { until: Duration::ZERO, failures: 0 };
        }
        self.cold_rules = rules;
    }

    /// When it is to be started. Not before the others have been found out again after its wait: with few calls nobody may
    /// have asked since they came back.
    fn starts_at(&self, out: &AllOut, none: bool) -> Option<Duration> {
        let (Cold::Asleep { until, .. }, Some(rules)) = (self.cold, &self.cold_rules) else { return None };
        let after = out.since.saturating_add(rules.after);
        let out_still = none || out.failed.is_some_and(|failed| failed >= after);
        (out_still && !self.is_leaving()).then(|| after.max(until))
    }

    fn stops_at(&self) -> Option<Duration> {
        let idle = self.cold_rules.as_ref()?.idle?;
        Some(self.unused_since?.saturating_add(idle))
    }
}
