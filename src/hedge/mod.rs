//! Hedge: a backup for a call that takes long, and the first success of the two.

mod core;
mod estimate;
mod handle;
mod settings;

use crate::{
    DefaultClassify,
    retry::{Backup, CloneRequest, Retry, RetryBuilder},
};

pub(crate) use self::core::{Core, Due, Why};
pub use self::{
    handle::{HedgeHandle, HedgeSnapshot},
    settings::{HedgeDelay, HedgeSettings},
};

/// When calls have a backup; given to [`RetryBuilder::hedge`](crate::retry::RetryBuilder::hedge), or used
/// [alone](Self::alone). Nothing is checked before that is built.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use = "a hedge does nothing until it is given to a retry"]
pub struct Hedge {
    pub(crate) settings: HedgeSettings,
}

impl Hedge {
    /// A layer that hedges and does nothing else: one backup for each call, late or after a failure.
    pub fn alone(self) -> RetryBuilder<DefaultClassify, CloneRequest, Backup> {
        Retry::builder().name("hedge").max_attempts(2).hedge(self)
    }
}
