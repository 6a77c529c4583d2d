//! Configures chaos and owns its state.

use std::{
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower::Layer;

use super::{
    Chaos, ChaosHandle, ChaosSettings,
    fate::{End, Fate},
    handle::{ChaosEvent, Injected},
};
use crate::{
    ConfigError,
    rng::{self, SharedRng},
    settings::{Check, Live},
    telemetry::{Emitter, Name},
};

/// Lets calls fail, wait, hang or panic, by chance. All services it makes, and their clones, share its settings and its
/// chance.
#[derive(Clone, Debug)]
pub struct ChaosLayer<F = NoFailure, M = AllCalls> {
    shared: Arc<Shared>,
    fail: F,
    marked: M,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) settings: Live<ChaosSettings>,
    /// Whether there is a function that makes failures.
    can_fail: bool,
    rng: SharedRng,
    pub(super) injected: [AtomicU64; Injected::COUNT],
    pub(super) events: Emitter<ChaosEvent>,
}

impl Shared {
    /// What becomes of the next call, counted and told.
    pub(super) fn fate(&self) -> Fate {
        let fate = Fate::of(&self.settings.get(), || self.rng.units());
        if fate.delay.is_some() {
            self.count(Injected::Delay);
        }
        match fate.end {
            End::Pass => {}
            End::Fail => self.count(Injected::Failure),
            End::Hang => self.count(Injected::Hang),
            End::Panic => self.count(Injected::Panic),
        }
        fate
    }

    fn count(&self, what: Injected) {
        self.injected[what as usize].fetch_add(1, Ordering::Relaxed);
        self.events.emit(|| ChaosEvent::Injected(what));
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", chaos = %self.name, ?what, "injected");
    }

    pub(super) fn check(&self, settings: &ChaosSettings) -> Result<(), ConfigError> {
        check(settings, &self.name, self.can_fail)
    }
}

fn check(settings: &ChaosSettings, name: &Name, can_fail: bool) -> Result<(), ConfigError> {
    settings.check(name)?;
    let makes = can_fail || settings.failures == 0.0;
    Check::of(name).that(makes, "failures", settings.failures, "0 without a function that makes them (`failures`)")
}

/// Makes the outcome of a call that is to fail. Implemented by `Fn(&Req) -> Result<Res, Err>`: an error, or a response that
/// is none (a 503).
pub trait FailWith<Req, Res, Err> {
    /// The outcome of `request`, which does not reach the service.
    fn fail(&self, request: &Req) -> Option<Result<Res, Err>>;
}

/// No call fails.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFailure;

impl<Req, Res, Err> FailWith<Req, Res, Err> for NoFailure {
    fn fail(&self, _: &Req) -> Option<Result<Res, Err>> {
        None
    }
}

impl<F, Req, Res, Err> FailWith<Req, Res, Err> for F
where
    F: Fn(&Req) -> Result<Res, Err>,
{
    fn fail(&self, request: &Req) -> Option<Result<Res, Err>> {
        Some(self(request))
    }
}

/// Which requests may be hit. Implemented by `Fn(&Req) -> bool`.
pub trait Marked<Req> {
    /// Whether `request` may be hit.
    fn is_marked(&self, request: &Req) -> bool;
}

/// Every request may be hit.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllCalls;

impl<Req> Marked<Req> for AllCalls {
    fn is_marked(&self, _: &Req) -> bool {
        true
    }
}

impl<F, Req> Marked<Req> for F
where
    F: Fn(&Req) -> bool,
{
    fn is_marked(&self, request: &Req) -> bool {
        self(request)
    }
}

impl<F, M> ChaosLayer<F, M> {
    /// A handle to read, change and switch it.
    pub fn handle(&self) -> ChaosHandle {
        ChaosHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, F: Clone, M: Clone> Layer<S> for ChaosLayer<F, M> {
    type Service = Chaos<S, F, M>;

    fn layer(&self, inner: S) -> Self::Service {
        Chaos::new(inner, Arc::clone(&self.shared), self.fail.clone(), self.marked.clone())
    }
}

/// Sets up chaos; see [`ChaosSettings`] for what each setting means. Nothing is checked before [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ChaosBuilder<F = NoFailure, M = AllCalls> {
    name: Name,
    settings: ChaosSettings,
    can_fail: bool,
    seed: Option<u64>,
    fail: F,
    marked: M,
}

impl Chaos<()> {
    /// Starts with nothing that would happen.
    pub fn builder() -> ChaosBuilder {
        ChaosBuilder {
            name: Name::from_static("chaos"),
            settings: ChaosSettings::default(),
            can_fail: false,
            seed: None,
            fail: NoFailure,
            marked: AllCalls,
        }
    }
}

impl<F, M> ChaosBuilder<F, M> {
    /// What it is called in panics, events and metrics. Default: `chaos`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: ChaosSettings) -> Self {
        self.settings = settings;
        self
    }

    /// This share of calls has the outcome that `fail` makes, without reaching the service. Default: none.
    pub fn failures<G>(self, share: f64, fail: G) -> ChaosBuilder<G, M> {
        let settings = ChaosSettings { failures: share, ..self.settings };
        ChaosBuilder { name: self.name, settings, can_fail: true, seed: self.seed, fail, marked: self.marked }
    }

    /// This share of calls is delayed by as long as is drawn from `delay`. Default: none.
    pub fn delays(mut self, share: f64, delay: RangeInclusive<Duration>) -> Self {
        self.settings.delays = share;
        (self.settings.shortest_delay, self.settings.longest_delay) = delay.into_inner();
        self
    }

    /// This share of calls is never answered. Default: none.
    pub fn hangs(mut self, share: f64) -> Self {
        self.settings.hangs = share;
        self
    }

    /// This share of calls panics. Default: none.
    pub fn panics(mut self, share: f64) -> Self {
        self.settings.panics = share;
        self
    }

    /// Only this share of calls may be hit. Default: 1, all.
    pub fn traffic(mut self, share: f64) -> Self {
        self.settings.traffic = share;
        self
    }

    /// Only requests for which `marked` is true may be hit, such as those with a header that a rehearsal sets.
    pub fn only<N>(self, marked: N) -> ChaosBuilder<F, N> {
        let Self { name, settings, can_fail, seed, fail, .. } = self;
        ChaosBuilder { name, settings, can_fail, seed, fail, marked }
    }

    /// Whether it begins switched on. Default: yes.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.settings.enabled = enabled;
        self
    }

    /// Makes the chance repeatable. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<ChaosLayer<F, M>, ConfigError> {
        check(&self.settings, &self.name, self.can_fail)?;
        let shared = Shared {
            name: self.name,
            settings: Live::new(self.settings),
            can_fail: self.can_fail,
            rng: SharedRng::seeded(self.seed.unwrap_or_else(rng::entropy)),
            injected: Default::default(),
            events: Emitter::new(),
        };
        Ok(ChaosLayer { shared: Arc::new(shared), fail: self.fail, marked: self.marked })
    }
}
