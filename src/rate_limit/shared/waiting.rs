//! How many calls wait, bounded.

use crate::sync::atomic::{AtomicUsize, Ordering};

/// Calls that wait, or ask for a turn that they would wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting(AtomicUsize);

impl Waiting {
    /// Takes a place among the `most` that may wait, unless all are taken.
    pub(super) fn enter(&self, most: u32) -> bool {
        let enter = |waiting| (waiting < most as usize).then_some(waiting + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).is_ok()
    }

    /// Gives the place back.
    pub(super) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
