//! Configures a circuit breaker and owns its state.

use std::{fmt::Display, hash::Hash, sync::Arc, time::Duration};

use tower::Layer;

use super::{
    Abandoned, CircuitBreaker, CircuitBreakerHandle, CircuitBreakerSettings, HalfOpenEnd, SlowCalls, Window, core::Core,
};
use crate::{ConfigError, DefaultClassify, backoff::Backoff, keyed::Keyed, rng, settings::Check, telemetry::Name};

/// Puts a circuit breaker around services. One layer is one breaker: all services it makes, and all their clones,
/// share it.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<C = DefaultClassify> {
    core: Arc<Core>,
    classify: C,
}

impl Default for CircuitBreakerLayer {
    /// A breaker called `circuit_breaker` with the default settings.
    fn default() -> Self {
        let builder = CircuitBreaker::builder();
        Self::over(builder.core(builder.name.clone()).into(), DefaultClassify)
    }
}

impl<C> CircuitBreakerLayer<C> {
    fn over(core: Arc<Core>, classify: C) -> Self {
        Self { core, classify }
    }

    /// A handle to read and move this breaker.
    pub fn handle(&self) -> CircuitBreakerHandle {
        CircuitBreakerHandle { core: Arc::clone(&self.core) }
    }
}

impl<S, C: Clone> Layer<S> for CircuitBreakerLayer<C> {
    type Service = CircuitBreaker<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreaker::new(inner, Arc::clone(&self.core), self.classify.clone())
    }
}

/// One breaker for each key (host, tenant), in bounded memory.
///
/// Holds at most `capacity` breakers, but never forgets one that somebody still holds a layer, service, handle or
/// permit of; beyond that, those least used are forgotten.
#[derive(Debug)]
pub struct CircuitBreakers<K, C = DefaultClassify> {
    builder: CircuitBreakerBuilder<C>,
    breakers: Keyed<K, Core, CircuitBreakerSettings>,
}

impl<K: Eq + Hash + Clone + Display, C: Clone> CircuitBreakers<K, C> {
    /// The breaker of `key`, called `name/key`; made if there is none.
    pub fn for_key(&self, key: &K) -> CircuitBreakerLayer<C> {
        let core = self
            .breakers
            .for_key(key, &self.builder.name, |name, settings| Core::new(name, settings, self.builder.next_seed()));
        CircuitBreakerLayer::over(core, self.builder.classify.clone())
    }

    /// The settings that breakers of new keys are made with.
    pub fn settings(&self) -> CircuitBreakerSettings {
        self.breakers.settings()
    }

    /// Changes the settings of all keys in place, of those there and of those to come. `edit` is applied to the
    /// settings of each, so what has been changed for one key alone is kept.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed. Where it makes sense for all but for a key that
    /// has been changed alone, that one stays as it is, and the first such error is returned.
    pub fn change(&self, edit: impl Fn(&mut CircuitBreakerSettings)) -> Result<(), ConfigError> {
        let each = |core| CircuitBreakerHandle { core }.change(&edit);
        self.breakers.change(&edit, |settings| settings.check(&self.builder.name), each)
    }

    /// How many breakers are held.
    pub fn len(&self) -> usize {
        self.breakers.len()
    }

    /// Whether no breaker is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sets up a circuit breaker; see [`CircuitBreakerSettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct CircuitBreakerBuilder<C = DefaultClassify> {
    name: Name,
    settings: CircuitBreakerSettings,
    seed: Option<u64>,
    classify: C,
}

impl CircuitBreaker<()> {
    /// Starts with the default settings.
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitBreakerBuilder {
            name: Name::from_static("circuit_breaker"),
            settings: CircuitBreakerSettings::default(),
            seed: None,
            classify: DefaultClassify,
        }
    }

    /// Starts with the defaults of Resilience4j 2.4; see [`CircuitBreakerSettings::resilience4j`].
    pub fn resilience4j() -> CircuitBreakerBuilder {
        Self::builder().settings(CircuitBreakerSettings::resilience4j())
    }
}

impl<C> CircuitBreakerBuilder<C> {
    /// What the breaker is called in rejections, events and metrics. Default: `circuit_breaker`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: CircuitBreakerSettings) -> Self {
        self.settings = settings;
        self
    }

    /// What outcomes mean. Default: [`DefaultClassify`].
    pub fn classify<D>(self, classify: D) -> CircuitBreakerBuilder<D> {
        CircuitBreakerBuilder { name: self.name, settings: self.settings, seed: self.seed, classify }
    }

    /// Makes the jitter of the waits repeatable. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The rates are about the last so many calls. See [`Window::Count`].
    pub fn count_window(mut self, calls: u32) -> Self {
        self.settings.window = Window::Count(calls);
        self
    }

    /// The rates are about the last so many whole seconds. Default: 10 s. See [`Window::Time`].
    pub fn time_window(mut self, length: Duration) -> Self {
        self.settings.window = Window::Time(length);
        self
    }

    /// No rate below so many calls. Default: 20.
    pub fn minimum_calls(mut self, calls: u32) -> Self {
        self.settings.minimum_calls = calls;
        self
    }

    /// Opens when so many of the calls in the window have failed. Default: 0.5; over 0, at most 1.
    pub fn failure_rate(mut self, rate: f64) -> Self {
        self.settings.failure_rate = rate;
        self
    }

    /// Opens when so many of the calls in the window took longer than `longer_than`. Default: off.
    pub fn slow_calls(mut self, rate: f64, longer_than: Duration) -> Self {
        self.settings.slow_calls = Some(SlowCalls { rate, longer_than });
        self
    }

    /// Opens after so many failures in a row; `None`: not for that. Default: 10.
    pub fn consecutive_failures(mut self, failures: impl Into<Option<u32>>) -> Self {
        self.settings.consecutive_failures = failures.into();
        self
    }

    /// How long the breaker stays open. Default: 250 ms × 2 up to 5 s, ± 20 %.
    pub fn wait_open(mut self, wait: Backoff) -> Self {
        self.settings.wait_open = wait;
        self
    }

    /// How many trial calls half-open lets through in all. Default: 5.
    pub fn half_open_calls(mut self, calls: u32) -> Self {
        self.settings.half_open_calls = calls;
        self
    }

    /// The longest that half-open lasts, `None` for without limit, and what follows. Default: 10 s,
    /// [`HalfOpenEnd::Judge`].
    pub fn half_open_max_wait(mut self, wait: impl Into<Option<Duration>>, end: HalfOpenEnd) -> Self {
        self.settings.half_open_max_wait = wait.into();
        self.settings.half_open_end = end;
        self
    }

    /// Whether open becomes half-open without waiting for a call. Default: no.
    pub fn automatic_half_open(mut self, automatic: bool) -> Self {
        self.settings.automatic_half_open = automatic;
        self
    }

    /// What a call means that is dropped before it has a result. Default: [`Abandoned::Judged`].
    pub fn abandoned(mut self, abandoned: Abandoned) -> Self {
        self.settings.abandoned = abandoned;
        self
    }

    /// Whether [`Verdict::Overloaded`](crate::Verdict::Overloaded) counts as a failure. Default: yes.
    pub fn overloaded_is_failure(mut self, is_failure: bool) -> Self {
        self.settings.overloaded_is_failure = is_failure;
        self
    }

    /// After closing from half-open, admit a share that grows to all calls in this time. Default: off.
    pub fn ramp(mut self, length: impl Into<Option<Duration>>) -> Self {
        self.settings.ramp = length.into();
        self
    }

    /// Checks the settings and makes the breaker.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<CircuitBreakerLayer<C>, ConfigError> {
        self.settings.check(&self.name)?;
        Ok(CircuitBreakerLayer::over(self.core(self.name.clone()).into(), self.classify))
    }

    /// Checks the settings and makes a set of breakers, one for each key, of which at most `capacity` (at least 1)
    /// are held that nobody uses.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build_keyed<K: Eq + Hash + Clone>(self, capacity: usize) -> Result<CircuitBreakers<K, C>, ConfigError> {
        self.settings.check(&self.name)?;
        Check::of(&self.name).that(capacity > 0, "capacity", capacity, "at least 1")?;
        let breakers = Keyed::new(capacity, self.settings.clone());
        Ok(CircuitBreakers { builder: self, breakers })
    }

    fn core(&self, name: Name) -> Core {
        Core::new(name, self.settings.clone(), self.next_seed())
    }

    fn next_seed(&self) -> u64 {
        self.seed.unwrap_or_else(rng::entropy)
    }
}
