//! The ramp: after closing, a share of the calls that grows.

use std::time::Duration;

/// A share of the calls that grows from a tenth to all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ramp {
    pub(super) end: Duration,
    /// What the share has saved up; a call is let through when this reaches one.
    pub(super) credit: f64,
}

/// Lets a share of the calls through that grows from a tenth to all; ends the ramp when its time is over.
pub(super) fn admit_share(ramp: &mut Option<Ramp>, now: Duration, length: Option<Duration>) -> bool {
    let Some(Ramp { end, credit }) = ramp else { return true };
    let left = end.saturating_sub(now);
    let Some(length) = length.filter(|length| !left.is_zero() && *length >= left) else {
        *ramp = None;
        return true;
    };
    *credit += (1.0 - left.as_secs_f64() / length.as_secs_f64()).max(0.1);
    let whole = *credit >= 1.0;
    if whole {
        *credit -= 1.0;
    }
    whole
}
