//! Least requests: the fewest calls in flight by weight, of all or of a few.

use std::array;

use super::{super::load::Moment, Candidates, Chance, first_from, weight};

/// So many are looked at. More than two, because latency does not help here; few enough that not all clients find the same
/// one idle.
const LOOKS: usize = 8;

pub(super) fn choose(candidates: &impl Candidates, chance: &mut Chance, now: Moment) -> Option<usize> {
    let n = candidates.len();
    if n == 0 {
        return None;
    }
    let start = chance.below(n);
    let seen: [usize; LOOKS] = array::from_fn(|k| if n > LOOKS { chance.below(n) } else { (start + k) % n });
    let seen = || seen[..n.min(LOOKS)].iter().copied().filter(|i| candidates.usable(*i));
    let Some(first) = seen().next() else { return first_from(candidates, start) };
    let usual = weight(candidates, first);
    let differ = seen().any(|i| weight(candidates, i) != usual);
    let (mut best, mut lowest) = (first, (true, f32::INFINITY));
    for i in seen() {
        let look = candidates.load(i).look(now);
        let [place, _] = if differ { chance.places() } else { [1.0; 2] };
        let cost = (look.penalised, look.busy(place) / weight(candidates, i) as f32);
        if cost < lowest {
            (best, lowest) = (i, cost);
        }
    }
    Some(best)
}
