//! Configures a cache and owns its state.

use std::{
    fmt,
    hash::Hash,
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tower::Layer;

use super::{
    Cache, CacheHandle, CacheSettings, CacheSnapshot,
    handle::CacheEvent,
    parts::{CloneAnswer, InBackground, InCall, Unmarked},
    store::Store,
};
use crate::{
    ConfigError, DefaultClassify,
    settings::{Check, Live},
    telemetry::{Emitter, Name},
};

/// Stores answers and gives them again. All services it makes, and their clones, share its answers.
///
/// `F` gives the key `K` of a request. `Res`, the type of the answers, is inferred from the service.
pub struct CacheLayer<F, K, Res, C = DefaultClassify, P = CloneAnswer, M = Unmarked, R = InCall> {
    shared: Arc<Shared<K, Res>>,
    parts: Parts<F, C, P, M, R>,
}

/// What a user has said.
#[derive(Clone, Debug)]
pub(super) struct Parts<F, C, P, M, R> {
    pub(super) key: F,
    pub(super) classify: C,
    pub(super) copy: P,
    pub(super) mark: M,
    pub(super) renew: R,
}

pub(super) struct Shared<K, Res> {
    pub(super) name: Name,
    pub(super) settings: Live<CacheSettings>,
    /// Whether stale answers can be renewed in the background.
    revalidates: bool,
    pub(super) store: Store<K, Res>,
    pub(super) counts: Counts,
    pub(super) events: Emitter<CacheEvent>,
}

/// What happens to calls.
#[derive(Debug, Default)]
pub(super) struct Counts([AtomicU64; 7]);

#[derive(Clone, Copy, Debug)]
pub(super) enum Count {
    Hit,
    Miss,
    StaleWhileRevalidate,
    StaleIfError,
    Stored,
    Revalidation,
    RevalidationFailed,
}

impl Counts {
    pub(super) fn add(&self, what: Count) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> CacheSnapshot {
        let count = |what: Count| self.0[what as usize].load(Ordering::Relaxed);
        CacheSnapshot {
            entries: 0,
            hits: count(Count::Hit),
            misses: count(Count::Miss),
            stale_while_revalidate: count(Count::StaleWhileRevalidate),
            stale_if_error: count(Count::StaleIfError),
            stored: count(Count::Stored),
            revalidations: count(Count::Revalidation),
            revalidations_failed: count(Count::RevalidationFailed),
        }
    }
}

impl<K, Res> Shared<K, Res> {
    pub(super) fn check(&self, settings: &CacheSettings) -> Result<(), ConfigError> {
        check(settings, &self.name, self.revalidates)
    }

    /// Counts and tells what is worth an event.
    pub(super) fn happened(&self, what: Count, event: CacheEvent) {
        self.counts.add(what);
        self.events.emit(|| event);
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "steadfast", cache = %self.name, ?event, "cache");
    }
}

fn check(settings: &CacheSettings, name: &Name, revalidates: bool) -> Result<(), ConfigError> {
    settings.check(name)?;
    let wait = settings.stale_while_revalidate;
    let allowed = "0 for a cache that was built without it";
    Check::of(name).that(revalidates || wait.is_zero(), "stale_while_revalidate", wait, allowed)
}

impl<F, K, Res, C, P, M, R> CacheLayer<F, K, Res, C, P, M, R> {
    /// A handle to read and change the cache, and to throw answers out.
    pub fn handle(&self) -> CacheHandle<K, Res> {
        CacheHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<F: Clone, K, Res, C: Clone, P: Clone, M: Clone, R: Clone> Clone for CacheLayer<F, K, Res, C, P, M, R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), parts: self.parts.clone() }
    }
}

impl<S, F: Clone, K, Res, C: Clone, P: Clone, M: Clone, R: Clone> Layer<S> for CacheLayer<F, K, Res, C, P, M, R> {
    type Service = Cache<S, F, K, Res, C, P, M, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Cache::new(inner, Arc::clone(&self.shared), self.parts.clone())
    }
}

/// Sets up a cache; see [`CacheSettings`] for what each setting means. Nothing is checked before [`build`](Self::build).
#[must_use = "a builder does nothing until `build`"]
pub struct CacheBuilder<F, K, C = DefaultClassify, P = CloneAnswer, M = Unmarked, R = InCall> {
    name: Name,
    settings: CacheSettings,
    max_entries: u64,
    revalidates: bool,
    parts: Parts<F, C, P, M, R>,
    of: PhantomData<fn() -> K>,
}

impl Cache<(), (), (), ()> {
    /// Starts with for how long answers are fresh, and with what makes two requests equal: those with the same key have the
    /// same answer. What has no key always goes to the service, and its answer is not stored.
    pub fn builder<Req, K, F: Fn(&Req) -> Option<K>>(ttl: Duration, key: F) -> CacheBuilder<F, K> {
        let parts = Parts { key, classify: DefaultClassify, copy: CloneAnswer, mark: Unmarked, renew: InCall };
        CacheBuilder {
            name: Name::from_static("cache"),
            settings: CacheSettings::new(ttl),
            max_entries: 10_000,
            revalidates: false,
            parts,
            of: PhantomData,
        }
    }
}

impl<F, K, C, P, M, R> CacheBuilder<F, K, C, P, M, R> {
    /// What the cache is called in events and metrics. Default: `cache`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// How many answers are stored at most; beyond that, those least used are forgotten. Default: 10,000.
    pub fn max_entries(mut self, entries: u64) -> Self {
        self.max_entries = entries;
        self
    }

    /// For how long after the `ttl` an answer is given where the call fails or is refused. Default: not at all.
    pub fn stale_if_error(mut self, time: Duration) -> Self {
        self.settings.stale_if_error = time;
        self
    }

    /// For how long after the `ttl` an answer is still given at once, while it is renewed in the background: in one task for
    /// each key that is asked for. Default: not at all.
    pub fn stale_while_revalidate(mut self, time: Duration) -> CacheBuilder<F, K, C, P, M, InBackground> {
        self.settings.stale_while_revalidate = time;
        self.revalidates = true;
        self.map(|Parts { key, classify, copy, mark, .. }| Parts { key, classify, copy, mark, renew: InBackground })
    }

    /// The longest that a renewal in the background takes. Default: 10 s.
    pub fn revalidate_timeout(mut self, limit: Duration) -> Self {
        self.settings.revalidate_timeout = limit;
        self
    }

    /// What outcomes mean: successes are stored. Default: [`DefaultClassify`].
    pub fn classify<D>(self, classify: D) -> CacheBuilder<F, K, D, P, M, R> {
        self.map(|Parts { key, copy, mark, renew, .. }| Parts { key, classify, copy, mark, renew })
    }

    /// How answers are copied: `Fn(&Res) -> Option<Res>`; of what it gives no copy is not stored. Default: by `Clone`.
    pub fn copy_with<Q>(self, copy: Q) -> CacheBuilder<F, K, C, Q, M, R> {
        self.map(|Parts { key, classify, mark, renew, .. }| Parts { key, classify, copy, mark, renew })
    }

    /// Marks answers that were stored: `Fn(&mut Res, Given, Duration)`, with their age. Default: as they are.
    pub fn mark<N>(self, mark: N) -> CacheBuilder<F, K, C, P, N, R> {
        self.map(|Parts { key, classify, copy, renew, .. }| Parts { key, classify, copy, mark, renew })
    }

    /// Checks the settings and makes the layer.
    ///
    /// # Errors
    /// The first setting that makes no sense, with what is allowed.
    #[expect(clippy::type_complexity, reason = "all of it is inferred")]
    pub fn build<Res>(self) -> Result<CacheLayer<F, K, Res, C, P, M, R>, ConfigError>
    where
        K: Eq + Hash + Send + Sync + 'static,
        Res: Send + Sync + 'static,
    {
        check(&self.settings, &self.name, self.revalidates)?;
        Check::of(&self.name).that(self.max_entries > 0, "max_entries", self.max_entries, "at least 1")?;
        let shared = Shared {
            name: self.name,
            settings: Live::new(self.settings),
            revalidates: self.revalidates,
            store: Store::new(self.max_entries),
            counts: Counts::default(),
            events: Emitter::new(),
        };
        Ok(CacheLayer { shared: Arc::new(shared), parts: self.parts })
    }

    fn map<D, Q, N, T>(
        self,
        map: impl FnOnce(Parts<F, C, P, M, R>) -> Parts<F, D, Q, N, T>,
    ) -> CacheBuilder<F, K, D, Q, N, T> {
        let Self { name, settings, max_entries, revalidates, parts, of } = self;
        CacheBuilder { name, settings, max_entries, revalidates, parts: map(parts), of }
    }
}

macro_rules! debug_of_names {
    ($($name:ident<$($param:ident),*>: $field:ident;)*) => {$(
        impl<$($param),*> fmt::Debug for $name<$($param),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field(stringify!($field), &self.$field).finish_non_exhaustive()
            }
        }
    )*};
}

debug_of_names! {
    Shared<K, Res>: name;
    CacheLayer<F, K, Res, C, P, M, R>: shared;
    CacheBuilder<F, K, C, P, M, R>: settings;
}
