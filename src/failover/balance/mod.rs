//! Which of several equal endpoints gets the next call. Pure: takes `now` and chance.

mod least;
mod p2c;
mod rendezvous;
mod turns;

use std::{
    f32::consts::{LN_2, LOG2_E},
    sync::atomic::AtomicU64,
    time::Duration,
};

pub use self::rendezvous::Affinity;
use self::turns::Turns;
use super::load::{Load, Moment};

/// How calls are spread over the endpoints of a tier.
///
/// `n` is the number of endpoints; the costs are of a choice among endpoints that can nearly all be chosen. Where a call
/// has tried most of them already, each looks at up to all of them, and finds one if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Balance {
    /// One after the other, whatever their weights. For endpoints that are alike and calls that cost about the same. O(1).
    RoundRobin,
    /// In turn, by weight, and smoothly: an endpoint of twice the weight gets every other call and not two at a time. For
    /// shares that have to be exact. O(1).
    Weighted,
    /// The one with the fewest calls in flight by its weight, of all endpoints where there are up to 8, or of 8 drawn by
    /// chance. For calls that differ much in length, so that latency says little. O(1).
    LeastRequests,
    /// The cheaper of two drawn by chance: latency x (calls in flight + 1) / weight. The latency follows peaks, and a
    /// failed call does not look fast. Where two are equally busy and about as fast, each gets a share by its speed. Finds its
    /// way around endpoints that are slow or stalled, and asks a slow one again after seconds. The default. O(1).
    #[default]
    PeakEwma,
    /// The same endpoint for calls of the same [`Affinity`], as long as it is there, and the same next one when it is
    /// not (weighted rendezvous hashing). When an endpoint goes or comes, only its own calls move. All processes choose the
    /// same. For endpoints that cache. Calls without an affinity go as with [`PeakEwma`](Self::PeakEwma). O(n).
    Rendezvous,
}

/// What there is to choose from.
pub(super) trait Candidates {
    fn len(&self) -> usize;

    /// Whether this call can go there: it has not been there yet, and it fits its need. Mostly yes.
    fn usable(&self, i: usize) -> bool;

    fn load(&self, i: usize) -> &Load;

    /// What it weighs now: slow start and what it has reported included.
    fn weight(&self, i: usize) -> f64;

    /// [`key_hash`] of its key.
    fn hash(&self, i: usize) -> u64;
}

/// Chooses from one list of candidates. Made when the list changes.
#[derive(Debug)]
pub(super) struct Chooser {
    balance: Balance,
    turns: Turns,
}

impl Chooser {
    /// `weights` are those without slow start.
    pub(super) fn new(balance: Balance, weights: &[f64]) -> Self {
        let turns = match balance {
            Balance::RoundRobin => Turns::equal(weights),
            Balance::Weighted => Turns::weighted(weights),
            Balance::LeastRequests | Balance::PeakEwma | Balance::Rendezvous => Turns::equal(&[]),
        };
        Self { balance, turns }
    }

    /// The one to call: usable, and `None` only if none is. `turn` outlives the list, and is best begun by chance, or all
    /// processes begin with the same endpoint. `random` is uniform.
    pub(super) fn choose(
        &self,
        candidates: &impl Candidates,
        turn: &AtomicU64,
        affinity: Option<u64>,
        random: u64,
        now: Duration,
    ) -> Option<usize> {
        let mut chance = Chance(random);
        match (self.balance, affinity) {
            (Balance::RoundRobin | Balance::Weighted, _) => self.turns.take(candidates, turn, &mut chance),
            (Balance::LeastRequests, _) => least::choose(candidates, &mut chance, Moment::new(now)),
            (Balance::Rendezvous, Some(affinity)) => rendezvous::choose(candidates, affinity),
            (Balance::PeakEwma | Balance::Rendezvous, _) => p2c::choose(candidates, &mut chance, Moment::new(now)),
        }
    }
}

/// The hash of an endpoint's key, for [`Candidates::hash`].
pub(super) fn key_hash(key: &str) -> u64 {
    rendezvous::hash(key.as_bytes())
}

/// As many draws as are wanted, all from one number.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(rendezvous::GOLDEN);
        rendezvous::mix(self.0)
    }

    /// Less than `n`, which is not 0 and fits 32 bits.
    fn below(&mut self, n: usize) -> usize {
        (((self.next() >> 32) * n as u64) >> 32) as usize
    }

    /// Two different ones less than `n`, which is at least 2.
    fn two_below(&mut self, n: usize) -> (usize, usize) {
        let bits = self.next();
        let one = (((bits >> 32) * n as u64) >> 32) as usize;
        let other = one + 1 + ((u64::from(bits as u32) * (n as u64 - 1)) >> 32) as usize;
        (one, if other < n { other } else { other - n })
    }

    /// In `(0, 1)`.
    fn unit(&mut self) -> f64 {
        rendezvous::unit(self.next())
    }

    /// What one more call counts at two endpoints: a draw with a mean of 1. The lowest of `draw / weight` is each one's as often
    /// as it weighs, where the lowest of `1 / weight` would always be the heaviest one's, for as long as all are idle; and
    /// the same for latencies. With many calls in flight it makes no difference.
    fn places(&mut self) -> [f32; 2] {
        let bits = self.next();
        [exponential((bits >> 32) as u32), exponential(bits as u32)]
    }
}

/// Exponential with mean 1, to a hundredth.
fn exponential(bits: u32) -> f32 {
    // Of x = m / 2^e in (0, 1), with m in [1, 2): e - log2(m), which is met with its slope at both ends, so that small ones,
    // which decide for endpoints of little weight, are exact.
    let x = ((bits >> 9) as i32 as f32 + 0.5) * (1.0 / (1_u32 << 23) as f32);
    let e = 127 - (x.to_bits() >> 23) as i32;
    let t = f32::from_bits((x.to_bits() & 0x7f_ffff) | 0x3f80_0000) - 1.0;
    let log2 = t * (LOG2_E + t * (1.0 - LOG2_E - 0.164 + t * 0.164));
    (e as f32 - log2) * LN_2
}

/// No weight is so small, or so far from being a number, that it cannot be divided by.
fn weight(candidates: &impl Candidates, i: usize) -> f64 {
    sound(candidates.weight(i))
}

fn sound(weight: f64) -> f64 {
    if weight.is_nan() { 1e-6 } else { weight.clamp(1e-6, 1e6) }
}

/// The first that is usable, from `start` on and around.
fn first_from(candidates: &impl Candidates, start: usize) -> Option<usize> {
    (start..candidates.len()).chain(0..start).find(|i| candidates.usable(*i))
}

#[cfg(test)]
mod tests;
