//! Configures a bulkhead and owns its state.

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

use super::{
    Bulkhead, BulkheadHandle, BulkheadSettings, Order, UntilResponse,
    core::Places,
    handle::{BulkheadEvent, Refused},
};
use crate::{
    ConfigError, Rejected, RejectedKind,
    keyed::Keyed,
    settings::{Check, Live},
    telemetry::{Emitter, Name},
    time::Clock,
};

/// Limits how many calls run at once. All services it makes, and their clones, share its places and its queue.
#[derive(Clone, Debug)]
pub struct BulkheadLayer<H = UntilResponse> {
    pub(super) shared: Arc<Shared>,
    hold: H,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    /// What a refusal is called.
    kind: RejectedKind,
    pub(super) places: Places,
    pub(super) settings: Live<BulkheadSettings>,
    pub(super) clock: Clock,
    pub(super) refused: [AtomicU64; Refused::COUNT],
    pub(super) events: Emitter<BulkheadEvent>,
}

impl Shared {
    fn new(name: Name, settings: BulkheadSettings) -> Self {
        Self::refusing(name, settings, RejectedKind::BulkheadFull)
    }

    fn refusing(name: Name, settings: BulkheadSettings, kind: RejectedKind) -> Self {
        Self {
            name,
            kind,
            places: Places::new(&settings),
            settings: Live::new(settings),
            clock: Clock::start(),
            refused: Default::default(),
            events: Emitter::new(),
        }
    }

    /// Counts and tells a refusal.
    pub(super) fn refuse(&self, why: Refused) -> Rejected {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
        self.events.emit(|| BulkheadEvent::Refused(why));
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", bulkhead = %self.name, ?why, "call refused");
        Rejected::new(self.kind, self.name.clone())
    }
}

impl Default for BulkheadLayer {
    /// A bulkhead called `bulkhead` with the default settings.
    fn default() -> Self {
        let builder = Bulkhead::builder(BulkheadSettings::default().max_concurrent);
        Self { shared: Arc::new(Shared::new(builder.name, builder.settings)), hold: UntilResponse }
    }
}

impl BulkheadLayer {
    /// The places of another layer, which refuses under a name of its own. The settings are known to make sense.
    pub(crate) fn refusing(name: Name, settings: BulkheadSettings, kind: RejectedKind) -> Self {
        Self { shared: Arc::new(Shared::refusing(name, settings, kind)), hold: UntilResponse }
    }

    /// The same places, held otherwise.
    pub(crate) fn holding<H>(self, hold: H) -> BulkheadLayer<H> {
        BulkheadLayer { shared: self.shared, hold }
    }
}

impl<H> BulkheadLayer<H> {
    /// A handle to read, change and use this bulkhead.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, H: Clone> Layer<S> for BulkheadLayer<H> {
    type Service = Bulkhead<S, H>;

    fn layer(&self, inner: S) -> Self::Service {
        Bulkhead::new(inner, Arc::clone(&self.shared), self.hold.clone())
    }
}

/// One bulkhead for each key (tenant, host), in bounded memory.
///
/// Holds at most `capacity` bulkheads, but never forgets one that somebody still holds a layer, service, handle or
/// permit of; beyond that, those least used are forgotten.
#[derive(Debug)]
pub struct Bulkheads<K, H = UntilResponse> {
    builder: BulkheadBuilder<H>,
    bulkheads: Keyed<K, Shared, BulkheadSettings>,
}

impl<K: Eq + Hash + Clone + Display, H: Clone> Bulkheads<K, H> {
    /// The bulkhead of `key`, called `name/key`; made if there is none.
    pub fn for_key(&self, key: &K) -> BulkheadLayer<H> {
        let shared = self.bulkheads.for_key(key, &self.builder.name, Shared::new);
        BulkheadLayer { shared, hold: self.builder.hold.clone() }
    }

    /// The settings that bulkheads of new keys are made with.
    pub fn settings(&self) -> BulkheadSettings {
        self.bulkheads.settings()
    }

    /// Changes the settings of all keys in place, of those there and of those to come. `edit` is applied to the
    /// settings of each, so what has been changed for one key alone is kept.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed. Where it makes sense for all but for a key that
    /// has been changed alone, that one stays as it is, and the first such error is returned.
    pub fn change(&self, edit: impl Fn(&mut BulkheadSettings)) -> Result<(), ConfigError> {
        let each = |shared| BulkheadHandle { shared }.change(&edit);
        self.bulkheads.change(&edit, |settings| settings.check(&self.builder.name), each)
    }

    /// How many bulkheads are held.
    pub fn len(&self) -> usize {
        self.bulkheads.len()
    }

    /// Whether no bulkhead is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Sets up a bulkhead; see [`BulkheadSettings`] for what each setting means. Nothing is checked before
/// [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct BulkheadBuilder<H = UntilResponse> {
    name: Name,
    settings: BulkheadSettings,
    hold: H,
}

impl Bulkhead<()> {
    /// Starts with how many calls may run at once.
    pub fn builder(max_concurrent: u32) -> BulkheadBuilder {
        BulkheadBuilder {
            name: Name::from_static("bulkhead"),
            settings: BulkheadSettings { max_concurrent, ..BulkheadSettings::default() },
            hold: UntilResponse,
        }
    }
}

impl<H> BulkheadBuilder<H> {
    /// What the bulkhead is called in rejections, events and metrics. Default: `bulkhead`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// All settings at once.
    pub fn settings(mut self, settings: BulkheadSettings) -> Self {
        self.settings = settings;
        self
    }

    /// How many calls may wait for a place. Default: 0.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.settings.max_waiting = calls;
        self
    }

    /// The longest that a call waits. Default: 1 s.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self
    }

    /// Who of those that wait is next. Default: who came first.
    pub fn order(mut self, order: Order) -> Self {
        self.settings.order = order;
        self
    }

    /// When the place of a call is given back. Default: when the response is there.
    pub fn hold<G>(self, hold: G) -> BulkheadBuilder<G> {
        BulkheadBuilder { name: self.name, settings: self.settings, hold }
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build(self) -> Result<BulkheadLayer<H>, ConfigError> {
        self.settings.check(&self.name)?;
        Ok(BulkheadLayer { shared: Arc::new(Shared::new(self.name, self.settings)), hold: self.hold })
    }

    /// Checks the settings and makes a set of bulkheads, one for each key, of which at most `capacity` (at least 1)
    /// are held that nobody uses.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    pub fn build_keyed<K: Eq + Hash + Clone>(self, capacity: usize) -> Result<Bulkheads<K, H>, ConfigError> {
        self.settings.check(&self.name)?;
        Check::of(&self.name).that(capacity > 0, "capacity", capacity, "at least 1")?;
        let bulkheads = Keyed::new(capacity, self.settings);
        Ok(Bulkheads { builder: self, bulkheads })
    }
}
