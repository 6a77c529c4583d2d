//! How an outcome is given to those that have waited for it.

use crate::{BoxError, LayerError};

/// Makes copies of outcomes, one for each caller that has waited.
///
/// Implemented by [`CloneOutcome`] and by `Fn(&Result<Res, Err>) -> Option<Result<Res, Err>>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot share an outcome of type `Result<{Res}, {Err}>`",
    label = "all callers that wait for one call get a copy of its outcome",
    note = "`{Res}` and `{Err}` have to be `Clone`, or say how to copy them: `.share(|outcome: &Result<{Res}, {Err}>| ..)`",
    note = "for a `BoxError`, which is not `Clone`: `.share(steadfast::coalesce::boxed)`"
)]
pub trait Share<Res, Err> {
    /// A copy of `outcome`; `None`: it cannot be shared, so the next in line makes a call of its own. Runs outside of
    /// every lock, on the task of who has made the call.
    fn share(&self, outcome: &Result<Res, Err>) -> Option<Result<Res, Err>>;
}

/// Copies outcomes by `Clone`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneOutcome;

impl<Res: Clone, Err: Clone> Share<Res, Err> for CloneOutcome {
    fn share(&self, outcome: &Result<Res, Err>) -> Option<Result<Res, Err>> {
        Some(outcome.clone())
    }
}

impl<F, Res, Err> Share<Res, Err> for F
where
    F: Fn(&Result<Res, Err>) -> Option<Result<Res, Err>>,
{
    fn share(&self, outcome: &Result<Res, Err>) -> Option<Result<Res, Err>> {
        self(outcome)
    }
}

/// For stacks whose error is a [`BoxError`]: answers and rejections are copied; of any other error who has made the call
/// gets the error itself, and the others its words, as a [`SharedFailure`].
pub fn boxed<Res: Clone>(outcome: &Result<Res, BoxError>) -> Option<Result<Res, BoxError>> {
    Some(match outcome {
        Ok(answer) => Ok(answer.clone()),
        Err(error) => Err(match (error.as_rejected(), error.downcast_ref::<SharedFailure>()) {
            (Some(rejected), _) => rejected.clone().into(),
            (_, Some(failure)) => failure.clone().into(),
            _ => SharedFailure(error.to_string().into()).into(),
        }),
    })
}

/// The words of an error that somebody else has got. See [`boxed`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SharedFailure(std::sync::Arc<str>);
