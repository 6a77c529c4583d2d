//! What users say about answers: how they are copied, how they are marked, and where they are renewed.

use std::{future::Future, time::Duration};

use tokio::runtime::Handle;

/// Copies answers: one to be stored, and one for each caller that is given it.
///
/// Implemented by [`CloneAnswer`] and by `Fn(&Res) -> Option<Res>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot copy an answer of type `{Res}`",
    label = "a cache stores a copy of each answer, and gives copies of it",
    note = "derive `Clone` for `{Res}`, or say how to copy one: `.copy_with(|answer: &{Res}| -> Option<{Res}> {{ .. }})`"
)]
pub trait CopyAnswer<Res> {
    /// A copy of `answer`; `None`: it is not to be stored, or not to be given any more.
    fn copy(&self, answer: &Res) -> Option<Res>;
}

/// Copies answers by `Clone`.
#[derive(Clone, Copy, Debug, Default)]
pub struct CloneAnswer;

impl<Res: Clone> CopyAnswer<Res> for CloneAnswer {
    fn copy(&self, answer: &Res) -> Option<Res> {
        Some(answer.clone())
    }
}

impl<F, Res> CopyAnswer<Res> for F
where
    F: Fn(&Res) -> Option<Res>,
{
    fn copy(&self, answer: &Res) -> Option<Res> {
        self(answer)
    }
}

/// How a stored answer comes to be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Given {
    /// It is fresh.
    Fresh,
    /// It is stale, and is being renewed.
    WhileRevalidating,
    /// The call has failed or was refused.
    InsteadOfError,
}

/// Marks answers that were stored, so that whoever gets one sees it: a header, a field. Implemented by [`Unmarked`] and by
/// `Fn(&mut Res, Given, Duration)`, with the answer's age.
pub trait Mark<Res> {
    /// Marks a copy that is about to be given.
    fn mark(&self, answer: &mut Res, given: Given, age: Duration);
}

/// Answers are given as they were stored.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmarked;

impl<Res> Mark<Res> for Unmarked {
    fn mark(&self, _: &mut Res, _: Given, _: Duration) {}
}

impl<F, Res> Mark<Res> for F
where
    F: Fn(&mut Res, Given, Duration),
{
    fn mark(&self, answer: &mut Res, given: Given, age: Duration) {
        self(answer, given, age);
    }
}

/// Where answers are renewed. Implemented by [`InCall`] for any service, and by [`InBackground`] for those that can be sent
/// to a task.
#[diagnostic::on_unimplemented(
    message = "this service cannot be called in the background",
    label = "`stale_while_revalidate` renews answers in a task of its own",
    note = "so the service, its future, the request and the key have to be `Send + 'static`"
)]
pub trait Renew<Fut> {
    /// Whether there is a background here.
    fn can_renew(&self) -> bool;

    /// Runs `renewal` there.
    fn renew(&self, renewal: Fut);
}

/// Nothing is renewed but by calls that wait for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct InCall;

impl<Fut> Renew<Fut> for InCall {
    fn can_renew(&self) -> bool {
        false
    }

    fn renew(&self, _: Fut) {}
}

/// Stale answers are renewed in a task of the runtime that the call is made on.
#[derive(Clone, Copy, Debug, Default)]
pub struct InBackground;

impl<Fut: Future<Output = ()> + Send + 'static> Renew<Fut> for InBackground {
    fn can_renew(&self) -> bool {
        Handle::try_current().is_ok()
    }

    fn renew(&self, renewal: Fut) {
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(renewal);
        }
    }
}
