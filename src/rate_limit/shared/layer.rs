//! Owns the state of a limiter over a store.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tower::Layer;

use super::{
    super::{RateLimitEvent, Store, StoreError, StoreFailure, layer::Shared},
    SharedRateLimit, SharedRateLimitHandle, SharedRateLimitSettings,
    presence::{Asked, Heard, Presence},
    waiting::Waiting,
};
use crate::{Rejected, settings::Live, stall, sync::Mutex, telemetry::Name, time::Instant};

/// Limits how many calls all processes together let through in a period. All services it makes, and their clones, share
/// its state; those of other processes share its count, through the store.
pub struct SharedRateLimitLayer<St> {
    pub(super) state: Arc<State<St>>,
}

pub(super) struct State<St> {
    /// Shared by all limiters of a set.
    pub(super) store: Arc<St>,
    /// The share of this process; its clock, name, events and refusals are those of the whole.
    pub(super) local: Arc<Shared>,
    pub(super) settings: Live<SharedRateLimitSettings>,
    presence: Mutex<Presence>,
    pub(super) waiting: Waiting,
    /// Calls that kept to the local share.
    pub(super) local_calls: AtomicU64,
}

impl<St: Store> SharedRateLimitLayer<St> {
    /// A handle to read, change and use this limiter.
    pub fn handle(&self) -> SharedRateLimitHandle<St> {
        SharedRateLimitHandle { state: Arc::clone(&self.state) }
    }
}

impl<St> State<St> {
    pub(super) fn new(name: Name, store: Arc<St>, settings: SharedRateLimitSettings) -> Self {
        Self {
            store,
            local: Arc::new(Shared::new(name, settings.share())),
            settings: Live::new(settings),
            presence: Mutex::new(Presence::default()),
            waiting: Waiting::default(),
            local_calls: AtomicU64::new(0),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.local.clock.now()
    }

    /// Whether to ask the store now.
    pub(super) fn ask(&self, now: Instant) -> Option<Asked> {
        let interval = self.settings.get().probe_interval;
        self.presence.lock().ask(self.local.clock.at(now), interval)
    }

    /// The store has admitted a call for now.
    pub(super) fn admitted(&self, asked: Asked) {
        if self.answered(asked) {
            self.charge(1);
        }
    }

    /// The store has reserved a turn for a call; [`used`](Self::used) is to follow.
    pub(super) fn reserved(&self, asked: Asked) {
        let heard = self.presence.lock().reserved(asked, self.now());
        if self.heard(heard) {
            self.charge(1);
        }
    }

    /// A turn that the store had reserved is waited for no longer.
    pub(super) fn used(&self) {
        self.presence.lock().used();
    }

    /// The store has answered. Whether it is away all the same.
    pub(super) fn answered(&self, asked: Asked) -> bool {
        let heard = self.presence.lock().answered(asked, self.now());
        self.heard(heard)
    }

    fn heard(&self, heard: Heard) -> bool {
        if let Heard::Back { away_for } = heard {
            self.local.events.emit(|| RateLimitEvent::StoreBack { away_for });
            #[cfg(feature = "tracing")]
            tracing::info!(target: "steadfast", rate_limit = %self.local.name, ?away_for, "the store is back");
        }
        heard == Heard::StillAway
    }

    /// The store has answered with an error.
    pub(super) fn failed(&self, asked: Asked, error: &StoreError) {
        let interval = self.settings.get().probe_interval;
        let news = self.presence.lock().failed(asked, self.now(), interval);
        if let Some(waited_for) = news {
            self.went_away(error, waited_for);
        }
    }

    /// The answer of the store is waited for no longer.
    pub(super) fn unanswered(&self, asked: Asked) {
        // Nobody has looked whether there is an answer.
        if stall::excuses() {
            return;
        }
        let SharedRateLimitSettings { store_timeout, probe_interval, .. } = **self.settings.get();
        let news = self.presence.lock().unanswered(asked, self.now(), store_timeout, probe_interval);
        if let Some(waited_for) = news {
            self.went_away(&StoreError::new(StoreFailure::TimedOut, "no decision within `store_timeout`"), waited_for);
        }
    }

    fn went_away(&self, error: &StoreError, waited_for: u64) {
        self.charge(waited_for);
        self.local.events.emit(|| RateLimitEvent::StoreAway { why: error.why() });
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "steadfast", rate_limit = %self.local.name, %error, "the store is away: local share");
    }

    /// Takes turns from the local share that the store has given out, for no longer than these are waited for.
    fn charge(&self, turns: u64) {
        let longest = self.settings.get().rate.max_wait;
        self.local.core.charge(self.now(), turns, longest);
    }

    /// Refuses a call whose deadline is over. It is not for the rate, so there is nothing to wait for.
    pub(super) fn refuse_late(&self) -> Rejected {
        let now = self.now();
        self.local.refuse(now, now)
    }

    /// Whether the store is away, how often it went, and came back.
    pub(super) fn presence(&self) -> (bool, (u64, u64)) {
        let presence = self.presence.lock();
        (presence.is_away(), presence.changes())
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
