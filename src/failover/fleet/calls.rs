//! What calls show of endpoints: who is ejected, who is tried, and that all are out.

use std::time::Duration;

use super::{
    super::{Cause, FailoverEvent, outlier::cap},
    AllOut, AllOutTrial, Fleet, Trial, TrialEnd,
    member::{Member, Passive},
};

impl Fleet {
    /// So many calls in a row have failed there that it is to be ejected. Whether it was.
    pub(in crate::failover) fn failing(&mut self, id: u32, generation: u32, cause: Cause, now: Duration) -> bool {
        self.advance(now);
        let stale = |member: &&Member| member.generation == generation && member.passive == Passive::In;
        let Some(member) = self.member(id).filter(stale) else { return false };
        let opinion = matches!(cause, Cause::Errors(_) | Cause::SuccessRate(..) | Cause::FailurePercentage(_));
        if opinion && member.admissible() && !self.may_be_spared(id, cause) {
            return false;
        }
        self.eject(id, cause, now);
        self.settle(now);
        true
    }

    /// Whether an endpoint may be ejected for what it answers: for errors, if calls have another tier to go to; else never the
    /// last one, nor more than the share.
    fn may_be_spared(&self, id: u32, cause: Cause) -> bool {
        let Some(member) = self.member(id) else { return false };
        let tier = member.meta.tier;
        let elsewhere = self.members.iter().any(|other| other.meta.tier != tier && other.admissible());
        if elsewhere && matches!(cause, Cause::Errors(_)) {
            return true;
        }
        let of_tier = || self.members.iter().filter(|other| other.meta.tier == tier && other.present());
        let out = of_tier().filter(|other| other.passive != Passive::In).count();
        cap(out as u32, of_tier().count() as u32, self.settings.max_ejected)
    }

    /// So many calls in a row have failed, of all endpoints each.
    pub(in crate::failover) fn all_failing(&mut self, now: Duration) -> bool {
        if self.all_out.is_some() {
            return false;
        }
        self.all_are_out(true, now);
        // What began before that says nothing of what comes after.
        self.members.iter_mut().for_each(|member| member.begins_anew(now));
        self.settle(now);
        true
    }

    /// Leave to try it, if it still waits for that.
    pub(in crate::failover) fn take_trial(&mut self, id: u32, now: Duration) -> Option<Trial> {
        self.advance(now);
        if let Some(out) = self.all_out {
            let member = self.member(id)?;
            if !matches!(out.trial, AllOutTrial::Waiting(turn) if self.may_be_tried(turn, member)) {
                return None;
            }
            let out = self.all_out.get_or_insert(out);
            out.trial = AllOutTrial::Trying { id, since: now };
            out.trials = out.trials.saturating_add(1);
            out.last = Some(id);
        } else if !matches!(self.member(id)?.passive, Passive::Waiting { .. }) {
            return None;
        }
        let member = self.member_mut(id)?;
        if let Passive::Waiting { cause, .. } = member.passive {
            member.passive = Passive::Trying { cause, since: now };
        }
        member.generation = member.generation.wrapping_add(1);
        let (generation, key) = (member.generation, member.meta.key.clone());
        self.events.push(FailoverEvent::EndpointProbing { key });
        Some(Trial { id, generation })
    }

    pub(in crate::failover) fn trial_ended(&mut self, trial: Trial, end: TrialEnd, now: Duration) {
        let Trial { id, generation } = trial;
        if self.generation(id) != Some(generation) {
            return;
        }
        let unit = self.rng.unit();
        let out = self.all_out.filter(|out| matches!(out.trial, AllOutTrial::Trying { id: of, .. } if of == id));
        let later = out.map(|out| {
            let wait = self.settings.all_out.endless(out.trials, unit);
            let failed = if end == TrialEnd::Failed { Some(now) } else { out.failed };
            AllOut { trial: AllOutTrial::At(now.saturating_add(wait)), failed, ..out }
        });
        let ejection = self.settings.ejection.clone();
        let member = self.member_mut(id).expect("its generation is known");
        match end {
            TrialEnd::Passed => {
                if let Some(out) = self.all_out {
                    self.answered_again(id, out, now);
                }
                self.back_in(id, now);
            }
            TrialEnd::Failed => {
                // Where so many calls have failed, it has not been ejected.
                if member.passive != Passive::In {
                    self.eject(id, Cause::Trial, now);
                }
                self.all_out = later.or(self.all_out);
            }
            TrialEnd::Nothing => {
                member.generation = member.generation.wrapping_add(1);
                if let Passive::Trying { cause, .. } = member.passive {
                    let wait = ejection.endless(member.ejections, unit);
                    member.passive = Passive::Ejected { cause, until: now.saturating_add(wait) };
                }
                self.all_out = later.or(self.all_out);
            }
            TrialEnd::GivenBack => {
                member.begins_anew(now);
                // The next one has its turn: whoever tries this one may never wait for long enough.
                self.all_out = out.map(|out| AllOut { trial: AllOutTrial::At(now), ..out }).or(self.all_out);
            }
        }
        self.settle(now);
    }

    fn answered_again(&mut self, id: u32, out: AllOut, now: Duration) {
        self.all_out = None;
        // Whatever was wrong with all of them may be over: each is tried by the next call, and not only when its turn comes.
        for member in &mut self.members {
            if let Passive::Ejected { cause, .. } = member.passive {
                member.passive = Passive::Waiting { cause, since: now };
            }
        }
        if !out.told {
            return;
        }
        let key = self.member(id).expect("it was tried").meta.key.clone();
        self.events.push(FailoverEvent::Recovered { key, after: now.saturating_sub(out.since) });
    }

    fn eject(&mut self, id: u32, cause: Cause, now: Duration) {
        let unit = self.rng.unit();
        let settings = self.settings.clone();
        let member = self.member_mut(id).expect("it is there");
        member.ejections = member.ejections_at(&settings, now).saturating_add(1);
        let wait = settings.ejection.endless(member.ejections, unit);
        self.eject_for(id, cause, wait, now);
    }

    pub(super) fn eject_for(&mut self, id: u32, cause: Cause, wait: Duration, now: Duration) {
        let (check, unit) = (self.settings.check, self.rng.unit());
        let member = self.member_mut(id).expect("it is there");
        let until = now.saturating_add(wait);
        member.passive = Passive::Ejected { cause, until };
        member.back = None;
        member.generation = member.generation.wrapping_add(1);
        member.checked.ejected();
        if member.is_asked() {
            member.checked.asked_before();
        } else if member.checked.is_probed() {
            // Faster from now on.
            member.asked_next = member.asked_next.min(member.checked.next(&check, now, unit).max(now));
        }
        let key = member.meta.key.clone();
        self.events.push(FailoverEvent::EndpointEjected { key, cause, wait });
    }

    /// What calls had shown is over.
    pub(super) fn back_in(&mut self, id: u32, now: Duration) {
        let member = self.member_mut(id).expect("it is there");
        if member.passive != Passive::In {
            member.passive = Passive::In;
            member.comes_back(now);
            member.generation = member.generation.wrapping_add(1);
        }
    }
}
