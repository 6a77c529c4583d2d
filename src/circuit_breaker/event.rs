//! What a breaker tells its subscribers.

use super::StateChange;

/// An event of a circuit breaker.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CircuitBreakerEvent {
    /// The state changed.
    StateChanged(StateChange),
    /// The settings were changed while running.
    SettingsChanged,
}

#[cfg(feature = "tracing")]
pub(super) fn trace(name: &crate::telemetry::Name, change: &StateChange) {
    use super::State;

    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: "steadfast",
                breaker = %name,
                from = %change.from,
                to = %change.to,
                cause = %change.cause,
                failure_rate = change.failure_rate,
                slow_call_rate = change.slow_call_rate,
                calls = change.calls,
                lasted = ?change.lasted,
                refused = change.refused,
                late = change.late,
                open_for = ?change.open_for,
                "circuit breaker changed its state"
            )
        };
    }
    match change.to {
        State::Open | State::ForcedOpen => event!(warn),
        _ => event!(info),
    }
}
