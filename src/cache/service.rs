//! The service that answers from what is stored.

use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    task::{Context, Poll},
};

use tower::Service;

use super::{
    CacheHandle, CloneAnswer, CopyAnswer, Given, InCall, Mark, Renew, Unmarked,
    freshness::GoodFor,
    future::{ResponseFuture, Revalidation, revalidation},
    handle::CacheEvent,
    layer::{Count, Parts, Shared},
    store::Entry,
};
use crate::{Classify, DefaultClassify, IntoLayerError, error::ErrorOf, time};

/// A service with a cache in front. Made by a [`CacheLayer`](super::CacheLayer).
///
/// Always ready, so that what is stored can be given whatever becomes of the inner service; a call that needs it drives a
/// clone of it to ready.
pub struct Cache<S, F, K, Res, C = DefaultClassify, P = CloneAnswer, M = Unmarked, R = InCall> {
    inner: S,
    shared: Arc<Shared<K, Res>>,
    parts: Parts<F, C, P, M, R>,
}

impl<S, F, K, Res, C, P, M, R> Cache<S, F, K, Res, C, P, M, R> {
    pub(super) fn new(inner: S, shared: Arc<Shared<K, Res>>, parts: Parts<F, C, P, M, R>) -> Self {
        Self { inner, shared, parts }
    }

    /// A handle to read and change the cache, and to throw answers out.
    pub fn handle(&self) -> CacheHandle<K, Res> {
        CacheHandle { shared: Arc::clone(&self.shared) }
    }
}

impl<S, Req, F, K, C, P, M, R> Service<Req> for Cache<S, F, K, S::Response, C, P, M, R>
where
    S: Service<Req> + Clone,
    S::Response: Send + Sync + 'static,
    S::Error: IntoLayerError,
    F: Fn(&Req) -> Option<K>,
    K: Eq + Hash + Send + Sync + 'static,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
    P: CopyAnswer<S::Response> + Clone,
    M: Mark<S::Response> + Clone,
    R: Renew<Revalidation<S, Req, K, C, P>>,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req, K, C, P, M>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let Self { inner, shared, parts } = self;
        let Some(key) = (parts.key)(&request) else { return ResponseFuture::uncached(inner.clone(), request) };
        if let Some(entry) = shared.store.get(&key) {
            let age = time::now().saturating_duration_since(entry.stored);
            let good_for = GoodFor::at(age, &shared.settings.get());
            if good_for != GoodFor::Call
                && (good_for == GoodFor::All || parts.renew.can_renew())
                && let Some(mut answer) = parts.copy.copy(&entry.answer)
            {
                if good_for == GoodFor::All {
                    shared.counts.add(Count::Hit);
                    parts.mark.mark(&mut answer, Given::Fresh, age);
                } else {
                    if let Some(renewal) = Entry::begin_renewal(&entry) {
                        shared.counts.add(Count::Revalidation);
                        parts.renew.renew(revalidation(inner.clone(), request, key, shared, parts, renewal));
                    }
                    shared.happened(Count::StaleWhileRevalidate, CacheEvent::GivenWhileRevalidating { age });
                    parts.mark.mark(&mut answer, Given::WhileRevalidating, age);
                }
                return ResponseFuture::given(answer);
            }
        }
        shared.counts.add(Count::Miss);
        ResponseFuture::calling(inner.clone(), request, key, shared, parts)
    }
}

impl<S: Clone, F: Clone, K, Res, C: Clone, P: Clone, M: Clone, R: Clone> Clone for Cache<S, F, K, Res, C, P, M, R> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), shared: Arc::clone(&self.shared), parts: self.parts.clone() }
    }
}

impl<S: fmt::Debug, F, K, Res, C, P, M, R> fmt::Debug for Cache<S, F, K, Res, C, P, M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("inner", &self.inner).field("shared", &self.shared).finish_non_exhaustive()
    }
}
