//! Settings: checked once, where they are given, and changed in place while running.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, Guard};

use crate::telemetry::Name;

/// A setting that cannot be: which one, what was given, what is allowed.
///
/// ```
/// use steadfast::circuit_breaker::CircuitBreaker;
///
/// let error = CircuitBreaker::builder().name("inventory").failure_rate(1.5).build().unwrap_err();
/// assert_eq!(error.to_string(), "`inventory`: failure_rate is 1.5; allowed: over 0, at most 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{component}`: {field}{} is {value}; allowed: {allowed}", Of(.endpoint.as_ref()))]
pub struct ConfigError {
    component: Name,
    endpoint: Option<Name>,
    field: &'static str,
    value: String,
    allowed: &'static str,
}

impl ConfigError {
    /// The name of the component whose setting it is.
    pub fn component(&self) -> &Name {
        &self.component
    }

    /// The key of the endpoint whose setting it is, if it is one of an endpoint of a failover client.
    pub fn endpoint(&self) -> Option<&Name> {
        self.endpoint.as_ref()
    }

    /// The setting.
    pub const fn field(&self) -> &'static str {
        self.field
    }

    /// The value that was given.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The values that are allowed.
    pub const fn allowed(&self) -> &'static str {
        self.allowed
    }
}

/// Whose setting it is, within the component.
struct Of<'a>(Option<&'a Name>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |key| write!(f, " of `{key}`"))
    }
}

/// Checks the settings of one component; the first that fails is the answer.
pub(crate) struct Check<'a> {
    component: &'a Name,
    endpoint: Option<&'a Name>,
}

impl<'a> Check<'a> {
    pub(crate) fn of(component: &'a Name) -> Self {
        Self { component, endpoint: None }
    }

    /// The settings of one of its endpoints.
    pub(crate) fn of_endpoint(component: &'a Name, key: &'a Name) -> Self {
        Self { component, endpoint: Some(key) }
    }

    pub(crate) fn that(
        &self,
        holds: bool,
        field: &'static str,
        value: impl fmt::Debug,
        allowed: &'static str,
    ) -> Result<(), ConfigError> {
        if holds {
            return Ok(());
        }
        let (component, endpoint) = (self.component.clone(), self.endpoint.cloned());
        Err(ConfigError { component, endpoint, field, value: format!("{value:?}"), allowed })
    }

    /// A share that makes sense as a threshold.
    pub(crate) fn rate(&self, field: &'static str, rate: f64) -> Result<(), ConfigError> {
        self.that(rate > 0.0 && rate <= 1.0, field, rate, "over 0, at most 1")
    }

    pub(crate) fn positive(&self, field: &'static str, wait: Duration) -> Result<(), ConfigError> {
        self.that(!wait.is_zero(), field, wait, "over 0")
    }
}

/// Settings that can be replaced while running. Readers take no lock and touch no reference count.
#[derive(Debug)]
pub(crate) struct Live<T>(ArcSwap<T>);

impl<T> Live<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(ArcSwap::from_pointee(value))
    }

    pub(crate) fn get(&self) -> Guard<Arc<T>> {
        self.0.load()
    }

    pub(crate) fn set(&self, value: T) {
        self.0.store(Arc::new(value));
    }
}
