//! What breaks when, and who comes to the shop when: the same for both runs.

use std::{ops::Range, time::Duration};

use crate::{random::Random, upstream::Fault};

/// The length of a run in ticks. A tick is a second, unless `--seconds` squeezes the script.
pub(crate) const TICKS: u32 = 26;

/// How many seconds a run takes by default.
pub(crate) const SECONDS: u32 = TICKS;

/// Customers per second.
pub(crate) const RATE: f64 = 150.0;

/// A fault of the script.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    /// Inventory, prices, recommendations.
    pub(crate) upstream: usize,
    pub(crate) fault: Fault,
    pub(crate) ticks: Range<u32>,
    /// When the next one begins, or the script ends.
    pub(crate) next: u32,
}

/// The faults, in order.
pub(crate) const ACTS: [Act; 4] = [
    Act { upstream: 2, fault: Fault::Hanging, ticks: 1..3, next: 7 },
    Act { upstream: 1, fault: Fault::Slow, ticks: 7..9, next: 14 },
    Act { upstream: 0, fault: Fault::Failing, ticks: 14..16, next: 20 },
    Act { upstream: 0, fault: Fault::Closed, ticks: 20..22, next: TICKS },
];

/// A customer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) product: u64,
}

/// Open loop: a Poisson process that does not care how the shop is doing.
pub(crate) fn arrivals(seed: u64, tick: Duration) -> Vec<Arrival> {
    let mut random = Random::new(seed);
    let mut at = 0.0;
    let mut arrivals = Vec::new();
    loop {
        at += random.exponential() / RATE;
        if at >= (tick * TICKS).as_secs_f64() {
            return arrivals;
        }
        arrivals.push(Arrival { at: Duration::from_secs_f64(at), product: random.below(1000) });
    }
}
