//! Configures a coalescer and owns its state.

use std::{fmt, future::Future, hash::RandomState, marker::PhantomData, sync::Arc};

use tower::Layer;

use super::{CloneOutcome, Coalesce, CoalesceHandle, core::Groups, handle::Stats, seat::Shared};
use crate::telemetry::Name;

/// Makes one call for many equal requests in flight. All services it makes, and their clones, share its calls.
///
/// `F` gives the key `K` of a request, `C` shares outcomes, and `W` is the work of a call. That is
/// [`ReadyFuture<S, Req>`](crate::ready::ReadyFuture) for a layer over `S` and is inferred: one layer is for services of
/// one type.
pub struct CoalesceLayer<F, K, W: Future, C = CloneOutcome> {
    shared: Arc<Shared<K, W>>,
    key: F,
    share: C,
}

impl<F, K, W: Future, C> CoalesceLayer<F, K, W, C> {
    /// A handle to read and switch the coalescer.
    pub fn handle(&self) -> CoalesceHandle {
        CoalesceHandle { stats: Arc::clone(&self.shared.stats) }
    }
}

impl<F: Clone, K, W: Future, C: Clone> Clone for CoalesceLayer<F, K, W, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), key: self.key.clone(), share: self.share.clone() }
    }
}

impl<F, K, W: Future, C> fmt::Debug for CoalesceLayer<F, K, W, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceLayer").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl<S, F: Clone, K, W: Future, C: Clone> Layer<S> for CoalesceLayer<F, K, W, C> {
    type Service = Coalesce<S, F, K, W, C>;

    fn layer(&self, inner: S) -> Self::Service {
        Coalesce::new(inner, Arc::clone(&self.shared), self.key.clone(), self.share.clone())
    }
}

/// Sets up a coalescer. Nothing in it can be wrong, so [`build`](Self::build) has no error.
#[must_use = "a builder does nothing until `build`"]
pub struct CoalesceBuilder<F, K, C = CloneOutcome> {
    name: Name,
    enabled: bool,
    key: F,
    share: C,
    of: PhantomData<fn() -> K>,
}

impl Coalesce<(), (), (), std::future::Pending<()>> {
    /// Starts with what makes two requests equal: those with the same key are one call while it is in flight. What has no
    /// key is not coalesced: give none to what changes something.
    ///
    /// The key is compared under a lock, so that should be quick.
    pub fn builder<Req, K, F: Fn(&Req) -> Option<K>>(key: F) -> CoalesceBuilder<F, K> {
        let name = Name::from_static("coalesce");
        CoalesceBuilder { name, enabled: true, key, share: CloneOutcome, of: PhantomData }
    }
}

impl<F, K, C> CoalesceBuilder<F, K, C> {
    /// What it is called in events and metrics. Default: `coalesce`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// How outcomes are copied for those that wait: `Fn(&Result<Res, Err>) -> Option<Result<Res, Err>>`; see
    /// [`Share`](super::Share). Default: by `Clone`.
    pub fn share<D>(self, share: D) -> CoalesceBuilder<F, K, D> {
        let Self { name, enabled, key, of, .. } = self;
        CoalesceBuilder { name, enabled, key, share, of }
    }

    /// Whether it begins switched on. Default: yes.
    pub fn enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// Makes the layer.
    pub fn build<W: Future>(self) -> CoalesceLayer<F, K, W, C> {
        let stats = Arc::new(Stats::new(self.name, self.enabled));
        let groups = Groups::new(Arc::clone(&stats.gauges));
        let shared = Shared { groups, stats, hasher: RandomState::new() };
        CoalesceLayer { shared: Arc::new(shared), key: self.key, share: self.share }
    }
}

impl<F, K, C> fmt::Debug for CoalesceBuilder<F, K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CoalesceBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
