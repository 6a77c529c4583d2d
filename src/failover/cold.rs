//! Cold standbys, as users give them: what starts one, what must be done before, and when it may sleep again.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use super::{Meta, endpoint::Making};
use crate::{
    BoxError, ConfigError,
    backoff::{Backoff, Jitter},
    settings::Check,
};

type Doing = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;
type Do = Arc<dyn Fn() -> Doing + Send + Sync>;

/// How a cold standby is started: an endpoint that does not run until nothing else is left.
///
/// It is started once for all callers, in the client's task. If the client has a probe, it is used only after that has
/// passed.
pub struct Cold<S> {
    pub(super) start: Arc<dyn Fn() -> Making<S> + Send + Sync>,
    /// Must have been done before.
    pub(super) fence: Option<Do>,
    pub(super) stop: Option<Do>,
    pub(super) rules: ColdRules,
}

/// What the fleet needs to know of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ColdRules {
    pub(super) after: Duration,
    pub(super) deadline: Duration,
    pub(super) retry: Backoff,
    pub(super) idle: Option<Duration>,
    pub(super) promotes: bool,
}

impl<S> Cold<S> {
    /// Started by `start`, which ends with a service that can be called: boots a machine, restores a backup, scales a
    /// deployment up.
    pub fn start<F, Fut, E>(start: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        const SECOND: Duration = Duration::from_secs(1);
        let start = move || -> Making<S> {
            let started = start();
            Box::pin(async move { started.await.map_err(Into::into) })
        };
        let rules = ColdRules {
            after: SECOND,
            deadline: 60 * SECOND,
            retry: Backoff::exponential(SECOND).max(60 * SECOND).jitter(Jitter::Around(0.2)),
            idle: None,
            promotes: false,
        };
        Self { start: Arc::new(start), fence: None, stop: None, rules }
    }

    /// Promoted by `promote`, after `fence` has made sure that the old primary takes no more writes: it has been shut down,
    /// cut off, or has lost its lease. If `fence` fails, nothing is promoted. Once it has been promoted, endpoints of the
    /// tiers before it are [`Fenced`](super::EndpointState::Fenced) for this client, those that come later too, until
    /// [`fail_back`](super::FailoverHandle::fail_back). Both are dropped at the deadline and begun again after a wait, so both
    /// must bear being done twice.
    ///
    /// Where something else decides who is the primary (Patroni, Sentinel, an operator), leave it to that, and let a
    /// [probe](super::FailoverBuilder::probe) find it.
    pub fn promote<G, GFut, GE, F, Fut, E>(fence: G, promote: F) -> Self
    where
        G: Fn() -> GFut + Send + Sync + 'static,
        GFut: Future<Output = Result<(), GE>> + Send + 'static,
        GE: Into<BoxError>,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let mut cold = Self::start(promote);
        (cold.fence, cold.rules.promotes) = (Some(doing(fence)), true);
        cold
    }

    /// It is started when no endpoint could be called for so long, and a call or a check has found that out again after
    /// that. Default: 1 s, so that what an ejection or two are about starts nothing.
    #[must_use]
    pub fn after(mut self, after: Duration) -> Self {
        self.rules.after = after;
        self
    }

    /// What takes longer has failed. Default: 60 s; over 0.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.rules.deadline = deadline;
        self
    }

    /// How long it is let be after it could not be started. Default: 1 s × 2 up to 60 s, ± 20 %.
    #[must_use]
    pub fn retry(mut self, retry: Backoff) -> Self {
        self.rules.retry = retry;
        self
    }

    /// It is stopped by `stop` when a tier before it has had all calls for so long, and is cold again. Common: 15 min.
    /// Default: it runs on.
    #[must_use]
    pub fn idle<F, Fut, E>(mut self, idle: Duration, stop: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        (self.rules.idle, self.stop) = (Some(idle), Some(doing(stop)));
        self
    }

    pub(super) fn check(&self, check: &Check<'_>) -> Result<(), ConfigError> {
        check.positive("cold.deadline", self.rules.deadline)?;
        self.rules.retry.check(check, "cold.retry", true)?;
        self.rules.idle.map_or(Ok(()), |idle| check.positive("cold.idle", idle))
    }

    /// The whole of a start: the fence, then the rest.
    pub(super) fn begin(&self) -> Making<S>
    where
        S: 'static,
    {
        let (fence, start) = (self.fence.clone(), Arc::clone(&self.start));
        Box::pin(async move {
            if let Some(fence) = fence {
                fence().await.map_err(|error| format!("the old primary could not be fenced: {error}"))?;
            }
            start().await
        })
    }

    pub(super) fn wrapped<T, F>(self, wrap: &Arc<F>, meta: &Meta) -> Cold<T>
    where
        F: Fn(&Meta, S) -> T + Send + Sync + 'static,
        S: 'static,
        T: 'static,
    {
        let Self { start, fence, stop, rules } = self;
        let (wrap, meta) = (Arc::clone(wrap), meta.clone());
        let start = move || -> Making<T> {
            let (started, wrap, meta) = (start(), Arc::clone(&wrap), meta.clone());
            Box::pin(async move { started.await.map(|service| wrap(&meta, service)) })
        };
        Cold { start: Arc::new(start), fence, stop, rules }
    }
}

fn doing<F, Fut, E>(act: F) -> Do
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<BoxError>,
{
    Arc::new(move || -> Doing {
        let done = act();
        Box::pin(async move { done.await.map_err(Into::into) })
    })
}

impl<S> fmt::Debug for Cold<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cold").field("rules", &self.rules).finish_non_exhaustive()
    }
}
