//! In turn: one after the other, or by a schedule in which each endpoint has turns by its weight.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{Candidates, Chance, sound, weight};

/// So many that are in slow start can be passed over; then the one of them that is furthest gets the call. Slow start
/// begins with a tenth, so with all in it there is one in 30 calls that gets this far.
const PASSES: u32 = 32;

/// Whose turn it is.
#[derive(Debug)]
pub(super) struct Turns {
    /// Which has which turn; empty if each has its own.
    schedule: Box<[u32]>,
    /// The weight at which an endpoint takes all of its turns. Below, it passes on as many as its share asks for.
    full: Box<[f64]>,
}

impl Turns {
    /// One turn for each.
    pub(super) fn equal(weights: &[f64]) -> Self {
        Self { schedule: Box::default(), full: weights.iter().copied().map(sound).collect() }
    }

    /// At most `4 n + 64` turns. Shares are exact: where there is no schedule of that length with such shares, endpoints have
    /// turns in excess, by less than one each, and pass them on by chance.
    pub(super) fn weighted(weights: &[f64]) -> Self {
        let mut full: Box<[f64]> = weights.iter().copied().map(sound).collect();
        let n = full.len();
        let lowest = full.iter().copied().fold(f64::INFINITY, f64::min);
        let sum: f64 = full.iter().sum();
        let most = 4 * n + 64;
        let turns = |times: f64| full.iter().map(move |weight| times * weight / lowest);
        let exact = (1..=most).map(|times| times as f64).take_while(|times| times * sum / lowest <= most as f64 + 0.5);
        let exact = { exact }.find(|times| turns(*times).all(|turns| (turns - turns.round()).abs() < 1e-6));
        let counts: Vec<u64> = match exact {
            Some(times) => turns(times).map(|turns| turns.round() as u64).collect(),
            None => {
                let each = (3 * n + 64) as f64 / sum;
                let counts: Vec<_> = full.iter().map(|weight| (weight * each).ceil().max(1.0)).collect();
                full.iter_mut().zip(&counts).for_each(|(full, count)| *full = count / each);
                counts.into_iter().map(|count| count as u64).collect()
            }
        };
        Self { schedule: spread(&counts), full }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.schedule.len()
    }

    pub(super) fn take(&self, candidates: &impl Candidates, turn: &AtomicU64, chance: &mut Chance) -> Option<usize> {
        let len = if self.schedule.is_empty() { candidates.len() } else { self.schedule.len() };
        if len == 0 {
            return None;
        }
        let mut at = (turn.fetch_add(1, Relaxed) % len as u64) as usize;
        let (mut furthest, mut most, mut passes) = (None, -1.0, 0);
        // Once around finds all that are usable; what is beyond that is for those in slow start.
        for skipped in 0..len as u64 + u64::from(PASSES) {
            let i = self.schedule.get(at).map_or(at, |i| *i as usize);
            if i < candidates.len() && candidates.usable(i) {
                let share = weight(candidates, i) / self.full.get(i).copied().unwrap_or(0.0);
                if share >= 1.0 || chance.unit() < share {
                    return Some(taken(i, skipped, turn));
                }
                if share > most {
                    (furthest, most) = (Some(i), share);
                }
                passes += 1;
                if passes == PASSES {
                    return furthest.map(|i| taken(i, skipped, turn));
                }
            }
            at += 1;
            if at == len {
                at = 0;
            }
        }
        furthest
    }
}

/// The turns of those that were passed over are used up, so the next in line does not get theirs on top of its own.
fn taken(i: usize, skipped: u64, turn: &AtomicU64) -> usize {
    if skipped > 0 {
        turn.fetch_add(skipped, Relaxed);
    }
    i
}

/// So many turns of each, spread evenly: each has its k-th turn of c within the k-th c-th of the schedule, to whole turns, so
/// it never is a whole turn ahead or behind. The earliest end goes first, of those that have begun: which finds such an order
/// for turns of length one whenever there is one, and there is (Pfair: Baruah and others, 1996). NGINX's order takes O(n)
/// for each turn, this one O(log n).
fn spread(counts: &[u64]) -> Box<[u32]> {
    let all: u64 = counts.iter().sum();
    let mut turns: Vec<_> = (counts.iter().zip(0_u32..))
        .flat_map(|(count, i)| (0..*count).map(move |k| (k * all / count, ((k + 1) * all).div_ceil(*count), i)))
        .collect();
    turns.sort_unstable();
    let mut turns = turns.into_iter().peekable();
    let mut begun = BinaryHeap::new();
    let order = (0..all).map(|at| {
        while let Some((_, end, i)) = turns.next_if(|(begin, ..)| *begin <= at) {
            begun.push(Reverse((end, i)));
        }
        begun.pop().map_or(0, |Reverse((_, i))| i)
    });
    order.collect()
}
