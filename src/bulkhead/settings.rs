//! What can be set on a bulkhead, its defaults, and what is refused.

use std::time::Duration;

use crate::{
    settings::{Check, ConfigError},
    telemetry::Name,
};

/// The settings of a bulkhead. Given through the [builder](super::BulkheadBuilder), changed in place through
/// [`BulkheadHandle::change`](super::BulkheadHandle::change).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSettings {
    /// How many calls may run at once. Default 25; 1 to 2,147,483,647.
    pub max_concurrent: u32,
    /// How many more may wait for a place. Default 0: a call that finds no place is refused; at most 1,000,000.
    pub max_waiting: u32,
    /// The longest that a call waits, if its deadline is not earlier. Default 1 s, over 0.
    pub max_wait: Duration,
    /// Who of those that wait is next. Default: who came first.
    pub order: Order,
}

/// Who of those that wait is next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Who came first. Fair; under overload everybody waits long.
    #[default]
    Fifo,
    /// Who came last. Under overload some are served at once, and the others, who would be late anyway, not at all.
    Lifo,
}

impl Default for BulkheadSettings {
    fn default() -> Self {
        Self { max_concurrent: 25, max_waiting: 0, max_wait: Duration::from_secs(1), order: Order::Fifo }
    }
}

impl BulkheadSettings {
    /// Checks the settings of the bulkhead called `component`.
    ///
    /// # Errors
    /// The first field whose value makes no sense, with what is allowed.
    pub fn check(&self, component: &Name) -> Result<(), ConfigError> {
        let check = Check::of(component);
        check.that(
            (1..=u32::MAX >> 1).contains(&self.max_concurrent),
            "max_concurrent",
            self.max_concurrent,
            "1 to 2,147,483,647",
        )?;
        check.that(self.max_waiting <= 1_000_000, "max_waiting", self.max_waiting, "at most 1,000,000")?;
        check.positive("max_wait", self.max_wait)
    }
}
