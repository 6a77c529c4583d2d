//! What a request says of the endpoint that it is to be sent to.

use std::fmt;

use super::{Affinity, Need};

/// Says of requests which endpoints they prefer. Implemented by [`Anywhere`] and what the builder's
/// [`need`](super::FailoverBuilder::need) and [`affinity`](super::FailoverBuilder::affinity) make of it.
pub trait Route<Req> {
    /// The role that a request needs. Default: any.
    fn need(&self, request: &Req) -> Need {
        let _ = request;
        Need::Any
    }

    /// Requests of the same affinity go to the same endpoint, if the balancing is
    /// [`Rendezvous`](super::Balance::Rendezvous). Default: none.
    fn affinity(&self, request: &Req) -> Option<Affinity> {
        let _ = request;
        None
    }
}

/// Any request can go to any endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anywhere;

impl<Req> Route<Req> for Anywhere {}

/// See [`FailoverBuilder::affinity`](super::FailoverBuilder::affinity).
#[derive(Clone, Copy)]
pub struct ByAffinity<F, R> {
    pub(super) affinity: F,
    pub(super) route: R,
}

impl<F, R, Req> Route<Req> for ByAffinity<F, R>
where
    F: Fn(&Req) -> Option<Affinity>,
    R: Route<Req>,
{
    fn need(&self, request: &Req) -> Need {
        self.route.need(request)
    }

    fn affinity(&self, request: &Req) -> Option<Affinity> {
        (self.affinity)(request)
    }
}

/// See [`FailoverBuilder::need`](super::FailoverBuilder::need).
#[derive(Clone, Copy)]
pub struct ByNeed<F, R> {
    pub(super) need: F,
    pub(super) route: R,
}

impl<F, R, Req> Route<Req> for ByNeed<F, R>
where
    F: Fn(&Req) -> Need,
    R: Route<Req>,
{
    fn need(&self, request: &Req) -> Need {
        (self.need)(request)
    }

    fn affinity(&self, request: &Req) -> Option<Affinity> {
        self.route.affinity(request)
    }
}

impl<F, R> fmt::Debug for ByNeed<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByNeed").finish_non_exhaustive()
    }
}

impl<F, R> fmt::Debug for ByAffinity<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByAffinity").finish_non_exhaustive()
    }
}
