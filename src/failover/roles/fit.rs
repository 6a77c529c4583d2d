//! Which endpoints do for a request, by their roles.

use std::time::Duration;

use super::{
    super::{need::Need, probe::Role},
    Member, Primary, Roles,
};

/// How well an endpoint's role does for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::failover) enum Fit {
    No,
    /// If none is preferred.
    Possible,
    Preferred,
}

impl Roles {
    /// Whether a call that needs the primary may go there.
    pub(in crate::failover) fn may_be_primary(&self, id: u32, now: Duration) -> bool {
        self.fit_primary(id, self.primary(now), now) > Fit::No
    }

    /// How well it does for what needs the primary, where that is `primary`.
    pub(in crate::failover) fn fit_primary(&self, id: u32, primary: Primary, now: Duration) -> Fit {
        let refuses = |member: &Member| now < member.refused_until(member.refusals);
        match self.member(id) {
            Some(_) if primary == Primary::Known(id) => Fit::Preferred,
            Some(member) if !self.reporting && !refuses(member) => Fit::Possible,
            _ => Fit::No,
        }
    }

    /// Whether it is a replica, and if it matters, has lagged behind by at most so much when it was asked. Without any
    /// reports: whether it may be one.
    pub(in crate::failover) fn may_read(&self, id: u32, max_lag: Option<Duration>, now: Duration) -> bool {
        if !self.reporting {
            return max_lag.is_none() && self.served_by != Some(id);
        }
        let Some(member) = self.member(id) else { return false };
        let replica = member.role == Some(Role::Replica) && self.fresh(member.asked, now);
        let near = max_lag.is_none_or(|max_lag| {
            // One that follows an older primary does not know how far it is behind.
            let follows = member.epoch.is_none() || member.epoch == self.highest;
            follows && member.lag.is_some_and(|(lag, asked)| lag <= max_lag && self.fresh(asked, now))
        });
        replica && near
    }

    /// How far a replica lags behind that can be read from, if that is known.
    pub(in crate::failover) fn lag(&self, id: u32, now: Duration) -> Option<Duration> {
        let (lag, _) = self.member(id)?.lag?;
        self.may_read(id, Some(lag), now).then_some(lag)
    }

    pub(in crate::failover) fn fit(&self, id: u32, need: Need, now: Duration) -> Fit {
        let preferred = |fits: bool, or: Fit| if fits { Fit::Preferred } else { or };
        let possible = |fits: bool| if fits { Fit::Possible } else { Fit::No };
        match need {
            Need::Any => Fit::Preferred,
            Need::Primary => self.fit_primary(id, self.primary(now), now),
            Need::Replica => preferred(self.may_read(id, None, now), Fit::No),
            Need::ReplicaPreferred { max_lag } => {
                preferred(self.may_read(id, Some(max_lag), now), possible(self.may_be_primary(id, now)))
            }
        }
    }
}
