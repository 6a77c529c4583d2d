//! Configures a retry and owns its state.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower::Layer;

use super::{Backup, Budget, CloneRequest, Finish, NoBackup, Retry, RetrySettings};
use crate::{
    ConfigError, DefaultClassify,
    backoff::Backoff,
    hedge::{Core, Hedge, HedgeHandle, Why},
    rng::{self, SharedRng},
    settings::Live,
    telemetry::{Emitter, Events, Name},
    time,
};

/// Tries failed calls again. All services it makes, and their clones, share its budget, settings and counters.
#[derive(Clone, Debug)]
pub struct RetryLayer<C = DefaultClassify, P = CloneRequest, H = NoBackup> {
    shared: Arc<Shared>,
    classify: C,
    replay: P,
    backup: PhantomData<H>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) settings: Live<RetrySettings>,
    pub(super) budget: Option<Arc<Budget>>,
    /// Of a retry whose calls may have backups.
    pub(super) hedge: Option<Arc<Core>>,
    pub(super) rng: SharedRng,
    retries: AtomicU64,
    gave_up: AtomicU64,
    events: Emitter<RetryEvent>,
}

/// An event of a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryEvent {
    /// A call failed and will be tried again.
    Retrying {
        /// The number of the attempt to come; the second attempt is 2.
        attempt: u32,
        /// The wait before it.
        wait: Duration,
    },
    /// A call was tried again and succeeded.
    Recovered {
        /// How many attempts it took.
        attempts: u32,
    },
    /// A call failed and is not tried again; its last outcome is returned as it is.
    GaveUp {
        /// How many attempts were made.
        attempts: u32,
        /// Why no more.
        why: Finish,
    },
    /// The first attempt of a call takes long: a second one is sent.
    Hedging {
        /// The number of the attempt to come.
        attempt: u32,
    },
    /// An attempt has been pending for longer than the soft timeout: another one is sent.
    SoftTimeout {
        /// The number of the attempt to come.
        attempt: u32,
    },
    /// An attempt that was sent while another one was pending succeeded first.
    BackupWon {
        /// The number of the attempt.
        attempt: u32,
    },
    /// The service is overloaded, or a layer below has refused: there are no backups until that is over.
    BackupsHeld,
    /// The settings were changed while running.
    SettingsChanged,
}

impl Shared {
    pub(super) fn retrying(&self, attempt: u32, wait: Duration) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.events.emit(|| RetryEvent::Retrying { attempt, wait });
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", retry = %self.name, attempt, ?wait, "trying again");
    }

    /// A call is over; it was tried again after a failure, or not.
    pub(super) fn finished(&self, attempts: u32, again: bool, why: Finish) {
        match why {
            Finish::Success if again => self.events.emit(|| RetryEvent::Recovered { attempts }),
            Finish::Success => {}
            Finish::NotRetryable if attempts == 1 => {}
            _ => {
                self.gave_up.fetch_add(1, Ordering::Relaxed);
                self.events.emit(|| RetryEvent::GaveUp { attempts, why });
                #[cfg(feature = "tracing")]
                tracing::debug!(target: "steadfast", retry = %self.name, attempts, ?why, "gave up");
            }
        }
    }
}

/// What is told of backups.
impl Shared {
    pub(super) fn backup(&self, why: Why, attempt: u32) {
        self.events.emit(|| match why {
            Why::Hedge => RetryEvent::Hedging { attempt },
            Why::SoftTimeout => RetryEvent::SoftTimeout { attempt },
        });
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", retry = %self.name, attempt, ?why, "a second attempt while one is pending");
    }

    pub(super) fn backup_won(&self, why: Why, attempt: u32) {
        if let Some(core) = &self.hedge {
            core.won(why);
        }
        self.events.emit(|| RetryEvent::BackupWon { attempt });
    }

    pub(super) fn overloaded(&self) {
        if self.hedge.as_ref().is_some_and(|core| core.overloaded(time::now())) {
            self.events.emit(|| RetryEvent::BackupsHeld);
            #[cfg(feature = "tracing")]
            tracing::debug!(target: "steadfast", retry = %self.name, "overloaded: no backups for now");
        }
    }
}

impl Default for RetryLayer {
    /// A retry called `retry` with the default settings and a budget of its own.
    fn default() -> Self {
        Retry::builder().make()
    }
}

impl<C, P, H> RetryLayer<C, P, H> {
    /// A handle to read and change this retry.
    pub fn handle(&self) -> RetryHandle {
        RetryHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, C: Clone, P: Clone, H> Layer<S> for RetryLayer<C, P, H> {
    type Service = Retry<S, C, P, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, Arc::clone(&self.shared), self.classify.clone(), self.replay.clone())
    }
}

/// Sets up a retry; see [`RetrySettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RetryBuilder<C = DefaultClassify, P = CloneRequest, H = NoBackup> {
    name: Name,
    settings: RetrySettings,
    budget: Option<Arc<Budget>>,
    hedge: Option<Hedge>,
    seed: Option<u64>,
    classify: C,
    replay: P,
    backup: PhantomData<H>,
}

impl Retry<()> {
    /// Starts with the default settings and a budget of its own.
    pub fn builder() -> RetryBuilder {
        RetryBuilder {
            name: Name::from_static("retry"),
            settings: RetrySettings::default(),
            budget: Some(Arc::new(Budget::ratio())),
            hedge: None,
            seed: None,
            classify: DefaultClassify,
            replay: CloneRequest,
            backup: PhantomData,
        }
    }
}

impl<C, P, H> RetryBuilder<C, P, H> {
    /// What the retry is called in events and metrics. Default: `retry`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: RetrySettings) -> Self {
        self.settings = settings;
        self
    }

    /// How many attempts a call has in all, the first included. Default: 3.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts;
        self
    }

    /// How long to wait between attempts. Default: 25 ms × 2 up to 2 s, full jitter.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// The longest that a wait asked for by the service, or by a layer below that refuses, is obeyed. A refusal that
    /// asks for more is returned at once; so without a deadline above, this is how long a call may be held for an open
    /// breaker: set it low where the caller would rather have its answer. Default: 10 s.
    pub fn max_retry_after(mut self, longest: Duration) -> Self {
        self.settings.max_retry_after = longest;
        self
    }

    /// The budget: give the same `Arc` to several layers to have them share one. Of layers above each other that share
    /// one, only the outermost deposits. `None`: without a bound, which is
    /// how retry storms begin. Default: [`Budget::ratio`], its own.
    pub fn budget(mut self, budget: impl Into<Option<Arc<Budget>>>) -> Self {
        self.budget = budget.into();
        self
    }

    /// Makes the jitter repeatable. Default: from the operating system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What outcomes mean. Default: [`DefaultClassify`].
    pub fn classify<D>(self, classify: D) -> RetryBuilder<D, P, H> {
        let Self { name, settings, budget, hedge, seed, replay, backup, .. } = self;
        RetryBuilder { name, settings, budget, hedge, seed, classify, replay, backup }
    }

    /// What may be sent twice, and how it is copied. Default: everything, by `Clone`. See [`Replay`](super::Replay).
    pub fn replay<Q>(self, replay: Q) -> RetryBuilder<C, Q, H> {
        let Self { name, settings, budget, hedge, seed, classify, backup, .. } = self;
        RetryBuilder { name, settings, budget, hedge, seed, classify, replay, backup }
    }

    /// Sends a second attempt while the first one is pending, if that takes long. Default: none. See
    /// [`hedge`](crate::hedge).
    pub fn hedge(self, mut hedge: Hedge) -> RetryBuilder<C, P, Backup> {
        let soft_timeout = self.hedge.and_then(|before| before.settings.soft_timeout);
        hedge.settings.soft_timeout = hedge.settings.soft_timeout.or(soft_timeout);
        let Self { name, settings, budget, seed, classify, replay, .. } = self;
        RetryBuilder { name, settings, budget, hedge: Some(hedge), seed, classify, replay, backup: PhantomData }
    }

    /// An attempt that has been pending for so long is not cancelled, but another one is sent, out of the retry's budget
    /// and number of attempts, and the first to succeed is kept. Default: none. See [`hedge`](crate::hedge).
    pub fn soft_timeout(self, limit: Duration) -> RetryBuilder<C, P, Backup> {
        let hedge = self.hedge.unwrap_or(Hedge::never());
        self.hedge(hedge.soft_timeout(limit))
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<RetryLayer<C, P, H>, ConfigError> {
        self.settings.check(&self.name)?;
        if let Some(hedge) = self.hedge {
            hedge.settings.check(&self.name)?;
        }
        Ok(self.make())
    }

    fn make(self) -> RetryLayer<C, P, H> {
        let shared = Shared {
            name: self.name,
            settings: Live::new(self.settings),
            budget: self.budget,
            hedge: self.hedge.map(|hedge| Arc::new(Core::new(hedge.settings))),
            rng: SharedRng::seeded(self.seed.unwrap_or_else(rng::entropy)),
            retries: AtomicU64::new(0),
            gave_up: AtomicU64::new(0),
            events: Emitter::new(),
        };
        RetryLayer { shared: Arc::new(shared), classify: self.classify, replay: self.replay, backup: PhantomData }
    }
}

/// A handle of one retry. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct RetryHandle {
    pub(super) shared: Arc<Shared>,
}

impl RetryHandle {
    /// The name of the retry.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// How many retries have been decided on.
    pub fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }

    /// How many calls were given up: all but those that succeeded and those whose first failure made no sense to retry.
    pub fn gave_up(&self) -> u64 {
        self.shared.gave_up.load(Ordering::Relaxed)
    }

    /// The budget.
    pub fn budget(&self) -> Option<&Budget> {
        self.shared.budget.as_deref()
    }

    /// The hedge, if there is one, or a soft timeout.
    pub fn hedge(&self) -> Option<HedgeHandle> {
        self.shared.hedge.as_ref().map(|core| HedgeHandle::new(self.clone(), Arc::clone(core)))
    }

    pub(crate) fn changed(&self) {
        self.shared.events.emit(|| RetryEvent::SettingsChanged);
    }

    /// The settings in force.
    pub fn settings(&self) -> RetrySettings {
        self.shared.settings.get().as_ref().clone()
    }

    /// Changes settings in place, for calls in progress too (but `max_attempts`, which a call begins with). Of two concurrent changes the later one wins.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed.
    pub fn change(&self, edit: impl FnOnce(&mut RetrySettings)) -> Result<(), ConfigError> {
        let mut settings = self.settings();
        edit(&mut settings);
        settings.check(&self.shared.name)?;
        self.shared.settings.set(settings);
        self.changed();
        Ok(())
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<RetryEvent> {
        self.shared.events.subscribe()
    }
}
