//! Configures load shedding and owns its state.

use std::{sync::Arc, task::Waker, time::Duration};

use tower::Layer;

use super::{
    FromContext, OneKey, Shed, ShedHandle, ShedSettings,
    class::Class,
    core::Core,
    handle::{Cause, ShedEvent},
    line::{Line, Moment},
    overload::{Change, Changes},
};
use crate::{
    ConfigError, Priority, Rejected, RejectedKind, rng,
    settings::Live,
    telemetry::{Emitter, Name, Timers},
    time::{Clock, Instant},
};

/// So many flows are told apart if calls are to be shared fairly: two keys meet in one with a chance of 1 in 256.
const FLOWS: usize = 256;

/// Sheds what cannot be served in good time. All services it makes, and their clones, share its places and its line.
#[derive(Clone, Debug)]
pub struct ShedLayer<P = FromContext, K = OneKey> {
    shared: Arc<Shared>,
    priority: P,
    key: K,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) core: Core,
    pub(super) settings: Live<ShedSettings>,
    pub(super) clock: Clock,
    pub(super) flows: usize,
    pub(super) seed: u64,
    pub(super) events: Emitter<ShedEvent>,
}

impl Shared {
    fn new(name: Name, settings: ShedSettings, flows: usize, seed: Option<u64>) -> Self {
        Self {
            name,
            core: Core::new(&settings, flows),
            settings: Live::new(settings),
            clock: Clock::start(),
            flows,
            seed: seed.unwrap_or_else(|| if flows == 1 { 0 } else { rng::entropy() }),
            events: Emitter::new(),
        }
    }

    pub(super) fn tell(&self, changes: Changes) {
        for change in changes.into_iter().flatten() {
            let event = match change {
                Change::Began => ShedEvent::OverloadBegan,
                Change::Ended(lasted, shed) => ShedEvent::OverloadEnded { lasted, shed },
            };
            self.events.emit(|| event);
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "steadfast", shed = %self.name, ?event, "load shedding");
        }
    }

    pub(super) fn rejected(&self) -> Rejected {
        Rejected::new(RejectedKind::Shed, self.name.clone())
    }

    /// Counts and refuses one that does not wait.
    pub(super) fn refuse_at_once(&self) -> Rejected {
        let class = Class::new(Priority::Normal, false);
        self.core.count(self.clock.now(), class, Cause::Full, &|changes| self.tell(changes));
        self.rejected()
    }

    pub(super) fn pressure(&self, line: &Line<Waker>, at: Moment) -> f64 {
        let settings = self.settings.get();
        if line.overload.last_shed(at.now).is_some_and(|ago| ago < settings.interval) {
            return 1.0;
        }
        if line.waiting() > 0 {
            return 0.5 + line.stood(at) / 2.0;
        }
        let taken = f64::from(self.core.taken()) / f64::from(settings.max_concurrent);
        taken.min(1.0) / 2.0
    }
}

impl Timers for Shared {
    fn next(&self) -> Option<Instant> {
        let interval = self.settings.get().interval;
        let over =
            self.core.read(self.clock.now(), &|changes| self.tell(changes), |line, _| line.overload.over_at(interval));
        over.and_then(|over| self.clock.instant(over))
    }

    fn run_due(&self) {
        self.core.read(self.clock.now(), &|changes| self.tell(changes), |_, _| ());
    }
}

impl Default for ShedLayer {
    /// A layer called `shed` with the default settings.
    fn default() -> Self {
        let builder = Shed::builder(ShedSettings::default().max_concurrent);
        let shared = Arc::new(Shared::new(builder.name, builder.settings, 1, None));
        Self { shared, priority: FromContext, key: OneKey }
    }
}

impl<P, K> ShedLayer<P, K> {
    /// A handle to read, change and use it.
    pub fn handle(&self) -> ShedHandle {
        ShedHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, P: Clone, K: Clone> Layer<S> for ShedLayer<P, K> {
    type Service = Shed<S, P, K>;

    fn layer(&self, inner: S) -> Self::Service {
        Shed::new(inner, Arc::clone(&self.shared), self.priority.clone(), self.key.clone())
    }
}

/// Sets up load shedding; see [`ShedSettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ShedBuilder<P = FromContext, K = OneKey> {
    name: Name,
    settings: ShedSettings,
    flows: usize,
    seed: Option<u64>,
    priority: P,
    key: K,
}

impl Shed<()> {
    /// Starts with how many calls may run at once.
    pub fn builder(max_concurrent: u32) -> ShedBuilder {
        ShedBuilder {
            name: Name::from_static("shed"),
            settings: ShedSettings { max_concurrent, ..ShedSettings::default() },
            flows: 1,
            seed: None,
            priority: FromContext,
            key: OneKey,
        }
    }
}

impl<P, K> ShedBuilder<P, K> {
    /// What it is called in rejections, events and metrics. Default: `shed`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: ShedSettings) -> Self {
        self.settings = settings;
        self
    }

    /// How many calls may wait for a place. Default: 1,000.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.settings.max_waiting = calls;
        self
    }

    /// How long a call may wait while a queue stands. Default: 20 ms.
    pub fn target(mut self, wait: Duration) -> Self {
        self.settings.target = wait;
        self
    }

    /// How long a call may wait otherwise, and how long a queue must last to be one that stands. Default: 100 ms.
    pub fn interval(mut self, wait: Duration) -> Self {
        self.settings.interval = wait;
        self
    }

    /// Whether the newest call is served first while a queue stands. Default: yes.
    pub fn adaptive_lifo(mut self, on: bool) -> Self {
        self.settings.adaptive_lifo = on;
        self
    }

    /// How important a request is. Default: what the [call context](crate::context::priority) says.
    pub fn priority<Q>(self, priority: Q) -> ShedBuilder<Q, K> {
        let Self { name, settings, flows, seed, key, .. } = self;
        ShedBuilder { name, settings, flows, seed, priority, key }
    }

    /// Shares places fairly between keys (tenants, callers), by a hash of what `key` makes of a request: one that sends more
    /// than its share does not shed what others send. Takes some 60 kB. Default: all calls are one's.
    pub fn fair_by<L>(self, key: L) -> ShedBuilder<P, L> {
        let Self { name, settings, seed, priority, .. } = self;
        ShedBuilder { name, settings, flows: FLOWS, seed, priority, key }
    }

    /// Makes the hash of keys repeatable. Default: from the operating system, so that nobody can choose a key that meets
    /// another's.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<ShedLayer<P, K>, ConfigError> {
        self.settings.check(&self.name)?;
        let shared = Arc::new(Shared::new(self.name, self.settings, self.flows, self.seed));
        Ok(ShedLayer { shared, priority: self.priority, key: self.key })
    }
}
