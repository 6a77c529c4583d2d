//! The service that finds an endpoint for each call.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use tower::Service;

use super::{Affinity, Anywhere, FailoverHandle, Route, call::Call, future::ResponseFuture, shared::Shared};
use crate::{
    Classify, DefaultClassify, IntoLayerError,
    error::ErrorOf,
    retry::{CloneRequest, Replay},
};

/// One service over several endpoints. Made by a [`FailoverBuilder`](super::FailoverBuilder); all clones share what is
/// known of the endpoints.
///
/// Always ready: which endpoint a call goes to depends on the request, so it is chosen, and driven to ready, within the
/// call.
pub struct Failover<S, C = DefaultClassify, P = CloneRequest, R = Anywhere> {
    shared: Arc<Shared<S>>,
    classify: C,
    replay: P,
    route: R,
    /// Chance for the next call.
    chance: u64,
}

impl<S, C, P, R> Failover<S, C, P, R> {
    pub(super) fn new(shared: Arc<Shared<S>>, classify: C, replay: P, route: R) -> Self {
        let chance = shared.seeds.fetch_add(1, Relaxed);
        Self { shared, classify, replay, route, chance }
    }

    /// A handle to read and move it.
    pub fn handle(&self) -> FailoverHandle<S> {
        FailoverHandle { shared: Arc::clone(&self.shared) }
    }

    fn draw(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea, Flood, 2014).
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl<S, C: Clone, P: Clone, R: Clone> Clone for Failover<S, C, P, R> {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared), self.classify.clone(), self.replay.clone(), self.route.clone())
    }
}

impl<S, C, P, R, Req> Service<Req> for Failover<S, C, P, R>
where
    S: Service<Req> + Clone,
    S::Error: IntoLayerError,
    C: Classify<S::Response, ErrorOf<S::Error>> + Clone,
    P: Replay<Req> + Clone,
    R: Route<Req>,
{
    type Response = S::Response;
    type Error = ErrorOf<S::Error>;
    type Future = ResponseFuture<S, Req, C, P>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let affinity = self.route.affinity(&request).map(Affinity::bits);
        let need = self.route.need(&request);
        let random = self.draw();
        let may_repeat = self.replay.may_repeat(&request);
        let call = Call::new(request, may_repeat, need, affinity, random);
        ResponseFuture::new(Arc::clone(&self.shared), call, self.classify.clone(), self.replay.clone())
    }
}

impl<S, C, P, R> fmt::Debug for Failover<S, C, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failover").field("name", &self.shared.name).finish_non_exhaustive()
    }
}
