//! Limiters over one store, one for each key.

use std::{
    fmt::{self, Display},
    hash::Hash,
    sync::Arc,
};

use super::{super::Store, SharedRateLimitHandle, SharedRateLimitLayer, SharedRateLimitSettings, layer::State};
use crate::{ConfigError, keyed::Keyed, telemetry::Name};

/// One limiter for each key (tenant, address), in bounded memory, over one store: the processes share the limit of each
/// key, which the store knows as `name/key`.
///
/// Holds at most `capacity` limiters, but never forgets one that somebody still holds a layer, service or handle of;
/// beyond that, those least used are forgotten. The count is the store's and stays; what a process forgets is how its
/// share of the key stands, and that the store is away: give it room for the keys that are active within a period.
///
/// ```
/// # use std::{future::{Ready, ready}, time::Duration};
/// # use steadfast::rate_limit::{Decision, Question, RateLimit, Store, StoreError};
/// # #[derive(Clone, Debug)]
/// # struct MyStore;
/// # impl Store for MyStore {
/// #     type Take = Ready<Result<Decision, StoreError>>;
/// #     fn take(&self, _: Question) -> Self::Take { ready(Ok(Decision::admitted())) }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tenants = RateLimit::builder(10, Duration::from_secs(1))
///     .name("tenants")
///     .store(MyStore, 4)
///     .build_keyed(1000)?;
/// let limit = tenants.for_key(&"acme").handle();
/// assert_eq!(limit.name().as_str(), "tenants/acme");
/// limit.acquire().await?;
/// # Ok(())
/// # }
/// ```
pub struct SharedRateLimits<K, St> {
    name: Name,
    store: Arc<St>,
    limits: Keyed<K, State<St>, SharedRateLimitSettings>,
}

impl<K: Eq + Hash + Clone, St> SharedRateLimits<K, St> {
    pub(super) fn new(name: Name, store: St, settings: SharedRateLimitSettings, capacity: usize) -> Self {
        Self { name, store: Arc::new(store), limits: Keyed::new(capacity, settings) }
    }
}

impl<K: Eq + Hash + Clone + Display, St: Store> SharedRateLimits<K, St> {
    /// The limiter of `key`, called `name/key`; made if there is none.
    pub fn for_key(&self, key: &K) -> SharedRateLimitLayer<St> {
        let state =
            self.limits.for_key(key, &self.name, |name, settings| State::new(name, Arc::clone(&self.store), settings));
        SharedRateLimitLayer { state }
    }

    /// The settings that limiters of new keys are made with.
    pub fn settings(&self) -> SharedRateLimitSettings {
        self.limits.settings()
    }

    /// Changes the settings of all keys in place, in this process: of those there and of those to come. `edit` is
    /// applied to the settings of each, so what has been changed for one key alone is kept.
    ///
    /// # Errors
    /// The first setting that makes no sense; then nothing has changed. Where it makes sense for all but for a key that
    /// has been changed alone, that one stays as it is, and the first such error is returned.
    pub fn change(&self, edit: impl Fn(&mut SharedRateLimitSettings)) -> Result<(), ConfigError> {
        let each = |state| SharedRateLimitHandle { state }.change(&edit);
        self.limits.change(&edit, |settings| settings.check(&self.name), each)
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

impl<K, St> fmt::Debug for SharedRateLimits<K, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimits").field("name", &self.name).finish_non_exhaustive()
    }
}
