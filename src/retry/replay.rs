//! What may be sent twice.

use std::fmt;

/// Copies requests for later attempts, and says which of them may be sent twice.
///
/// Implemented by [`CloneRequest`] and by `Fn(&Req) -> Option<Req>`: what the function gives a copy of may be sent
/// twice. To also retry what certainly was *not* sent (a refusal by a layer below, a failed connect), copy such
/// requests and mark them with [`only_unsent_unless`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot copy requests of type `{Req}`",
    label = "this layer keeps a copy of each request, to send it again or elsewhere",
    note = "derive `Clone` for `{Req}`, or say how to copy one: `.replay(|request: &{Req}| -> Option<{Req}> {{ .. }})`",
    note = "for a fallback that is `.copy_with(..)`; where it gives `None` the request is sent once"
)]
pub trait Replay<Req> {
    /// A copy for a later attempt; `None`: there will be none.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// Whether a request that the service may have seen may be sent again. Asked before the first attempt.
    fn may_repeat(&self, request: &Req) -> bool {
        let _ = request;
        true
    }
}

/// Copies requests by `Clone`; any may be sent twice.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneRequest;

impl<Req: Clone> Replay<Req> for CloneRequest {
    fn copy(&self, request: &Req) -> Option<Req> {
        Some(request.clone())
    }
}

impl<F, Req> Replay<Req> for F
where
    F: Fn(&Req) -> Option<Req>,
{
    fn copy(&self, request: &Req) -> Option<Req> {
        self(request)
    }
}

/// Requests that `repeatable` accepts may be sent twice; the others only if they certainly were not sent.
///
/// ```
/// use steadfast::retry::{CloneRequest, Retry, only_unsent_unless};
///
/// #[derive(Clone)]
/// struct Request { method: &'static str }
///
/// let retry = Retry::builder().replay(only_unsent_unless(CloneRequest, |request: &Request| request.method == "GET")).build();
/// ```
pub fn only_unsent_unless<P, F>(copy: P, repeatable: F) -> OnlyUnsentUnless<P, F> {
    OnlyUnsentUnless { copy, repeatable }
}

/// See [`only_unsent_unless`].
#[derive(Clone, Copy)]
pub struct OnlyUnsentUnless<P, F> {
    copy: P,
    repeatable: F,
}

impl<P, F> fmt::Debug for OnlyUnsentUnless<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnlyUnsentUnless").finish_non_exhaustive()
    }
}

impl<P, F, Req> Replay<Req> for OnlyUnsentUnless<P, F>
where
    P: Replay<Req>,
    F: Fn(&Req) -> bool,
{
    fn copy(&self, request: &Req) -> Option<Req> {
        self.copy.copy(request)
    }

    fn may_repeat(&self, request: &Req) -> bool {
        (self.repeatable)(request)
    }
}
