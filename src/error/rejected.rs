//! A call that a layer has ended: which one, why, and what is known of the endpoints.

use std::{fmt, sync::Arc, time::Duration};

use crate::{failover::Snapshot, telemetry::Name};

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

/// What there is to say of endpoints. Behind pointers, as all errors of a stack are as large as this.
#[derive(Clone)]
enum Endpoints {
    Unsaid,
    /// How all of them were, where that is why.
    All(Arc<Snapshot>),
    /// Where the call was sent.
    SentTo(Arc<Name>),
}

impl PartialEq for Endpoints {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unsaid, Self::Unsaid) => true,
            (Self::All(one), Self::All(other)) => Arc::ptr_eq(one, other),
            (Self::SentTo(one), Self::SentTo(other)) => one == other,
            _ => false,
        }
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
    /// it may have been carried out or not. [`Rejected::sent_to`] says which endpoint that was.
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
        let (reached, endpoints) = (kind.may_have_reached(), Endpoints::Unsaid);
        Self { kind, name: name.into(), retry_after: None, reached, endpoints }
    }

    pub(crate) fn with_endpoints(mut self, endpoints: Arc<Snapshot>) -> Self {
        self.endpoints = Endpoints::All(endpoints);
        self
    }

    pub(crate) fn with_sent_to(mut self, key: Arc<Name>) -> Self {
        self.endpoints = Endpoints::SentTo(key);
        self
    }

    /// How the endpoints of a failover client were when it had none to call: of each, why it is out.
    pub fn endpoints(&self) -> Option<&Snapshot> {
        match &self.endpoints {
            Endpoints::All(snapshot) => Some(snapshot),
            Endpoints::Unsaid | Endpoints::SentTo(_) => None,
        }
    }

    /// The key of the endpoint that a failover client had sent the call to when no answer came
    /// ([`InDoubt`](RejectedKind::InDoubt)): where to look whether it was carried out.
    pub fn sent_to(&self) -> Option<&Name> {
        match &self.endpoints {
            Endpoints::SentTo(key) => Some(key),
            Endpoints::Unsaid | Endpoints::All(_) => None,
        }
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
            RejectedKind::InDoubt => {
                write!(f, "failover `{name}`: no answer came")?;
                if let Some(key) = self.sent_to() {
                    write!(f, " from `{key}`")?;
                }
                write!(f, "; it may have been done or not")?;
            }
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
        let mut all = f.debug_struct("Rejected");
        all.field("kind", &self.kind)
            .field("name", &self.name)
            .field("retry_after", &self.retry_after)
            .field("reached_service", &self.reached);
        if let Some(key) = self.sent_to() {
            all.field("sent_to", key);
        }
        all.finish()
    }
}

impl std::error::Error for Rejected {}

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
    fn a_call_in_doubt_says_where_it_was_sent_if_that_is_known() {
        let unsaid = Rejected::new(RejectedKind::InDoubt, "orders");
        assert_eq!(
            (unsaid.to_string().as_str(), unsaid.sent_to()),
            ("failover `orders`: no answer came; it may have been done or not", None)
        );
        let said = |key| unsaid.clone().with_sent_to(Arc::new(Name::from_static(key)));
        assert_eq!(said("a").to_string(), "failover `orders`: no answer came from `a`; it may have been done or not");
        assert_eq!(said("a").sent_to().map(Name::as_str), Some("a"));
        assert!(format!("{:?}", said("a")).ends_with("sent_to: \"a\" }"));
        assert!(said("a") == said("a") && said("a") != said("b") && said("a") != unsaid);
        assert!(size_of::<Rejected>() <= 64, "{}", size_of::<Rejected>());
    }
}
