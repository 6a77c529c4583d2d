//! When a call's place is given back.

use super::Permit;

/// Decides when the permit of a call ends, given its response.
///
/// The default, [`UntilResponse`], ends it when the response is there. A response that goes on (a body that streams) can
/// carry the permit along and end it when it is dropped:
///
/// ```
/// use steadfast::bulkhead::{Hold, Permit};
///
/// struct Streaming { body: Vec<u8>, _permit: Permit }
///
/// #[derive(Clone)]
/// struct UntilBodyEnds;
///
/// impl Hold<Vec<u8>> for UntilBodyEnds {
///     type Response = Streaming;
///
///     fn hold(&self, body: Vec<u8>, permit: Permit) -> Streaming {
///         Streaming { body, _permit: permit }
///     }
/// }
/// ```
pub trait Hold<Res> {
    /// The response of the service with the bulkhead.
    type Response;

    /// Ends the permit, or puts it into the response.
    fn hold(&self, response: Res, permit: Permit) -> Self::Response;
}

/// Ends the permit when the response is there.
#[derive(Clone, Copy, Debug, Default)]
pub struct UntilResponse;

impl<Res> Hold<Res> for UntilResponse {
    type Response = Res;

    fn hold(&self, response: Res, permit: Permit) -> Res {
        drop(permit);
        response
    }
}
