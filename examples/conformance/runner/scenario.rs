//! Recorded circuit breaker scenarios, as `tests/data/resilience4j/FORMAT.md` describes them.

use serde::Deserialize;
use steadfast::circuit_breaker::State;

use super::waits::Interval;

/// A configuration, what was done, and what Resilience4j answered.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    pub(crate) start_time_ms: u64,
    pub(crate) config: Config,
    pub(crate) steps: Vec<Step>,
    pub(crate) initial: Row,
    pub(crate) expected: Vec<Row>,
    #[serde(default)]
    pub(crate) exceptions: Vec<(usize, String)>,
    pub(crate) events: Option<Vec<Vec<String>>>,
}

impl Scenario {
    pub(crate) fn has(&self, tag: &str) -> bool {
        self.features.iter().any(|feature| feature == tag)
    }

    pub(crate) fn exception(&self, step: usize) -> Option<&str> {
        self.exceptions.iter().find(|(at, _)| *at == step).map(|(_, class)| class.as_str())
    }

    /// The changes of state that were published at this step, if events were recorded.
    pub(crate) fn changes(&self, step: usize) -> Option<Vec<String>> {
        let events = self.events.as_ref()?.get(step)?;
        Some(events.iter().filter_map(|event| event.strip_prefix("STATE_TRANSITION:")).map(str::to_owned).collect())
    }
}

/// The configuration of a Resilience4j circuit breaker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) sliding_window_type: WindowType,
    pub(crate) sliding_window_size: u32,
    pub(crate) minimum_number_of_calls: u32,
    pub(crate) failure_rate_threshold: f64,
    pub(crate) slow_call_rate_threshold: f64,
    pub(crate) slow_call_duration_threshold_ms: u64,
    pub(crate) permitted_number_of_calls_in_half_open_state: u32,
    pub(crate) max_wait_duration_in_half_open_state_ms: u64,
    pub(crate) transition_to_state_after_wait_duration: Option<StateName>,
    pub(crate) automatic_transition_from_open_to_half_open_enabled: bool,
    pub(crate) wait_interval_in_open_state: Interval,
    pub(crate) initial_state: StateName,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum WindowType {
    CountBased,
    TimeBased,
}

/// The states under Resilience4j's names.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum StateName {
    Closed,
    Open,
    HalfOpen,
    ForcedOpen,
    Disabled,
    MetricsOnly,
}

impl StateName {
    /// A change of state as the recorded events write it; `None` where it is none to see.
    pub(crate) fn change(self, to: Self) -> Option<String> {
        (self != to).then(|| format!("{}>{}", self.upstream(), to.upstream()))
    }

    const fn upstream(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Open => "OPEN",
            Self::HalfOpen => "HALF_OPEN",
            Self::ForcedOpen => "FORCED_OPEN",
            Self::Disabled => "DISABLED",
            Self::MetricsOnly => "METRICS_ONLY",
        }
    }
}

impl From<State> for StateName {
    fn from(state: State) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::Open => Self::Open,
            State::HalfOpen => Self::HalfOpen,
            State::ForcedOpen => Self::ForcedOpen,
            State::Disabled => Self::Disabled,
            State::MetricsOnly => Self::MetricsOnly,
        }
    }
}

impl From<StateName> for State {
    fn from(state: StateName) -> Self {
        match state {
            StateName::Closed => Self::Closed,
            StateName::Open => Self::Open,
            StateName::HalfOpen => Self::HalfOpen,
            StateName::ForcedOpen => Self::ForcedOpen,
            StateName::Disabled => Self::Disabled,
            StateName::MetricsOnly => Self::MetricsOnly,
        }
    }
}

/// What is done at one step. `ms` of an outcome is how long the call took.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(tag = "op", rename_all = "snake_case")]
pub(crate) enum Step {
    Advance { ms: u64 },
    TryAcquire { call: Option<u64> },
    Success { ms: u64, call: Option<u64> },
    Error { ms: u64, call: Option<u64> },
    Ignored { call: Option<u64> },
    UnrecordedError { ms: u64, call: Option<u64> },
    Release { call: Option<u64> },
    ForceOpen,
    Disable,
    MetricsOnly,
    Close,
    ToOpen,
    ToOpenFor { ms: u64 },
    ToHalfOpen,
    Reset,
}

/// What a breaker looks like after a step. A rate of -1 is none.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(from = "RawRow")]
pub(crate) struct Row {
    pub(crate) permitted: Option<bool>,
    pub(crate) state: StateName,
    pub(crate) failure_rate: f64,
    pub(crate) slow_call_rate: f64,
    pub(crate) buffered: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
    pub(crate) not_permitted: u64,
}

type RawRow = (Option<bool>, StateName, f64, f64, u64, u64, u64, u64);

impl From<RawRow> for Row {
    fn from((permitted, state, failure_rate, slow_call_rate, buffered, failed, slow, not_permitted): RawRow) -> Self {
        Self { permitted, state, failure_rate, slow_call_rate, buffered, failed, slow, not_permitted }
    }
}

/// Rates are 32-bit floats at the origin; the rest must be equal.
impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        let rest = |row: &Self| (row.permitted, row.state, row.buffered, row.failed, row.slow, row.not_permitted);
        rest(self) == rest(other)
            && (self.failure_rate - other.failure_rate).abs() <= 1e-4
            && (self.slow_call_rate - other.slow_call_rate).abs() <= 1e-4
    }
}
