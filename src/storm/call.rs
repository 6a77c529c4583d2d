//! What travels between a client and a backend.

use std::{fmt, time::Duration};

use crate::{Classify, Error, Verdict};

/// A request of a simulated client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    pub(super) id: u64,
    pub(super) client: u32,
    pub(super) class: u16,
    pub(super) priority: u8,
    pub(super) idempotent: bool,
    pub(super) invalid: bool,
    /// When who asked no longer waits, in milliseconds since the beginning.
    pub(super) by: u64,
    /// For how long, in milliseconds.
    pub(super) waits: u32,
}

impl Request {
    /// Its number, from 0; different requests have different ones.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Who asks: the number of the client, from 0.
    pub fn client(&self) -> u32 {
        self.client
    }

    /// The number of its [`Class`](super::Class), from 0.
    pub fn class(&self) -> usize {
        self.class.into()
    }

    /// The priority of its class.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// How long who asked waits, from when it was asked.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.waits.into())
    }

    /// Whether it may be sent twice.
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    pub(super) status: Status,
    /// The server time of the attempt that brought it; `None` if it was made up.
    pub(super) worked: Option<Duration>,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// What was asked for.
    Ok,
    /// The request is invalid: it will be next time too (a 4xx).
    Invalid,
    /// Something else instead: made up by the stack.
    Degraded,
    /// Seen on the server side only, a client gets [`Failure::Overloaded`]: the queue is full.
    Overloaded,
    /// Seen on the server side only, a client gets [`Failure::Failed`]: the work failed.
    Failed,
}

impl Response {
    /// An answer that the stack makes up. In time, it counts as degraded and not as good.
    pub const fn degraded() -> Self {
        Self { status: Status::Degraded, worked: None }
    }

    /// What it says.
    pub fn status(&self) -> Status {
        self.status
    }
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The connection was refused: nothing was sent.
    #[error("connection refused")]
    Refused,
    /// The backend is a standby.
    #[error("not primary")]
    NotPrimary,
    /// The backend's queue is full, or its own layers refused (a 503).
    #[error("overloaded")]
    Overloaded,
    /// The backend failed (a 500).
    #[error("failed")]
    Failed,
}

impl Failure {
    /// Whether the backend may have begun the work.
    pub fn was_begun(&self) -> bool {
        matches!(self, Self::Failed)
    }
}

/// What the outcome of a simulated call means: an invalid request is [`Neutral`](Verdict::Neutral), a full queue
/// [`Overloaded`](Verdict::Overloaded), every other failure [`Transient`](Verdict::Transient). A standby has the wrong role,
/// and of what was answered nothing is in doubt.
#[derive(Clone, Copy, Debug, Default)]
pub struct StormClassify;

impl Classify<Response, Error<Failure>> for StormClassify {
    fn classify(&self, outcome: Result<&Response, &Error<Failure>>) -> Verdict {
        match outcome {
            Ok(Response { status: Status::Invalid, .. }) => Verdict::Neutral,
            Ok(_) => Verdict::Success,
            Err(Error::Inner(Failure::Overloaded)) => Verdict::Overloaded { retry_after: None },
            Err(_) => Verdict::Transient { retry_after: None },
        }
    }

    fn reached_service(&self, error: &Error<Failure>) -> bool {
        !matches!(error, Error::Inner(failure) if !failure.was_begun())
    }

    /// A failure is an answer. What a layer cut short may have been done.
    fn in_doubt(&self, error: &Error<Failure>) -> bool {
        !matches!(error, Error::Inner(_))
    }

    fn wrong_role(&self, outcome: Result<&Response, &Error<Failure>>) -> bool {
        matches!(outcome, Err(Error::Inner(Failure::NotPrimary)))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Invalid => "invalid",
            Self::Degraded => "degraded",
            Self::Overloaded => "overloaded",
            Self::Failed => "failed",
        })
    }
}
