//! One vocabulary for what an outcome means, answered once and used by every layer.

use std::{fmt, marker::PhantomData, time::Duration};

/// What an outcome says about the service, and whether another try makes sense.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It worked.
    Success,
    /// Worth another try, after `retry_after` if the service named a time; counts against the service.
    Transient {
        /// What the service asked to wait.
        retry_after: Option<Duration>,
    },
    /// Counts against the service, and another try would fail too.
    Permanent,
    /// The service says "less": 429, 503, `RESOURCE_EXHAUSTED`. Counts against it unless a layer is told otherwise.
    Overloaded {
        /// What the service asked to wait.
        retry_after: Option<Duration>,
    },
    /// Says nothing about the service: 404, a constraint violation.
    Neutral,
}

impl Verdict {
    /// [`Transient`](Self::Transient) without a wait.
    pub const TRANSIENT: Self = Self::Transient { retry_after: None };
    /// [`Overloaded`](Self::Overloaded) without a wait.
    pub const OVERLOADED: Self = Self::Overloaded { retry_after: None };

    /// Whether the outcome counts against the service.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Transient { .. } | Self::Permanent | Self::Overloaded { .. })
    }
}

/// Judges outcomes.
///
/// Implemented by [`DefaultClassify`] and by closures; annotate a closure's argument, or go through [`from_fn`]:
///
/// ```
/// use steadfast::classify::{self, Classify, Verdict};
///
/// let by_status = classify::from_fn(|outcome: Result<&u16, &String>| match outcome {
///     Ok(status) if *status < 400 => Verdict::Success,
///     Ok(429 | 503) => Verdict::OVERLOADED,
///     Ok(status) if *status >= 500 => Verdict::TRANSIENT,
///     Ok(_) => Verdict::Neutral,
///     Err(_) => Verdict::TRANSIENT,
/// });
/// assert_eq!(by_status.classify(Ok(&404)), Verdict::Neutral);
/// ```
///
/// What a classifier never sees: a refusal by a layer below, such as an open breaker. It did not reach the
/// service, so no layer takes it as evidence.
pub trait Classify<Res, Err> {
    /// What `outcome` means. Runs outside of every lock.
    fn classify(&self, outcome: Result<&Res, &Err>) -> Verdict;

    /// Whether a call that ended with `error` may have reached the service. `false` (a connection refused, a
    /// name not found) lets retry and failover send again what must not be done twice. Default: `true`.
    fn reached_service(&self, error: &Err) -> bool {
        let _ = error;
        true
    }

    /// Whether a call that ended with `error` and reached the service may have been carried out without an answer: the
    /// connection was reset, or no answer came in time. `false` for an error that *is* the answer. A failover client says
    /// [`InDoubt`](crate::RejectedKind::InDoubt) to who has sent what must not be done twice. Default: `true`.
    fn in_doubt(&self, error: &Err) -> bool {
        let _ = error;
        true
    }

    /// Whether the endpoint says that it cannot do this in its present role, or not yet: a write sent to a replica, a
    /// server that is still starting. It was not done, and another endpoint can do it. Default: never.
    fn wrong_role(&self, outcome: Result<&Res, &Err>) -> bool {
        let _ = outcome;
        false
    }
}

/// Any error is [`Verdict::Transient`], any response [`Verdict::Success`].
///
/// So over an HTTP client a 500 or 503 is a success. Give breaker, retry and fallback a classifier that looks at the
/// status; each has its own `classify`:
///
/// ```
/// # use std::sync::Arc;
/// use steadfast::{Verdict, circuit_breaker::CircuitBreaker, retry::Retry};
/// # struct Response(u16);
/// # impl Response { fn status(&self) -> u16 { self.0 } }
/// # type Error = steadfast::Error<std::io::Error>;
///
/// fn by_status(outcome: Result<&Response, &Error>) -> Verdict {
///     match outcome.map(Response::status) {
///         Ok(429 | 503) => Verdict::OVERLOADED,
///         Ok(500..) | Err(_) => Verdict::TRANSIENT,
///         Ok(400..) => Verdict::Neutral,
///         Ok(_) => Verdict::Success,
///     }
/// }
///
/// let breaker = CircuitBreaker::builder().classify(by_status).build();
/// let retry = Retry::builder().classify(by_status).build();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultClassify;

impl<Res, Err> Classify<Res, Err> for DefaultClassify {
    fn classify(&self, outcome: Result<&Res, &Err>) -> Verdict {
        match outcome {
            Ok(_) => Verdict::Success,
            Err(_) => Verdict::TRANSIENT,
        }
    }
}

impl<F, Res, Err> Classify<Res, Err> for F
where
    F: Fn(Result<&Res, &Err>) -> Verdict,
{
    fn classify(&self, outcome: Result<&Res, &Err>) -> Verdict {
        self(outcome)
    }
}

/// A classifier from a function; helps the compiler to infer the closure's argument.
pub fn from_fn<Res, Err, F>(judge: F) -> FromFn<F, Res, Err>
where
    F: Fn(Result<&Res, &Err>) -> Verdict,
{
    FromFn { judge, marker: PhantomData }
}

/// See [`from_fn`].
pub struct FromFn<F, Res, Err> {
    judge: F,
    marker: PhantomData<fn(&Res, &Err)>,
}

impl<F: Clone, Res, Err> Clone for FromFn<F, Res, Err> {
    fn clone(&self) -> Self {
        Self { judge: self.judge.clone(), marker: PhantomData }
    }
}

impl<F, Res, Err> fmt::Debug for FromFn<F, Res, Err> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

impl<F, Res, Err> Classify<Res, Err> for FromFn<F, Res, Err>
where
    F: Fn(Result<&Res, &Err>) -> Verdict,
{
    fn classify(&self, outcome: Result<&Res, &Err>) -> Verdict {
        (self.judge)(outcome)
    }
}
