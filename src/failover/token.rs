//! What an attempt at another endpoint takes from the budget. Given back if the attempt is not sent after all, whatever becomes
//! of the call.

use std::sync::Arc;

use super::elsewhere::Ended;
use crate::{Verdict, retry::Budget};

#[derive(Default)]
pub(super) struct Token {
    of: Option<Arc<Budget>>,
    sent: bool,
}

impl Token {
    /// One of this budget, if there is one; `None`: there is none left.
    pub(super) fn take(budget: Option<&Arc<Budget>>) -> Option<Self> {
        let left = budget.is_none_or(|budget| budget.withdraw());
        left.then(|| Self { of: budget.cloned(), sent: false })
    }

    /// The attempt has been sent.
    #[inline]
    pub(super) fn sent(&mut self) {
        self.sent = true;
    }

    /// The attempt has ended. Whether it had a token.
    pub(super) fn ended(self, ended: Ended) -> bool {
        let Some(budget) = self.of.as_deref().filter(|_| self.sent) else { return false };
        match ended {
            Ended::Answered(Verdict::Success) => budget.retry_success(),
            // It made no load.
            Ended::Refused | Ended::NotReady | Ended::WrongRole | Ended::Failed { reached: false, .. } => {
                budget.not_sent();
            }
            Ended::Answered(_) | Ended::Failed { .. } => {}
        }
        true
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(budget) = self.of.as_deref().filter(|_| !self.sent) {
            budget.not_sent();
        }
    }
}
