//! Errors: the innermost service chooses the type, every layer keeps it.
//!
//! A layer that ends a call by itself makes a [`Rejected`]. Which error type the whole stack answers with is
//! decided once, by the innermost service, through [`IntoLayerError`]; see the table on that trait.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use crate::{Classify, Verdict, failover::Snapshot, stall, telemetry::Name};

pub use tower::BoxError;

/// A call that a layer ended before the service below had answered.
///
/// Flat and cheap to clone (no allocation), and the same for every layer of the crate.
///
/// ```
/// use steadfast::{Rejected, RejectedKind};
/// use std::time::Duration;
///
/// let rejected = Rejected::new(RejectedKind::CircuitOpen, "inventory")
///     .with_retry_after(Duration::from_millis(1200));
/// assert_eq!(rejected.to_string(), "circuit breaker `inventory` is open; try again in 1.2s");
/// assert!(!rejected.reached_service());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Rejected {
    kind: RejectedKind,
    name: Name,
    retry_after: Option<Duration>,
    reached: bool,
    endpoints: Endpoints,
}

/// How the endpoints were, where that is why.
#[derive(Clone, Default)]
struct Endpoints(Option<Arc<Snapshot>>);

impl PartialEq for Endpoints {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(Arc::as_ptr) == other.0.as_ref().map(Arc::as_ptr)
    }
}

impl Eq for Endpoints {}

/// Why a layer ended a call.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectedKind {
    /// A timeout or deadline passed. The service below may have seen the call.
    TimedOut,
    /// A circuit breaker is open, or is letting traffic back in step by step after having been open.
    CircuitOpen,
    /// A circuit breaker is half-open and all its trial calls are taken.
    CircuitHalfOpen,
    /// A circuit breaker was forced open by hand.
    CircuitForcedOpen,
    /// A bulkhead has no place, and none comes in time.
    BulkheadFull,
    /// A rate limiter has let through all it may, and the next turn does not come in time.
    RateLimited,
    /// As many calls are in progress as an adaptive limit allows now, and none ends in time.
    LimitReached,
    /// A server sheds load: the call has waited too long, or others are more important.
    Shed,
    /// A failover client has no endpoint to call, and none comes back in time. [`Rejected::endpoints`] says why.
    NoEndpoint,
    /// No answer came from the endpoint that a failover client had sent the call to, and the call must not be sent twice:
    /// it may have been carried out or not.
    InDoubt,
    /// Two endpoints say that they are the primary, and a failover client has been told not to write then.
    SplitBrain,
}

impl RejectedKind {
    /// Whether the service below may have seen a call that ended so.
    const fn may_have_reached(self) -> bool {
        matches!(self, Self::TimedOut | Self::InDoubt)
    }

    /// Whether a circuit breaker refused, in whichever state.
    pub const fn is_circuit_breaker(self) -> bool {
        matches!(self, Self::CircuitOpen | Self::CircuitHalfOpen | Self::CircuitForcedOpen)
    }
}

impl Rejected {
    /// A rejection by the component called `name`. For layers of your own; the crate's layers make theirs.
    pub fn new(kind: RejectedKind, name: impl Into<Name>) -> Self {
        let (reached, endpoints) = (kind.may_have_reached(), Endpoints::default());
        Self { kind, name: name.into(), retry_after: None, reached, endpoints }
    }

    pub(crate) fn with_endpoints(mut self, endpoints: Arc<Snapshot>) -> Self {
        self.endpoints = Endpoints(Some(endpoints));
        self
    }

    /// How the endpoints of a failover client were when it had none to call: of each, why it is out.
    pub fn endpoints(&self) -> Option<&Snapshot> {
        self.endpoints.0.as_deref()
    }

    /// Says when a new call may be let through.
    #[must_use]
    pub fn with_retry_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.retry_after = wait.into();
        self
    }

    /// Marks the call as one that the service below may have seen; see [`reached_service`](Self::reached_service).
    #[must_use]
    pub fn reached(mut self) -> Self {
        self.reached = true;
        self
    }

    /// Why the call was ended.
    pub const fn kind(&self) -> RejectedKind {
        self.kind
    }

    /// The name of the component that ended the call.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// How long to wait before a new call has a chance, if the component knows.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether the service below may have seen the call.
    ///
    /// `false` means that it certainly was not sent, so it is safe to send again or elsewhere, whatever it does.
    /// Retry and failover build on this bit. It holds within one stack only: a handler that has written
    /// something and then passes on the refusal of a client it uses *has* been reached, which is why a
    /// [`BoundaryLayer`](crate::boundary::BoundaryLayer) belongs around such a handler.
    pub const fn reached_service(&self) -> bool {
        self.reached
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.kind {
            RejectedKind::TimedOut => write!(f, "timeout `{name}`: no answer in time")?,
            RejectedKind::CircuitOpen => write!(f, "circuit breaker `{name}` is open")?,
            RejectedKind::CircuitHalfOpen => {
                write!(f, "circuit breaker `{name}` is half-open and its trial calls are taken")?;
            }
            RejectedKind::CircuitForcedOpen => write!(f, "circuit breaker `{name}` was forced open by hand")?,
            RejectedKind::BulkheadFull => write!(f, "bulkhead `{name}` is full")?,
            RejectedKind::RateLimited => write!(f, "rate limit `{name}` is reached")?,
            RejectedKind::LimitReached => write!(f, "adaptive limit `{name}` is reached")?,
            RejectedKind::Shed => write!(f, "`{name}` is overloaded and sheds load")?,
            RejectedKind::NoEndpoint => {
                write!(f, "failover `{name}`: no endpoint to call")?;
                if let Some(endpoints) = self.endpoints() {
                    endpoints.write_reasons(f)?;
                }
            }
            RejectedKind::InDoubt => write!(f, "failover `{name}`: no answer came; it may have been done or not")?,
            RejectedKind::SplitBrain => write!(f, "failover `{name}`: two endpoints say that they are the primary")?,
        }
        match self.retry_after {
            // Whole milliseconds, rounded up: the rest is jitter.
            Some(wait) if !wait.is_zero() => write!(f, "; try again in {:?}", round_up(wait)),
            _ => Ok(()),
        }
    }
}

fn round_up(wait: Duration) -> Duration {
    let over = wait.subsec_nanos() % 1_000_000;
    if over == 0 { wait } else { wait.saturating_add(Duration::from_nanos(u64::from(1_000_000 - over))) }
}

impl fmt::Debug for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("retry_after", &self.retry_after)
            .field("reached_service", &self.reached)
            .finish()
    }
}

impl std::error::Error for Rejected {}

/// The error of a stack over a service whose own error type is foreign, such as `reqwest::Error`.
///
/// Made by one `.map_err(steadfast::Error::Inner)` below the innermost layer. It never nests: every layer above
/// keeps it as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// A layer ended the call.
    #[error(transparent)]
    Rejected(Rejected),
    /// The service answered with its own error.
    #[error(transparent)]
    Inner(E),
}

impl<E> From<Rejected> for Error<E> {
    fn from(rejected: Rejected) -> Self {
        Self::Rejected(rejected)
    }
}

impl<E> Error<E> {
    /// The rejection, if a layer ended the call.
    pub const fn rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Inner(_) => None,
        }
    }

    /// One type from two: the service's own error, which can carry a rejection too.
    pub fn flatten(self) -> E
    where
        E: From<Rejected>,
    {
        match self {
            Self::Rejected(rejected) => rejected.into(),
            Self::Inner(error) => error,
        }
    }

    /// Takes apart what a foreign layer has boxed.
    ///
    /// tower's `buffer`, `timeout` and `load_shed` turn the error of the service below into a [`BoxError`]. Over a
    /// stack with this error type that is a `Box<Error<E>>`, in which layers further up would not find a rejection.
    /// Say `.map_err(Error::<E>::unbox)` directly above them; or begin with `.map_err(BoxError::from)` at the bottom,
    /// and there is nothing to take apart.
    pub fn unbox(error: BoxError) -> BoxError
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        match error.downcast::<Self>().map(|error| *error) {
            Ok(Self::Rejected(rejected)) => rejected.into(),
            Ok(Self::Inner(error)) => error.into(),
            Err(other) => other,
        }
    }

    /// The service's own error, if it answered with one.
    pub const fn inner(&self) -> Option<&E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Rejected(_) => None,
        }
    }
}

/// An error type that can carry a layer's [`Rejected`].
///
/// Implement it for an `enum` of your own to have a whole stack answer with that:
///
/// ```
/// use steadfast::{LayerError, Rejected};
///
/// #[derive(Debug)]
/// enum ShopError {
///     Rejected(Rejected),
///     OutOfStock,
/// }
///
/// impl From<Rejected> for ShopError {
///     fn from(rejected: Rejected) -> Self {
///         Self::Rejected(rejected)
///     }
/// }
///
/// impl LayerError for ShopError {
///     fn as_rejected(&self) -> Option<&Rejected> {
///         match self {
///             Self::Rejected(rejected) => Some(rejected),
///             Self::OutOfStock => None,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry the rejection of a layer",
    label = "this error type is foreign to steadfast",
    note = "wrap it once, below the innermost layer: `.map_err(steadfast::Error::Inner)`",
    note = "or erase it there: `.map_err(steadfast::BoxError::from)`"
)]
pub trait LayerError: From<Rejected> {
    /// The rejection, if this error *is* one. Looks at the error itself, never at its sources: a rejection
    /// further down belongs to another stack.
    fn as_rejected(&self) -> Option<&Rejected>;
}

impl LayerError for Rejected {
    fn as_rejected(&self) -> Option<&Rejected> {
        Some(self)
    }
}

impl<E> LayerError for Error<E> {
    fn as_rejected(&self) -> Option<&Rejected> {
        self.rejected()
    }
}

impl LayerError for BoxError {
    fn as_rejected(&self) -> Option<&Rejected> {
        self.downcast_ref()
    }
}

/// To [`LayerError`] what `IntoIterator` is to `Iterator`: says which error a stack over a service has.
///
/// | innermost error | error of the whole stack |
/// |---|---|
/// | [`Infallible`] (an axum handler) | [`Rejected`] |
/// | your own `enum` with `From<Rejected>` and [`LayerError`] | that `enum` |
/// | [`BoxError`], [`Rejected`], [`Error<E>`] | itself |
/// | a foreign error (`reqwest::Error`, `tonic::Status`) | `Error<E>` by one `.map_err(Error::Inner)`, or `BoxError` by one `.map_err(BoxError::from)` |
///
/// Where layers of others that box errors (tower's `buffer`, `timeout`, `load_shed`) stand between layers of this
/// crate, choose `BoxError::from` at the bottom, or put `.map_err(Error::<E>::unbox)` above them: in a
/// `Box<Error<E>>` no rejection is found, and a refusal would be taken for an answer of the service.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry the rejection of a layer",
    label = "this error type is foreign to steadfast",
    note = "wrap it once, below the innermost layer: `.map_err(steadfast::Error::Inner)`",
    note = "or erase it there: `.map_err(steadfast::BoxError::from)`"
)]
pub trait IntoLayerError {
    /// The error of the stack.
    type Error: LayerError;

    /// Converts; for all but [`Infallible`] this is the identity.
    fn into_layer_error(self) -> Self::Error;
}

impl<E: LayerError> IntoLayerError for E {
    type Error = E;

    fn into_layer_error(self) -> E {
        self
    }
}

impl IntoLayerError for Infallible {
    type Error = Rejected;

    fn into_layer_error(self) -> Rejected {
        match self {}
    }
}

/// The rejection in an outcome, if it certainly never reached the service: a refusal by a layer below.
///
/// Such a refusal is no evidence about the service, and what was refused may be sent again.
pub(crate) fn refusal<Res, E: LayerError>(outcome: &Result<Res, E>) -> Option<&Rejected> {
    match outcome {
        Ok(_) => None,
        Err(error) => error.as_rejected().filter(|rejected| !rejected.reached_service()),
    }
}

/// What an outcome says about the service: nothing, if a layer below refused, or if it failed while we were stalled.
pub(crate) fn judge<Res, E: LayerError>(classify: &impl Classify<Res, E>, outcome: &Result<Res, E>) -> Verdict {
    match refusal(outcome) {
        Some(_) => Verdict::Neutral,
        None => stall::excuse(classify.classify(outcome.as_ref())),
    }
}

/// The error type of a layer over `S`.
pub(crate) type ErrorOf<E> = <E as IntoLayerError>::Error;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_answer_may_have_reached_the_service() {
        use RejectedKind::*;
        let refused =
            [CircuitOpen, CircuitHalfOpen, CircuitForcedOpen, BulkheadFull, RateLimited, NoEndpoint, SplitBrain];
        for kind in [TimedOut, InDoubt].into_iter().chain(refused) {
            assert_eq!(Rejected::new(kind, "x").reached_service(), !refused.contains(&kind), "{kind:?}");
        }
    }

    #[test]
    fn a_rejection_is_found_in_a_box_but_not_among_its_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("write failed")]
        struct Wrapped(#[source] Rejected);

        let rejected = Rejected::new(RejectedKind::CircuitOpen, "db");
        let direct: BoxError = Box::new(rejected.clone());
        assert_eq!(direct.as_rejected(), Some(&rejected));
        let nested: BoxError = Box::new(Wrapped(rejected));
        assert_eq!(nested.as_rejected(), None);
    }
}
