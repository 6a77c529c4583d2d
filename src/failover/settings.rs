//! The settings of a failover client, which can be changed while it runs.

use std::time::Duration;

use super::{Balance, Check, Failback, Outliers, TierPolicy};
use crate::{
    backoff::{Backoff, Jitter},
    settings::{self, ConfigError},
    telemetry::Name,
};

/// The settings of a failover client. All can be changed while it runs; see
/// [`FailoverHandle::change`](super::FailoverHandle::change).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FailoverSettings {
    /// How calls are shared out among the endpoints of a tier. Default: [`Balance::PeakEwma`].
    pub balance: Balance,
    /// When a lower tier is used. Default: [`TierPolicy::Strict`], with one healthy endpoint.
    pub tiers: TierPolicy,
    /// The zone of this process: endpoints in it come first. With fewer than 72 % of them healthy the other zones of the tier
    /// get a part, as with a [`TierPolicy::Spillover`] of 1.4, or of what that is set to. Default: none.
    pub zone: Option<Name>,
    /// When a tier that was lost is gone back to. Default: after 30 s.
    pub failback: Failback,
    /// How long an endpoint that has recovered gets less than its share: from a tenth on, growing. Default: 10 s; zero: none.
    pub slow_start: Duration,
    /// So many failures in a row eject an endpoint. Default: 5; `None`: not for that. At least 1.
    pub consecutive_failures: Option<u32>,
    /// So many failed connections in a row eject an endpoint. Default: 2; `None`: not for that. At least 1.
    pub connect_failures: Option<u32>,
    /// How long an endpoint stays ejected. Default: 250 ms × 2 up to 1 s, ± 20 %.
    pub ejection: Backoff,
    /// The share of the last tier that can be ejected for what endpoints answer; what they do not answer is no matter of
    /// opinion. Default: 0.5; over 0, at most 1.
    pub max_ejected: f64,
    /// So many failures in a row over all endpoints, each of which has failed, take all out at once. Default: 10; `None`:
    /// not for that. At least 1.
    pub all_out_failures: Option<u32>,
    /// While all endpoints are out, a call tries one of them after such waits. Default: 50 ms × 1.5 up to 400 ms, ± 20 %.
    pub all_out: Backoff,
    /// A call is held if an endpoint can be tried within this time, and within its deadline; one without a deadline is held
    /// for at most this long in all. Default: 1 s; zero: calls are refused at once.
    pub max_hold: Duration,
    /// A call goes to at most so many endpoints. Default: 2; at least 1: it is not sent elsewhere.
    pub max_endpoints_per_call: u32,
    /// How long the service of an endpoint may take to be made and to be ready for a call. Default: 1 s; over 0.
    pub acquire_timeout: Duration,
    /// When a trial that has not ended counts as failed. Default: 10 s; over 0.
    pub trial_timeout: Duration,
    /// For how long an endpoint loses against others after a failure, if it did not name a time. Default: 250 ms.
    pub penalty: Duration,
    /// How endpoints are probed, if there is a probe.
    pub check: Check,
    /// Statistics over all endpoints that eject those that stand out. Default: none.
    pub outliers: Outliers,
    /// Whether writes are refused while two endpoints say that they are the primary. Default: no; the first one stays.
    pub refuse_writes_on_split_brain: bool,
}

impl Default for FailoverSettings {
    fn default() -> Self {
        const MS: Duration = Duration::from_millis(1);
        Self {
            balance: Balance::default(),
            tiers: TierPolicy::default(),
            zone: None,
            failback: Failback::default(),
            slow_start: 10_000 * MS,
            consecutive_failures: Some(5),
            connect_failures: Some(2),
            ejection: Backoff::exponential(250 * MS).max(1000 * MS).jitter(Jitter::Around(0.2)),
            max_ejected: 0.5,
            all_out_failures: Some(10),
            all_out: Backoff::exponential(50 * MS).factor(1.5).max(400 * MS).jitter(Jitter::Around(0.2)),
            max_hold: 1000 * MS,
            max_endpoints_per_call: 2,
            acquire_timeout: 1000 * MS,
            trial_timeout: 10_000 * MS,
            penalty: 250 * MS,
            check: Check::default(),
            outliers: Outliers::default(),
            refuse_writes_on_split_brain: false,
        }
    }
}

impl FailoverSettings {
    pub(super) fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = settings::Check::of(component);
        let some = |times: Option<u32>| times != Some(0);
        self.tiers.check(&check)?;
        check.that(some(self.consecutive_failures), "consecutive_failures", self.consecutive_failures, "at least 1")?;
        check.that(some(self.connect_failures), "connect_failures", self.connect_failures, "at least 1")?;
        check.that(some(self.all_out_failures), "all_out_failures", self.all_out_failures, "at least 1")?;
        self.ejection.check(&check, "ejection", true)?;
        self.all_out.check(&check, "all_out", true)?;
        check.rate("max_ejected", self.max_ejected)?;
        let endpoints = self.max_endpoints_per_call;
        check.that(endpoints >= 1, "max_endpoints_per_call", endpoints, "at least 1")?;
        check.positive("acquire_timeout", self.acquire_timeout)?;
        check.positive("trial_timeout", self.trial_timeout)?;
        self.check.check(component)?;
        self.outliers.check(&check)
    }
}
