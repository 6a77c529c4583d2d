//! The probe that connects.

use super::{Probe, Probing, Report, target};
use crate::{
    failover::Meta,
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// Passes if a TCP connection to the endpoint's [`address`](super::super::Endpoint::address) can be made; it is closed at once.
///
/// This shows that something listens there, not that it works: a process that hangs still accepts. Feature `probe`; needs a
/// runtime with I/O enabled.
#[derive(Clone, Debug, Default)]
pub struct TcpProbe {
    at: Option<Name>,
}

impl TcpProbe {
    /// Connects to the address of each endpoint.
    pub fn new() -> Self {
        Self::default()
    }

    /// Connects to this `host:port` instead, whichever endpoint is asked.
    #[must_use]
    pub fn at(self, address: impl Into<Name>) -> Self {
        Self { at: Some(address.into()) }
    }
}

impl<S> Probe<S> for TcpProbe {
    fn probe(&self, endpoint: &Meta, _: Option<S>) -> Probing {
        let address = target::address(self.at.as_ref(), endpoint);
        Box::pin(async move {
            let address = address?;
            match target::connect(&address).await {
                Ok(_) => Ok(Report::new()),
                Err(wrong) => Err(wrong.of(format_args!("TCP {address}"))),
            }
        })
    }

    fn check(&self, component: &Name) -> Result<(), ConfigError> {
        check_at(&Check::of(component), self.at.as_ref())
    }
}

pub(super) fn check_at(check: &Check<'_>, at: Option<&Name>) -> Result<(), ConfigError> {
    let is_address = at.is_none_or(|at| target::is_address(at));
    check.that(is_address, "probe.at", at.map_or("", |at| at.as_str()), "host:port, as in db1:5432 or [::1]:5432")
}
