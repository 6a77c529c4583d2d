//! Owns the state of a limiter over a store.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tower::Layer;

use super::{
    super::{RateLimitEvent, Store, StoreError, layer::Shared},
    SharedRateLimit, SharedRateLimitHandle, SharedRateLimitSettings,
    presence::{Asked, Presence},
};
use crate::{settings::Live, sync::Mutex, telemetry::Name};

/// Limits how many calls all processes together let through in a period. All services it makes, and their clones, share
/// its state; those of other processes share its count, through the store.
pub struct SharedRateLimitLayer<St> {
    state: Arc<State<St>>,
}

pub(super) struct State<St> {
    pub(super) store: St,
    /// The share of this process; its clock, name, events and refusals are those of the whole.
    pub(super) local: Arc<Shared>,
    pub(super) settings: Live<SharedRateLimitSettings>,
    presence: Mutex<Presence>,
    /// Calls that wait, or ask for a turn that they would wait for.
    pub(super) waiting: AtomicUsize,
    /// Calls that kept to the local share.
    pub(super) local_calls: AtomicU64,
}

impl<St: Store> SharedRateLimitLayer<St> {
    pub(super) fn new(name: Name, store: St, settings: SharedRateLimitSettings) -> Self {
        let local = Arc::new(Shared::new(name, settings.share()));
        Self {
            state: Arc::new(State {
                store,
                local,
                settings: Live::new(settings),
                presence: Mutex::new(Presence::default()),
                waiting: AtomicUsize::new(0),
                local_calls: AtomicU64::new(0),
            }),
        }
    }

    /// A handle to read, change and use this limiter.
    pub fn handle(&self) -> SharedRateLimitHandle<St> {
        SharedRateLimitHandle { state: Arc::clone(&self.state) }
    }
}

impl<St> State<St> {
    pub(super) fn now(&self) -> Duration {
        self.local.clock.now()
    }

    /// Whether to ask the store now.
    pub(super) fn ask(&self) -> Option<Asked> {
        let interval = self.settings.get().probe_interval;
        self.presence.lock().ask(self.now(), interval)
    }

    pub(super) fn answered(&self, asked: Asked) {
        let away_for = self.presence.lock().answered(asked, self.now());
        if let Some(away_for) = away_for {
            self.local.events.emit(|| RateLimitEvent::StoreBack { away_for });
            #[cfg(feature = "tracing")]
            tracing::info!(target: "steadfast", rate_limit = %self.local.name, ?away_for, "the store is back");
        }
    }

    pub(super) fn failed(&self, asked: Asked, error: &StoreError) {
        let interval = self.settings.get().probe_interval;
        let news = self.presence.lock().failed(asked, self.now(), interval);
        if news {
            self.local.events.emit(|| RateLimitEvent::StoreAway { why: error.why() });
            #[cfg(feature = "tracing")]
            tracing::warn!(target: "steadfast", rate_limit = %self.local.name, %error, "the store is away: local share");
        }
    }

    /// Whether the store is away, how often it went, and came back.
    pub(super) fn presence(&self) -> (bool, (u64, u64)) {
        let presence = self.presence.lock();
        (presence.is_away(), presence.changes())
    }

    /// Takes a place among those that may wait, unless all are taken.
    pub(super) fn enter(&self) -> bool {
        let most = self.settings.get().rate.max_waiting as usize;
        let enter = |waiting| (waiting < most).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).is_ok()
    }

    pub(super) fn leave(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S, St: Store> Layer<S> for SharedRateLimitLayer<St> {
    type Service = SharedRateLimit<S, St>;

    fn layer(&self, inner: S) -> Self::Service {
        SharedRateLimit::new(inner, Arc::clone(&self.state))
    }
}

impl<St> Clone for SharedRateLimitLayer<St> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state) }
    }
}

impl<St> fmt::Debug for SharedRateLimitLayer<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimitLayer").field("name", &self.state.local.name).finish_non_exhaustive()
    }
}
