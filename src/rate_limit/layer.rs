//! Configures a rate limiter and owns its state.

use std::{
    fmt::Display,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower::Layer;

use super::{Mode, RateLimit, RateLimitHandle, RateLimitSettings, core::Core, handle::RateLimitEvent};
use crate::{
    ConfigError, Rejected, RejectedKind,
    keyed::Keyed,
    settings::Check,
    telemetry::{Emitter, Name},
    time::Clock,
};

/// Limits how many calls are let through in a period. All services it makes, and their clones, share its count and its
/// queue.
#[derive(Clone, Debug)]
pub struct RateLimitLayer {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    pub(super) clock: Clock,
    pub(super) core: Core,
    pub(super) refused: AtomicU64,
    pub(super) events: Emitter<RateLimitEvent>,
}

impl Shared {
    pub(super) fn new(name: Name, settings: RateLimitSettings) -> Self {
        Self {
            name,
            clock: Clock::start(),
            core: Core::new(settings),
            refused: AtomicU64::new(0),
            events: Emitter::new(),
        }
    }

    /// Counts and tells a refusal; a call has a chance at `at`.
    pub(super) fn refuse(&self, now: Duration, at: Duration) -> Rejected {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let retry_after = at.saturating_sub(now);
        self.events.emit(|| RateLimitEvent::Refused { retry_after });
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", rate_limit = %self.name, ?retry_after, "call refused");
        Rejected::new(RejectedKind::RateLimited, self.name.clone()).with_retry_after(retry_after)
    }
}

impl RateLimitLayer {
    /// A handle to read, change and use this limiter.
    pub fn handle(&self) -> RateLimitHandle {
        RateLimitHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = RateLimit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RateLimit::new(inner, Arc::clone(&self.shared))
    }
}

/// One rate limiter for each key (tenant, address), in bounded memory.
///
/// Holds at most `capacity` limiters, but never forgets one that somebody still holds a layer, service or handle of;
/// beyond that, those least used are forgotten, and their counts with them: give it room for the keys that are active
/// within a period.
#[derive(Debug)]
pub struct RateLimits<K> {
    builder: RateLimitBuilder,
    limits: Keyed<K, Shared, RateLimitSettings>,
}

impl<K: Eq + Hash + Clone + Display> RateLimits<K> {
    /// The limiter of `key`, called `name/key`; made if there is none.
    pub fn for_key(&self, key: &K) -> RateLimitLayer {
        let shared = self.limits.for_key(key, &self.builder.name, Shared::new);
        RateLimitLayer { shared }
    }

    /// The settings that limiters of new keys are made with.
    pub fn settings(&self) -> RateLimitSettings {
        self.limits.settings()
    }

    /// Changes the settings of all keys in place, of those there and of those to come. `edit` is applied to the
    /// settings of each, so what has been changed for one key alone is kept.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed. Where it makes sense for all but for a key that
    /// has been changed alone, that one stays as it is, and the first such error is returned.
    pub fn change(&self, edit: impl Fn(&mut RateLimitSettings)) -> Result<(), ConfigError> {
        let each = |shared| RateLimitHandle { shared }.change(&edit);
        self.limits.change(&edit, |settings| settings.check(&self.builder.name), each)
    }

    /// How many limiters are held.
    pub fn len(&self) -> usize {
        self.limits.len()
    }

    /// Whether no limiter is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sets up a rate limiter; see [`RateLimitSettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct RateLimitBuilder {
    pub(super) name: Name,
    pub(super) settings: RateLimitSettings,
}

impl RateLimit<()> {
    /// Starts with how many calls are let through in a period.
    pub fn builder(limit: u32, period: Duration) -> RateLimitBuilder {
        RateLimitBuilder { name: Name::from_static("rate_limit"), settings: RateLimitSettings::new(limit, period) }
    }
}

impl RateLimitBuilder {
    /// What the limiter is called in rejections, events and metrics. Default: `rate_limit`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: RateLimitSettings) -> Self {
        self.settings = settings;
        self
    }

    /// How many calls may come at once after a pause. Default: a tenth of the limit, at least 1.
    pub fn burst(mut self, calls: u32) -> Self {
        self.settings.burst = calls;
        self
    }

    /// The longest that a call waits for its turn. Default: zero.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self
    }

    /// How many calls may wait. Default: 1,024.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.settings.max_waiting = calls;
        self
    }

    /// How calls are spread. Default: [`Mode::Smooth`].
    pub fn mode(mut self, mode: Mode) -> Self {
        self.settings.mode = mode;
        self
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<RateLimitLayer, ConfigError> {
        self.settings.check(&self.name)?;
        Ok(RateLimitLayer { shared: Arc::new(Shared::new(self.name, self.settings)) })
    }

    /// Checks the settings and makes a set of limiters, one for each key, of which at most `capacity` (at least 1) are
    /// held that nobody uses.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build_keyed<K: Eq + Hash + Clone>(self, capacity: usize) -> Result<RateLimits<K>, ConfigError> {
        self.settings.check(&self.name)?;
        Check::of(&self.name).that(capacity > 0, "capacity", capacity, "at least 1")?;
        let limits = Keyed::new(capacity, self.settings);
        Ok(RateLimits { builder: self, limits })
    }
}
