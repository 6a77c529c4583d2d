//! Where the count of a limiter is kept that several processes share.

use std::{future::Future, time::Duration};

use super::RateLimitSettings;
use crate::telemetry::Name;

/// Keeps the counts of limiters for several processes, and decides in one step, in its own time.
///
/// A store keeps for each name the theoretical time of the next call (GCRA): a call that is admitted moves it on by
/// `period / limit`, and comes at most `burst - 1` calls ahead of it. It never spawns or retries on behalf of a call;
/// how long a decision may take, and what happens without one, is the limiter's.
///
/// ```
/// use std::future::{Ready, ready};
/// use steadfast::rate_limit::{Decision, Question, Store, StoreError};
///
/// /// Admits everything.
/// #[derive(Clone, Debug)]
/// struct Open;
///
/// impl Store for Open {
///     type Take = Ready<Result<Decision, StoreError>>;
///
///     fn take(&self, _question: Question) -> Self::Take {
///         ready(Ok(Decision::admitted()))
///     }
/// }
/// ```
pub trait Store: Send + Sync + 'static {
    /// A decision on its way. Dropping it gives up waiting for it; the turn may have been taken all the same.
    type Take: Future<Output = Result<Decision, StoreError>>;

    /// Takes a turn, if it comes within the question's `max_wait`.
    fn take(&self, question: Question) -> Self::Take;
}

/// What a limiter asks its store for: one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Question {
    /// The name of the limiter: those with the same name share one count.
    pub name: Name,
    /// Its settings; of these `limit`, `period` and `burst` are the store's to keep. No turn is ever waited for longer
    /// than for its `max_wait`, so a count that says so is wrong: a clock may have been set back.
    pub settings: RateLimitSettings,
    /// A turn later than this from now is not to be taken.
    pub max_wait: Duration,
}

/// What a store decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// A turn was taken.
    Admitted {
        /// To be waited before it is used; zero for now.
        wait: Duration,
    },
    /// None was taken.
    Refused {
        /// How long until there is one, if nobody else comes.
        retry_after: Duration,
    },
}

impl Decision {
    /// A turn was taken, for now.
    pub const fn admitted() -> Self {
        Self::Admitted { wait: Duration::ZERO }
    }

    /// A turn was taken, to be used after `wait`.
    pub const fn admitted_after(wait: Duration) -> Self {
        Self::Admitted { wait }
    }

    /// No turn was taken; there is one after this time.
    pub const fn refused(retry_after: Duration) -> Self {
        Self::Refused { retry_after }
    }
}

/// Why a store did not decide. Never shown to callers, who get the local share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}: {detail}")]
pub struct StoreError {
    why: StoreFailure,
    detail: String,
}

/// The kinds of [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum StoreFailure {
    /// No decision in time.
    #[error("the store did not answer in time")]
    TimedOut,
    /// There is no connection, or it was lost.
    #[error("the store cannot be reached")]
    Unreachable,
    /// The store answered with an error, or with nonsense.
    #[error("the store failed")]
    Failed,
    /// Too many decisions wait for the store already.
    #[error("the store is overloaded")]
    Overloaded,
}

impl StoreError {
    /// An error of this kind; the detail goes to the log.
    pub fn new(why: StoreFailure, detail: impl Into<String>) -> Self {
        Self { why, detail: detail.into() }
    }

    /// The kind.
    pub const fn why(&self) -> StoreFailure {
        self.why
    }
}
