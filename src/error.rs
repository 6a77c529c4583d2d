//! Errors: the innermost service chooses the type, every layer keeps it.
//!
//! A layer that ends a call by itself makes a [`Rejected`]. Which error type the whole stack answers with is
//! decided once, by the innermost service, through [`IntoLayerError`]; see the table on that trait.

use std::convert::Infallible;

pub use tower::BoxError;

pub use self::rejected::{Rejected, RejectedKind};
use crate::{Classify, Verdict, stall};

mod rejected;

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
