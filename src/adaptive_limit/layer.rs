//! Configures an adaptive limit and owns its state.

use std::{fmt::Display, hash::Hash, sync::Arc, time::Duration};

use tower::Layer;

use super::{AdaptiveLimit, AdaptiveLimitHandle, AdaptiveLimitSettings, Algorithm, measured::Measured, state::State};
use crate::{
    ConfigError, DefaultClassify,
    bulkhead::{Order, UntilResponse},
    keyed::Keyed,
    settings::Check,
    telemetry::Name,
};

/// Limits how many calls are in progress to what the service answers in good time. All services it makes, and their clones,
/// share its limit.
#[derive(Clone, Debug)]
pub struct AdaptiveLimitLayer<C = DefaultClassify, H = UntilResponse> {
    state: Arc<State>,
    classify: C,
    hold: H,
}

impl<C, H> AdaptiveLimitLayer<C, H> {
    /// A handle to read and change this limit.
    pub fn handle(&self) -> AdaptiveLimitHandle {
        AdaptiveLimitHandle { state: Arc::clone(&self.state) }
    }
}

impl<S, C: Clone, H: Clone> Layer<S> for AdaptiveLimitLayer<C, H> {
    type Service = AdaptiveLimit<S, C, H>;

    fn layer(&self, inner: S) -> Self::Service {
        let measured = Measured { inner, state: Arc::clone(&self.state), classify: self.classify.clone() };
        AdaptiveLimit { inner: self.state.bulkhead.clone().holding(self.hold.clone()).layer(measured) }
    }
}

/// One adaptive limit for each key (host, tenant), in bounded memory.
///
/// Holds at most `capacity` limits, but never forgets one that somebody still holds a layer, service or handle of; beyond
/// that, those least used are forgotten.
#[derive(Debug)]
pub struct AdaptiveLimits<K, C = DefaultClassify, H = UntilResponse> {
    builder: AdaptiveLimitBuilder<C, H>,
    limits: Keyed<K, State, AdaptiveLimitSettings>,
}

impl<K: Eq + Hash + Clone + Display, C: Clone, H: Clone> AdaptiveLimits<K, C, H> {
    /// The limit of `key`, called `name/key`; made if there is none.
    pub fn for_key(&self, key: &K) -> AdaptiveLimitLayer<C, H> {
        let state = self.limits.for_key(key, &self.builder.name, State::new);
        AdaptiveLimitLayer { state, classify: self.builder.classify.clone(), hold: self.builder.hold.clone() }
    }

    /// The settings that limits of new keys are made with.
    pub fn settings(&self) -> AdaptiveLimitSettings {
        self.limits.settings()
    }

    /// Edits the settings of all keys, and of those to come, which begin at the initial limit. For a key that there is
    /// it is as by [`AdaptiveLimitHandle::change`].
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed. Where it makes sense for all but for a key that
    /// has been changed alone, that one stays as it is, and the first such error is returned.
    pub fn change(&self, edit: impl Fn(&mut AdaptiveLimitSettings)) -> Result<(), ConfigError> {
        let each = |state| AdaptiveLimitHandle { state }.change(&edit);
        self.limits.change(&edit, |settings| settings.check(&self.builder.name), each)
    }

    /// How many limits are held.
    pub fn len(&self) -> usize {
        self.limits.len()
    }

    /// Whether no limit is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sets up an adaptive limit; see [`AdaptiveLimitSettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct AdaptiveLimitBuilder<C = DefaultClassify, H = UntilResponse> {
    name: Name,
    settings: AdaptiveLimitSettings,
    classify: C,
    hold: H,
}

impl AdaptiveLimit<()> {
    /// Starts with how long who asks waits for an answer: the limit of the timeout above.
    pub fn builder(deadline: Duration) -> AdaptiveLimitBuilder {
        AdaptiveLimitBuilder {
            name: Name::from_static("adaptive_limit"),
            settings: AdaptiveLimitSettings::new(deadline),
            classify: DefaultClassify,
            hold: UntilResponse,
        }
    }
}

impl<C, H> AdaptiveLimitBuilder<C, H> {
    /// What the limit is called in rejections, events and metrics. Default: `adaptive_limit`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: AdaptiveLimitSettings) -> Self {
        self.settings = settings;
        self
    }

    /// How the limit moves. Default: [`Algorithm::Deadline`].
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.settings.algorithm = algorithm;
        self
    }

    /// The share of the deadline after which a call counts as slow. Default: 0.5.
    pub fn slow_after(mut self, share: f64) -> Self {
        self.settings.slow_after = share;
        self
    }

    /// The limit to begin with. Default: 50.
    pub fn initial(mut self, calls: u32) -> Self {
        self.settings.initial = calls;
        self
    }

    /// The lowest limit. Default: 1.
    pub fn min(mut self, calls: u32) -> Self {
        self.settings.min = calls;
        self
    }

    /// The highest limit. Default: 10,000.
    pub fn max(mut self, calls: u32) -> Self {
        self.settings.max = calls;
        self
    }

    /// How many calls more may wait for a place. Default: 1,000.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.settings.max_waiting = calls;
        self
    }

    /// The share of the deadline that a call waits at most. Default: 0.6.
    pub fn max_wait(mut self, share: f64) -> Self {
        self.settings.max_wait = share;
        self
    }

    /// Who of those that wait is next. Default: who came last.
    pub fn order(mut self, order: Order) -> Self {
        self.settings.order = order;
        self
    }

    /// What outcomes mean. Default: [`DefaultClassify`].
    pub fn classify<D>(self, classify: D) -> AdaptiveLimitBuilder<D, H> {
        AdaptiveLimitBuilder { name: self.name, settings: self.settings, classify, hold: self.hold }
    }

    /// When the place of a call is given back. Default: when the response is there. How long a call takes is measured up
    /// to the response in any case.
    pub fn hold<G>(self, hold: G) -> AdaptiveLimitBuilder<C, G> {
        AdaptiveLimitBuilder { name: self.name, settings: self.settings, classify: self.classify, hold }
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<AdaptiveLimitLayer<C, H>, ConfigError> {
        self.settings.check(&self.name)?;
        let state = Arc::new(State::new(self.name, self.settings));
        Ok(AdaptiveLimitLayer { state, classify: self.classify, hold: self.hold })
    }

    /// Checks the settings and makes a set of limits, one for each key, of which at most `capacity` (at least 1) are held
    /// that nobody uses.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build_keyed<K: Eq + Hash + Clone>(self, capacity: usize) -> Result<AdaptiveLimits<K, C, H>, ConfigError> {
        self.settings.check(&self.name)?;
        Check::of(&self.name).that(capacity > 0, "capacity", capacity, "at least 1")?;
        let limits = Keyed::new(capacity, self.settings);
        Ok(AdaptiveLimits { builder: self, limits })
    }
}
