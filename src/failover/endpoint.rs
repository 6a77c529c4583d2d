//! Endpoints, as users give them: what is known of one, and where its service comes from.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use super::{Cold, cold::ColdRules};
use crate::{BoxError, telemetry::Name};

/// What is known of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    pub(super) key: Name,
    pub(super) tier: u32,
    pub(super) weight: f64,
    pub(super) zone: Option<Name>,
    pub(super) address: Option<Name>,
}

impl Meta {
    pub(super) fn new(key: Name) -> Self {
        Self { key, tier: 0, weight: 1.0, zone: None, address: None }
    }

    /// What the endpoint is called; different ones have different keys.
    pub fn key(&self) -> &Name {
        &self.key
    }

    /// Its tier: 0 is preferred, 1 next, and so on.
    pub const fn tier(&self) -> u32 {
        self.tier
    }

    /// Its share next to others of its tier.
    pub const fn weight(&self) -> f64 {
        self.weight
    }

    /// The zone that it is in, if it was said.
    pub fn zone(&self) -> Option<&Name> {
        self.zone.as_ref()
    }

    /// Its `host:port`, if it was said: for probes.
    pub fn address(&self) -> Option<&Name> {
        self.address.as_ref()
    }
}

/// One of several endpoints that do the same job: a key, where its service comes from, tier, weight, zone, address.
pub struct Endpoint<S> {
    pub(super) meta: Meta,
    pub(super) source: Source<S>,
}

pub(super) type Making<S> = Pin<Box<dyn Future<Output = Result<S, BoxError>> + Send>>;

/// Where the service of an endpoint comes from.
pub(super) enum Source<S> {
    /// It is there.
    Ready(S),
    /// It is made on first use.
    Make(Arc<dyn Fn() -> Making<S> + Send + Sync>),
    /// It does not run yet.
    Cold(Cold<S>),
}

impl<S> Source<S> {
    pub(super) fn cold_rules(&self) -> Option<ColdRules> {
        match self {
            Self::Cold(cold) => Some(cold.rules.clone()),
            Self::Ready(_) | Self::Make(_) => None,
        }
    }
}

impl<S> Endpoint<S> {
    /// An endpoint that is there, in tier 0, of weight 1.
    pub fn new(key: impl Into<Name>, service: S) -> Self {
        Self { meta: Meta::new(key.into()), source: Source::Ready(service) }
    }

    /// An endpoint whose service is made on first use, and anew after it was given up: a warm standby to which no
    /// connection is kept. `make` runs in a task of the client, one at a time.
    pub fn make<F, Fut, E>(key: impl Into<Name>, make: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let make = move || -> Making<S> {
            let service = make();
            Box::pin(async move { service.await.map_err(Into::into) })
        };
        Self { meta: Meta::new(key.into()), source: Source::Make(Arc::new(make)) }
    }

    /// An endpoint that does not run yet; give it a tier of its own, after the others.
    pub fn cold(key: impl Into<Name>, cold: Cold<S>) -> Self {
        Self { meta: Meta::new(key.into()), source: Source::Cold(cold) }
    }

    /// Its tier. Default: 0, which is preferred.
    #[must_use]
    pub fn tier(mut self, tier: u32) -> Self {
        self.meta.tier = tier;
        self
    }

    /// Its share next to others of its tier. Default: 1; over 0, at most 1,000.
    #[must_use]
    pub fn weight(mut self, weight: f64) -> Self {
        self.meta.weight = weight;
        self
    }

    /// The zone that it is in. Default: none.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<Name>) -> Self {
        self.meta.zone = Some(zone.into());
        self
    }

    /// Its `host:port`, for probes that connect by themselves. Default: none.
    #[must_use]
    pub fn address(mut self, address: impl Into<Name>) -> Self {
        self.meta.address = Some(address.into());
        self
    }

    /// With layers around its service, also where that is made later.
    pub(super) fn wrapped<T, F>(self, wrap: &Arc<F>) -> Endpoint<T>
    where
        F: Fn(&Meta, S) -> T + Send + Sync + 'static,
        S: 'static,
        T: 'static,
    {
        let source = match self.source {
            Source::Ready(service) => Source::Ready(wrap(&self.meta, service)),
            Source::Make(make) => {
                let (wrap, meta) = (Arc::clone(wrap), self.meta.clone());
                Source::Make(Arc::new(move || {
                    let (made, wrap, meta) = (make(), Arc::clone(&wrap), meta.clone());
                    Box::pin(async move { made.await.map(|service| wrap(&meta, service)) })
                }))
            }
            Source::Cold(cold) => Source::Cold(cold.wrapped(wrap, &self.meta)),
        };
        Endpoint { meta: self.meta, source }
    }

    /// What is known of it.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl<S> fmt::Debug for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("meta", &self.meta).finish_non_exhaustive()
    }
}
