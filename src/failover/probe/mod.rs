//! Probes: what asks an endpoint how it is, apart from calls.
//!
//! | | passes if |
//! |---|---|
//! | [`from_fn`] | an asynchronous function says so: a query, a ping, whatever the service offers |
//! | `TcpProbe` (feature `probe`) | a connection can be made |
//! | `HttpProbe` (feature `probe`) | the status is an expected one, in time |
//! | [`Heartbeats`] | the endpoint goes on reporting by itself |

use std::{fmt, future::Future, pin::Pin, time::Duration};

use super::Meta;
use crate::{BoxError, settings::ConfigError, telemetry::Name};

#[cfg(feature = "probe")]
mod head;
pub(super) mod heartbeat;
#[cfg(feature = "probe")]
mod http;
#[cfg(feature = "probe")]
mod target;
#[cfg(feature = "probe")]
mod tcp;

pub use self::heartbeat::Heartbeats;
#[cfg(feature = "probe")]
pub use self::{head::Head, http::HttpProbe, tcp::TcpProbe};

/// A probe that is under way.
pub type Probing = Pin<Box<dyn Future<Output = Result<Report, BoxError>> + Send>>;

/// Asks an endpoint how it is. Implemented by functions, by way of [`from_fn`].
pub trait Probe<S>: Send + Sync + 'static {
    /// Asks once. Dropped when it takes longer than the check's timeout; `service` is a clone of the endpoint's that has not
    /// been driven to ready, and is missing where it has not been made yet.
    fn probe(&self, endpoint: &Meta, service: Option<S>) -> Probing;

    /// Checks the settings of the probe, for the client called `component`, when that is built. Default: there are none.
    ///
    /// # Errors
    /// The first setting whose value makes no sense, with what is allowed.
    fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let _ = component;
        Ok(())
    }
}

/// What an endpoint says of itself. What it leaves out stays as it was set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Its role.
    pub role: Option<Role>,
    /// A number that grows with each promotion: who has a lower one than another primary has been demoted.
    pub epoch: Option<u64>,
    /// How far a replica lags behind.
    pub lag: Option<Duration>,
    /// Its weight from now on. One that is none (0, negative, not a number) is left out; one over 1,000 is 1,000.
    pub weight: Option<f64>,
    /// It wants no new calls: it is about to go.
    pub drain: bool,
    /// It is being worked on: it wants no calls, and is not broken.
    pub maintenance: bool,
}

/// Which part an endpoint plays among those that hold the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Takes writes.
    Primary,
    /// Follows the primary.
    Replica,
}

impl Report {
    /// The weight that it gives, if it is one.
    pub(in crate::failover) fn usable_weight(&self) -> Option<f64> {
        self.weight.filter(|weight| *weight > 0.0).map(|weight| weight.min(1000.0))
    }

    /// It is well, and says nothing more.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this role.
    #[must_use]
    pub fn role(self, role: Role) -> Self {
        Self { role: Some(role), ..self }
    }

    /// With this epoch.
    #[must_use]
    pub fn epoch(self, epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    /// With this lag.
    #[must_use]
    pub fn lag(self, lag: Duration) -> Self {
        Self { lag: Some(lag), ..self }
    }

    /// With this weight from now on.
    #[must_use]
    pub fn weight(self, weight: f64) -> Self {
        Self { weight: Some(weight), ..self }
    }

    /// It wants no new calls, or does again.
    #[must_use]
    pub fn drain(self, drain: bool) -> Self {
        Self { drain, ..self }
    }

    /// It is being worked on, or is not any more.
    #[must_use]
    pub fn maintenance(self, maintenance: bool) -> Self {
        Self { maintenance, ..self }
    }
}

/// A probe from an asynchronous function of an endpoint and its service, if that has been made. `Ok(())` is a pass, and so is `Ok` of a
/// [`Report`].
pub fn from_fn<F>(ask: F) -> FromFn<F> {
    FromFn(ask)
}

/// See [`from_fn`].
#[derive(Clone, Copy)]
pub struct FromFn<F>(F);

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromFn").finish_non_exhaustive()
    }
}

impl<F, Fut, S, R, E> Probe<S> for FromFn<F>
where
    F: Fn(Meta, Option<S>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Into<Report>,
    E: Into<BoxError>,
{
    fn probe(&self, endpoint: &Meta, service: Option<S>) -> Probing {
        let asked = (self.0)(endpoint.clone(), service);
        Box::pin(async move { asked.await.map(Into::into).map_err(Into::into) })
    }
}

impl From<()> for Report {
    fn from((): ()) -> Self {
        Self::default()
    }
}
