//! Where we differ from Resilience4j on purpose, rule by rule: a sentence that states our answer, and where the rule may be used.

use super::scenario::{Scenario, Step};

/// A written difference. Nothing else is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    ExactWaitEnd,
    ForcedOpenFromAnyState,
    LateOutcomesCountNothing,
    UnpairedOutcomesCountNothing,
    PermitsNeverExceed,
    TransitionsVoidTimers,
    CapThenJitter,
    CheckedWhenBuilt,
    MaxUnderFirstWait,
    FactorOverZero,
    ShrinkingOpenWait,
    NeverNegative,
    DrainTakesThePeriod,
    HopelessWaits,
    NoOverRelease,
    ResizeNeverBlocks,
    LimitOverZero,
}

impl Rule {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ExactWaitEnd => "exact wait end",
            Self::ForcedOpenFromAnyState => "forced open from any state",
            Self::LateOutcomesCountNothing => "late outcomes count nothing",
            Self::UnpairedOutcomesCountNothing => "unpaired outcomes count nothing",
            Self::PermitsNeverExceed => "permits never exceed",
            Self::TransitionsVoidTimers => "transitions void timers",
            Self::CapThenJitter => "cap, then jitter",
            Self::CheckedWhenBuilt => "checked when built",
            Self::MaxUnderFirstWait => "maximum under the first wait",
            Self::FactorOverZero => "factor over zero",
            Self::ShrinkingOpenWait => "open wait that shrinks",
            Self::NeverNegative => "never negative",
            Self::DrainTakesThePeriod => "drain takes the period",
            Self::HopelessWaits => "no hopeless waits",
            Self::NoOverRelease => "no over-release",
            Self::ResizeNeverBlocks => "resize never blocks",
            Self::LimitOverZero => "limit over zero",
        }
    }

    /// Our answer.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::ExactWaitEnd => {
                "The wait is over at its end, not after it: a call at exactly that time is let through."
            }
            Self::ForcedOpenFromAnyState => "Opening by hand works from any state, METRICS_ONLY too.",
            Self::LateOutcomesCountNothing => {
                "An outcome whose call was let through before the last change of state is recorded nowhere."
            }
            Self::UnpairedOutcomesCountNothing => "An outcome without a call that was let through is recorded nowhere.",
            Self::PermitsNeverExceed => {
                "Only a call of the present half-open state gives a permit back, once: there are never more than set."
            }
            Self::TransitionsVoidTimers => "reset, as every transition, voids the timers of the state it ends.",
            Self::CapThenJitter => {
                "The base is kept so far below the cap that base plus jitter is at most the cap: waits stay spread there."
            }
            Self::CheckedWhenBuilt => {
                "A bad first wait or factor is refused when it is built, not when it is first used."
            }
            Self::MaxUnderFirstWait => "A maximum under the first wait is refused when built (the bare waits agree).",
            Self::FactorOverZero => {
                "A factor of zero or less is refused when built (the bare waits agree, from zero up)."
            }
            Self::ShrinkingOpenWait => {
                "A factor under one is refused for a breaker, whose open state would end at none (the bare waits agree)."
            }
            Self::NeverNegative => "A wait is never negative: zero instead.",
            Self::DrainTakesThePeriod => {
                "drain takes all that is left of the present period, whatever an earlier one left; a debt stays."
            }
            Self::HopelessWaits => {
                "A call that cannot succeed in time is refused at once, not after the whole timeout."
            }
            Self::NoOverRelease => "A place is a guard: who has none gives none back, and none is given back twice.",
            Self::ResizeNeverBlocks => {
                "A lower limit holds at once and nobody waits for it: none is let in until enough have left."
            }
            Self::LimitOverZero => "A limit of 0 is refused where it is set; if there was one before, that stays.",
        }
    }

    /// Whether the rule may change an answer of this breaker scenario at this step.
    pub(crate) fn applies(self, scenario: &Scenario, step: &Step) -> bool {
        let outcome = matches!(step, Step::Success { .. } | Step::Error { .. } | Step::UnrecordedError { .. });
        let given_back = matches!(step, Step::Ignored { .. } | Step::Release { .. });
        match self {
            // The timer of a wait of zero is due at the step that begins it.
            Self::ExactWaitEnd => {
                matches!(step, Step::TryAcquire { .. })
                    || scenario.config.automatic_transition_from_open_to_half_open_enabled
            }
            Self::ForcedOpenFromAnyState => matches!(step, Step::ToOpen | Step::ToOpenFor { .. }),
            Self::LateOutcomesCountNothing => outcome && scenario.has("late_outcomes"),
            Self::UnpairedOutcomesCountNothing => outcome && scenario.has("unpaired_outcomes"),
            Self::PermitsNeverExceed => {
                given_back && (scenario.has("late_outcomes") || scenario.has("unpaired_outcomes"))
            }
            Self::TransitionsVoidTimers => matches!(step, Step::Advance { .. }) && scenario.has("stale_timer"),
            _ => false,
        }
    }
}
