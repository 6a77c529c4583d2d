//! What the model says of one step.

use super::rules::Rule;

/// Where an outcome comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A call that was let through since the last change of state.
    Current,
    /// One that was let through before it.
    Late,
    /// No call, a refused one, or one that has already ended.
    Unpaired,
}

/// What a step brought about, besides the row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) permitted: Option<bool>,
    pub(crate) exception: Option<&'static str>,
    /// Changes of state that can be seen, in order.
    pub(crate) changes: Vec<String>,
    /// The rules that changed this answer. Those that would not have been needed but for an earlier rule (the
    /// recorded breaker was in another state) are left out.
    pub(crate) rules: Vec<Rule>,
    /// If it was an outcome: where it comes from.
    pub(super) origin: Option<Origin>,
    /// Whether the state before the step had a timer.
    pub(super) timer_pending: bool,
}
