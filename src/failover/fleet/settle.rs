//! What follows from a change: who is in hold, whether all are out, where the traffic goes.

use std::time::Duration;

use super::{
    super::FailoverEvent,
    AllOut, AllOutTrial, Fleet,
    member::{Member, Out, Passive},
    plan::groups,
};

impl Fleet {
    /// What follows from a change.
    pub(super) fn settle(&mut self, now: Duration) {
        self.note_ins_and_outs(now);
        self.look_at_roles(now);
        self.end_holds(now, |member| member.held_until.is_some_and(|until| now >= until));
        let pin_lost = self.pinned.is_some_and(|id| self.member(id).is_none_or(|member| !member.admissible()));
        if pin_lost {
            self.pinned = None;
        }
        let any = self.members.iter().any(Member::admissible);
        match (any, self.all_out) {
            (false, None) if !self.members.is_empty() => self.all_are_out(false, now),
            (true, Some(AllOut { by_failures: false, since, told, .. })) => {
                self.all_out = None;
                let key = self
                    .members
                    .iter()
                    .find(|member| told && member.admissible())
                    .map(|member| member.meta.key.clone());
                let after = now.saturating_sub(since);
                self.events.extend(key.map(|key| FailoverEvent::Recovered { key, after }));
            }
            _ => {}
        }
        self.choose_trial(now);
        self.note_tier(now);
        self.note_unused(now);
    }

    /// Who is out is no primary; and while none is known, all are asked at once.
    fn look_at_roles(&mut self, now: Duration) {
        let Some(roles) = &mut self.roles else { return };
        let search = roles.search(now);
        if let Some(search) = search {
            for member in self.members.iter_mut().filter(|member| member.checked.is_probed()) {
                member.checked.fast_until(search.fast_until);
                if !member.is_asked() {
                    member.asked_next = member.asked_next.min(now);
                }
            }
        }
        self.of_roles(|roles| roles.look(now));
        self.roles_due = self.roles.as_ref().and_then(|roles| roles.due(now));
    }

    /// Tells who has come and who has gone, and puts in hold who comes back to a tier that traffic has left.
    fn note_ins_and_outs(&mut self, now: Duration) {
        let in_use = self.in_use;
        let hold = self.settings.failback.hold();
        for index in 0..self.members.len() {
            let member = &self.members[index];
            match (member.admissible(), member.out) {
                (true, Some(out)) => {
                    let ready = |other: &Member| {
                        other.meta.tier == member.meta.tier
                            && other.out.is_none()
                            && other.admissible()
                            && !other.is_held()
                    };
                    let left = in_use.is_some_and(|tier| tier > member.meta.tier)
                        && self.members.iter().any(|other| Some(other.meta.tier) == in_use && other.admissible())
                        && !(self.pinned.is_some() && self.members.iter().any(ready));
                    let unit = self.rng.unit();
                    let member = &mut self.members[index];
                    member.out = None;
                    let after = match out {
                        Out::New => None,
                        Out::Since(since) => Some(now.saturating_sub(since)),
                    };
                    if left && out != Out::New && hold != Some(Duration::ZERO) {
                        member.held_until = Some(match hold {
                            Some(hold) => member.damping.recovered(now, hold, unit),
                            None => Duration::MAX,
                        });
                    }
                    let key = member.meta.key.clone();
                    self.events.push(FailoverEvent::EndpointUp { key, after });
                }
                (false, None) => {
                    let member = &mut self.members[index];
                    member.out = Some(Out::Since(now));
                    member.held_until = None;
                    member.damping.lost(now);
                    let id = member.id;
                    self.of_roles(|roles| roles.lost(id, now));
                }
                _ => {}
            }
        }
    }

    pub(super) fn end_holds(&mut self, now: Duration, of: impl Fn(&Member) -> bool) {
        for member in self.members.iter_mut().filter(|member| member.is_held() && of(member)) {
            member.held_until = None;
            // Slow start begins where it is used.
            member.comes_back(now);
            member.damping.returned(now);
        }
    }

    /// Traffic goes back in another way from now on.
    pub(super) fn hold_anew(&mut self, now: Duration) {
        let hold = self.settings.failback.hold();
        if hold == Some(Duration::ZERO) {
            return self.end_holds(now, |_| true);
        }
        for index in 0..self.members.len() {
            let unit = self.rng.unit();
            let member = &mut self.members[index];
            if let Some(until) = &mut member.held_until {
                *until = hold.map_or(Duration::MAX, |hold| member.damping.recovered(now, hold, unit).min(*until));
            }
        }
    }

    pub(super) fn all_are_out(&mut self, by_failures: bool, now: Duration) {
        let wait = self.settings.all_out.endless(1, self.rng.unit());
        let trial = AllOutTrial::At(now.saturating_add(wait));
        let told = self.members.iter().any(|member| member.out != Some(Out::New));
        self.all_out = Some(AllOut { since: now, told, by_failures, trials: 1, trial, last: None, failed: None });
        if told {
            self.events.push(FailoverEvent::AllOut);
        }
    }

    /// While all are out: whom the next trial is of. In turn, the most preferred first.
    fn choose_trial(&mut self, now: Duration) {
        let Some(out) = self.all_out else { return };
        let due = match out.trial {
            AllOutTrial::At(at) => now >= at,
            AllOutTrial::Waiting(id) | AllOutTrial::Trying { id, .. } => !self.member(id).is_some_and(Member::present),
        };
        if !due {
            return;
        }
        let of_last = out.last.and_then(|last| self.members.iter().position(|member| member.id == last));
        let start = of_last.map_or(0, |last| last + 1);
        let order = (start..self.members.len()).chain(0..start);
        let mut present = order.map(|index| &self.members[index]).filter(|member| member.present()).peekable();
        // One that is being tried already, if there is no other.
        let tried = present.peek().and_then(|member| match member.passive {
            Passive::Trying { since, .. } => Some(AllOutTrial::Trying { id: member.id, since }),
            _ => None,
        });
        let next = present.find(|member| !matches!(member.passive, Passive::Trying { .. }));
        let trial = next.map(|member| AllOutTrial::Waiting(member.id)).or(tried).unwrap_or(AllOutTrial::At(now));
        self.all_out = Some(AllOut { trial, ..out });
    }

    fn note_tier(&mut self, now: Duration) {
        if self.all_out.is_some() {
            self.change_tier(None);
            return;
        }
        let plan = groups(&self.members, self.pinned, &self.settings, None);
        let tier = plan.first().filter(|group| group.share > 0.0).map(|group| group.tier);
        let lost = self.in_use.is_some_and(|used| {
            !self.members.iter().any(|member| member.meta.tier == used && member.admissible() && !member.is_held())
        });
        if lost && self.settings.failback.ends_with_a_loss() && self.members.iter().any(Member::is_held) {
            self.end_holds(now, |_| true);
            return self.note_tier(now);
        }
        // What is used for want of anything else is in hold no longer, nor what waits for its tier to be used.
        let used: Vec<u32> =
            plan.iter().filter(|group| group.share > 0.0).flat_map(|group| &group.seats).map(|seat| seat.id).collect();
        let by_hand = self.pinned.is_some();
        let waits =
            |member: &Member| !by_hand && Some(member.meta.tier) == tier && member.held_until == Some(Duration::MAX);
        self.end_holds(now, |member| used.contains(&member.id) || waits(member));
        self.change_tier(tier);
    }

    fn change_tier(&mut self, to: Option<u32>) {
        let from = std::mem::replace(&mut self.in_use, to);
        let first = !self.ever_used;
        self.ever_used |= to.is_some();
        // The first tier that is used is no change.
        if from == to || first {
            return;
        }
        self.events.push(FailoverEvent::TierChanged { from, to });
        if let (Some(from), Some(tier)) = (from, to)
            && tier < from
        {
            self.events.push(FailoverEvent::FailedBack { tier });
        }
    }
}
