//! Configures a failover client.

use std::{fmt, sync::Arc};

use super::{
    Affinity, Anywhere, ByAffinity, ByNeed, Endpoint, Failover, FailoverHandle, FailoverSettings, Meta, Need,
    control::GIVEN,
    endpoint,
    members::{Membership, Source},
    probe::{Heartbeats, Probe},
    shared::Shared,
    task::Parts,
};
use crate::{
    ConfigError, DefaultClassify,
    retry::{Budget, CloneRequest},
    rng,
    settings::Check,
    telemetry::Name,
};

/// Sets up a failover client; see [`FailoverSettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[must_use = "a builder does nothing until `build`"]
pub struct FailoverBuilder<S, C = DefaultClassify, P = CloneRequest, R = Anywhere> {
    base: Base<S>,
    classify: C,
    replay: P,
    route: R,
}

/// What does not depend on requests.
struct Base<S> {
    name: Name,
    endpoints: Vec<Endpoint<S>>,
    parts: Parts<S>,
    /// There was a probe before the services were wrapped.
    probe_of_others: bool,
    settings: FailoverSettings,
    budget: Option<Arc<Budget>>,
    seed: Option<u64>,
    by_role: bool,
}

impl Failover<()> {
    /// Starts with the default settings and no endpoint.
    pub fn builder<S>() -> FailoverBuilder<S> {
        let base = Base {
            name: Name::from_static("failover"),
            endpoints: Vec::new(),
            parts: Parts { probe: None, reports: None, by_reports: false, members: Vec::new() },
            probe_of_others: false,
            settings: FailoverSettings::default(),
            budget: Some(Arc::new(Budget::refund())),
            seed: None,
            by_role: false,
        };
        FailoverBuilder { base, classify: DefaultClassify, replay: CloneRequest, route: Anywhere }
    }
}

impl<S, C, P, R> FailoverBuilder<S, C, P, R> {
    /// What the client is called in rejections, events and metrics. Default: `failover`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.base.name = name.into();
        self
    }

    /// One more endpoint.
    pub fn endpoint(mut self, endpoint: Endpoint<S>) -> Self {
        self.base.endpoints.push(endpoint);
        self
    }

    /// More endpoints.
    pub fn endpoints(mut self, endpoints: impl IntoIterator<Item = Endpoint<S>>) -> Self {
        self.base.endpoints.extend(endpoints);
        self
    }

    /// Where endpoints come from that come and go; see [`members`](super::members). Next to those that are given one by
    /// one, which stay.
    pub fn members(mut self, members: impl Membership<S>) -> Self {
        let sources = &mut self.base.parts.members;
        sources.push(Source::new(GIVEN + 1 + sources.len() as u32, members));
        self
    }

    /// Asks endpoints how they are, as the settings' [`check`](FailoverSettings#structfield.check) says. None is used before it has
    /// passed. Default: no probe; calls alone show how endpoints are.
    pub fn probe(mut self, probe: impl Probe<S>) -> Self {
        self.base.parts.probe = Some(Arc::new(probe));
        self
    }

    /// Endpoints report by themselves. Without a [probe](Self::probe) none is used before it has reported, and one that falls
    /// silent is out; next to a probe, reports only say role, weight, drain and maintenance. Given twice, the last one counts.
    pub fn heartbeats(mut self, heartbeats: &Heartbeats) -> Self {
        self.base.parts.reports = Some(heartbeats.reports());
        self.base.parts.by_reports = true;
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: FailoverSettings) -> Self {
        self.base.settings = settings;
        self
    }

    /// Changes settings: `.with(|settings| settings.failback = Failback::Sticky)`.
    pub fn with(mut self, edit: impl FnOnce(&mut FailoverSettings)) -> Self {
        edit(&mut self.base.settings);
        self
    }

    /// What pays for sending a call to another endpoint after one may have worked on it; what was not sent costs nothing.
    /// Give the same to the retry above, or both spend. `None`: without limit. Default: one of its own,
    /// [`Budget::refund`].
    pub fn budget(mut self, budget: impl Into<Option<Arc<Budget>>>) -> Self {
        self.base.budget = budget.into();
        self
    }

    /// Makes chance repeatable. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.base.seed = Some(seed);
        self
    }

    /// What outcomes mean. Default: [`DefaultClassify`].
    pub fn classify<D>(self, classify: D) -> FailoverBuilder<S, D, P, R> {
        FailoverBuilder { base: self.base, classify, replay: self.replay, route: self.route }
    }

    /// Which requests may be sent twice, and how they are copied. Default: all, by `Clone`.
    pub fn replay<Q>(self, replay: Q) -> FailoverBuilder<S, C, Q, R> {
        FailoverBuilder { base: self.base, classify: self.classify, replay, route: self.route }
    }

    /// Which calls belong together, for [`Balance::Rendezvous`](super::Balance::Rendezvous): a session, a tenant, a key of
    /// what endpoints cache. Default: none does.
    pub fn affinity<Req, F>(self, affinity: F) -> FailoverBuilder<S, C, P, ByAffinity<F, R>>
    where
        F: Fn(&Req) -> Option<Affinity>,
    {
        let route = ByAffinity { affinity, route: self.route };
        FailoverBuilder { base: self.base, classify: self.classify, replay: self.replay, route }
    }

    /// Which role a request needs. What endpoints are is known from their [probe](Self::probe), or learned from what they
    /// answer: see [`Classify::wrong_role`](crate::Classify::wrong_role). Default: any.
    pub fn need<Req, F>(mut self, need: F) -> FailoverBuilder<S, C, P, ByNeed<F, R>>
    where
        F: Fn(&Req) -> Need,
    {
        self.base.by_role = true;
        let route = ByNeed { need, route: self.route };
        FailoverBuilder { base: self.base, classify: self.classify, replay: self.replay, route }
    }

    /// Puts layers around the service of each endpoint, of those too that are made or come later. Before
    /// [`probe`](Self::probe), which is given the wrapped service.
    pub fn wrap<T, F>(self, wrap: F) -> FailoverBuilder<T, C, P, R>
    where
        F: Fn(&Meta, S) -> T + Send + Sync + 'static,
        S: 'static,
        T: 'static,
    {
        let Base { name, endpoints, parts, settings, budget, seed, by_role, .. } = self.base;
        let wrap = Arc::new(wrap);
        let endpoints = endpoints.into_iter().map(|endpoint| endpoint.wrapped(&wrap)).collect();
        let probe_of_others = parts.probe.is_some();
        let Parts { reports, by_reports, members, .. } = parts;
        let parts = Parts {
            probe: None,
            reports,
            by_reports,
            members: members.into_iter().map(|source| source.wrapped(&wrap)).collect(),
        };
        let base = Base { name, endpoints, parts, probe_of_others, settings, budget, seed, by_role };
        FailoverBuilder { base, classify: self.classify, replay: self.replay, route: self.route }
    }

    /// Builds the client and its handle.
    ///
    /// With probes, endpoints that are made, or members that come and go, one task runs for all services and handles of
    /// the client, and ends with the last of them. It begins here, or, outside of a runtime, with the first call.
    ///
    /// # Errors
    /// The first setting that makes no sense, a key that is there twice, a weight that is none, or no endpoint and nothing
    /// that any could come from.
    #[expect(clippy::type_complexity, reason = "a client and its handle, or an error")]
    pub fn build(self) -> Result<(Failover<S, C, P, R>, FailoverHandle<S>), ConfigError>
    where
        S: Clone + Send + Sync + 'static,
    {
        self.base.check()?;
        self.base.parts.probe.iter().try_for_each(|probe| probe.check(&self.base.name))?;
        let Base { name, endpoints, parts, settings, budget, seed, by_role, .. } = self.base;
        let seed = seed.unwrap_or_else(rng::entropy);
        let shared = Arc::new(Shared::new(name, settings, budget, seed, parts, endpoints, by_role));
        shared.start_task();
        let handle = FailoverHandle { shared: Arc::clone(&shared) };
        Ok((Failover::new(shared, self.classify, self.replay, self.route), handle))
    }
}

impl<S> Base<S> {
    fn check(&self) -> Result<(), ConfigError> {
        let check = Check::of(&self.name);
        self.settings.check(&self.name)?;
        let some = !self.endpoints.is_empty() || !self.parts.members.is_empty();
        check.that(some, "endpoints", self.endpoints.len(), "at least one, or a source of members")?;
        check.that(
            !self.probe_of_others,
            "probe",
            "given before `wrap`",
            "after `wrap`, as it is given what that makes",
        )?;
        for (index, endpoint) in self.endpoints.iter().enumerate() {
            let key = endpoint.meta.key();
            let of_endpoint = Check::of_endpoint(&self.name, key);
            endpoint.meta.check(&of_endpoint)?;
            if let endpoint::Source::Cold(cold) = &endpoint.source {
                cold.check(&of_endpoint)?;
            }
            let twice = self.endpoints[..index].iter().any(|other| other.meta.key() == key);
            check.that(!twice, "endpoint.key", key, "each key once")?;
        }
        Ok(())
    }
}

impl Meta {
    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), ConfigError> {
        let allowed = self.weight > 0.0 && self.weight <= 1000.0;
        check.that(allowed, "endpoint.weight", self.weight, "over 0, at most 1,000")
    }
}

impl<S, C, P, R> fmt::Debug for FailoverBuilder<S, C, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FailoverBuilder")
            .field("name", &self.base.name)
            .field("endpoints", &self.base.endpoints)
            .field("settings", &self.base.settings)
            .finish_non_exhaustive()
    }
}
