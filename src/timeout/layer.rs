//! Configures a timeout and owns its state.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower::Layer;

use super::service::{SameForAll, Timeout};
use crate::{
    ConfigError, Rejected, RejectedKind,
    settings::Check,
    telemetry::{Emitter, Events, Name},
};

/// Puts a time limit on calls. All services it makes, and their clones, share the limit and the counters.
#[derive(Clone, Debug)]
pub struct TimeoutLayer<P = SameForAll> {
    shared: Arc<Shared>,
    per_request: P,
}

#[derive(Debug)]
pub(super) struct Shared {
    name: Name,
    /// In nanoseconds; all ones is without limit.
    limit: AtomicU64,
    timed_out: AtomicU64,
    events: Emitter<TimeoutEvent>,
}

/// An event of a timeout.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeoutEvent {
    /// A call was dropped because its time was over.
    TimedOut,
    /// The limit was changed while running.
    LimitChanged(Duration),
}

impl Shared {
    pub(super) fn limit(&self) -> Duration {
        match self.limit.load(Ordering::Relaxed) {
            u64::MAX => Duration::MAX,
            nanos => Duration::from_nanos(nanos),
        }
    }

    fn set_limit(&self, limit: Duration) {
        self.limit.store(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts and tells that a call has run out of time.
    pub(super) fn timed_out(&self) -> Rejected {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
        self.events.emit(|| TimeoutEvent::TimedOut);
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", timeout = %self.name, "call timed out");
        Rejected::new(RejectedKind::TimedOut, self.name.clone())
    }
}

impl<P> TimeoutLayer<P> {
    /// A handle to read and change this timeout.
    pub fn handle(&self) -> TimeoutHandle {
        TimeoutHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, P: Clone> Layer<S> for TimeoutLayer<P> {
    type Service = Timeout<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Timeout::new(inner, Arc::clone(&self.shared), self.per_request.clone())
    }
}

/// Sets up a timeout. Nothing is checked before [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct TimeoutBuilder<P = SameForAll> {
    name: Name,
    limit: Duration,
    per_request: P,
}

impl Timeout<()> {
    /// Starts with the limit of a call: over 0; `Duration::MAX` is without limit.
    pub fn builder(limit: Duration) -> TimeoutBuilder {
        TimeoutBuilder { name: Name::from_static("timeout"), limit, per_request: SameForAll }
    }
}

impl<P> TimeoutBuilder<P> {
    /// What the timeout is called in rejections, events and metrics. Default: `timeout`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// A limit by request, such as `|request: &Request| request.timeout`; where it gives `None` the layer's holds.
    /// A limit of zero times out at the first wait. Default: the same for all.
    pub fn per_request<Q>(self, limit: Q) -> TimeoutBuilder<Q> {
        TimeoutBuilder { name: self.name, limit: self.limit, per_request: limit }
    }

    /// Checks the limit and makes the layer.
    ///
    /// # Errors
    /// A limit of zero.
    pub fn build(self) -> Result<TimeoutLayer<P>, ConfigError> {
        Check::of(&self.name).positive("limit", self.limit)?;
        let shared =
            Shared { name: self.name, limit: AtomicU64::new(0), timed_out: AtomicU64::new(0), events: Emitter::new() };
        shared.set_limit(self.limit);
        Ok(TimeoutLayer { shared: Arc::new(shared), per_request: self.per_request })
    }
}

/// A handle of one timeout. Cheap to clone; keeps its state alive.
#[derive(Clone, Debug)]
pub struct TimeoutHandle {
    shared: Arc<Shared>,
}

impl TimeoutHandle {
    /// The name of the timeout.
    pub fn name(&self) -> &Name {
        &self.shared.name
    }

    /// The limit of a call.
    pub fn limit(&self) -> Duration {
        self.shared.limit()
    }

    /// How many calls have timed out.
    pub fn timed_out(&self) -> u64 {
        self.shared.timed_out.load(Ordering::Relaxed)
    }

    /// Changes the limit for the calls that begin from now on.
    ///
    /// # Errors
    /// A limit of zero; then nothing has changed.
    pub fn change(&self, limit: Duration) -> Result<(), ConfigError> {
        Check::of(&self.shared.name).positive("limit", limit)?;
        self.shared.set_limit(limit);
        self.shared.events.emit(|| TimeoutEvent::LimitChanged(limit));
        Ok(())
    }

    /// Events from now on.
    pub fn subscribe(&self) -> Events<TimeoutEvent> {
        self.shared.events.subscribe()
    }
}
