//! Which endpoint is the primary, as calls and probes have shown it.

use std::time::Duration;

use super::{
    super::{
        FailoverEvent, FailoverSettings, Need,
        probe::Role,
        roles::{Fit, Primary, RoleEvent, Roles, Rules},
    },
    Fleet,
};
use crate::telemetry::Name;

impl Fleet {
    /// It has answered a call that it is not the primary.
    pub(in crate::failover) fn refused_role(&mut self, id: u32, now: Duration) {
        self.of_roles(|roles| roles.refused_role(id, now));
        self.settle(now);
    }

    /// It has taken a call that needs the primary.
    pub(in crate::failover) fn served(&mut self, id: u32, began: Duration, now: Duration) {
        self.of_roles(|roles| roles.served(id, began, now));
        self.settle(now);
    }

    /// A call needs the primary, and none is known.
    pub(in crate::failover) fn missed(&mut self, now: Duration) {
        self.roles.iter_mut().for_each(|roles| roles.missed(now));
        self.settle(now);
    }

    pub(in crate::failover) fn forget_epochs(&mut self, now: Duration) {
        self.of_roles(|roles| roles.forget_epochs(now));
        self.settle(now);
    }

    /// Tells what has been found out of roles.
    pub(super) fn of_roles(&mut self, learn: impl FnOnce(&mut Roles) -> Vec<RoleEvent>) {
        let Some(roles) = &mut self.roles else { return };
        for event in learn(roles) {
            let key =
                |id: u32| self.members.iter().find(|member| member.id == id).map(|member| member.meta.key.clone());
            let event = match event {
                RoleEvent::PrimaryChanged { from, to, epoch } => {
                    FailoverEvent::PrimaryChanged { from: from.and_then(key), to: key(to), epoch }
                }
                RoleEvent::PrimaryUnknown { was } => {
                    FailoverEvent::PrimaryChanged { from: key(was), to: None, epoch: None }
                }
                RoleEvent::Fenced { id, .. } => match key(id) {
                    Some(key) => FailoverEvent::Fenced { key },
                    None => continue,
                },
                RoleEvent::SplitBrain { ids } => {
                    FailoverEvent::SplitBrain { keys: ids.into_iter().filter_map(key).collect() }
                }
                RoleEvent::SplitBrainOver => FailoverEvent::SplitBrainEnded,
            };
            self.events.push(event);
        }
    }

    pub(in crate::failover) fn primary(&self, now: Duration) -> Option<&Name> {
        match self.roles.as_ref()?.primary(now) {
            Primary::Known(id) => self.member(id).map(|member| &member.meta.key),
            Primary::Unknown | Primary::Split => None,
        }
    }

    pub(in crate::failover) fn is_split(&self) -> bool {
        self.roles.as_ref().is_some_and(Roles::is_split)
    }

    /// The part that an endpoint plays, as far as is known.
    pub(in crate::failover) fn role(&self, id: u32, now: Duration) -> Option<Role> {
        let roles = self.roles.as_ref()?;
        if roles.fit(id, Need::Primary, now) == Fit::Preferred {
            return Some(Role::Primary);
        }
        roles.member(id)?.role
    }

    /// The epoch of an endpoint and how far it lags behind, as it said last.
    pub(in crate::failover) fn said_of_data(&self, id: u32) -> (Option<u64>, Option<Duration>) {
        let said = self.roles.as_ref().and_then(|roles| roles.member(id));
        said.map_or((None, None), |said| (said.epoch, said.lag.map(|(lag, _)| lag)))
    }

    pub(in crate::failover) fn highest_epoch(&self) -> Option<u64> {
        self.roles.as_ref()?.highest
    }
}

pub(super) fn rules(settings: &FailoverSettings) -> Rules {
    // A probe that is late by two is still believed.
    let max_age = settings.check.every.saturating_mul(3).saturating_add(settings.check.timeout);
    Rules { max_age, refuse_writes_on_split: settings.refuse_writes_on_split_brain }
}
