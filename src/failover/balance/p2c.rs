//! Power of two choices: two are drawn, the cheaper gets the call.

use super::{
    super::load::{Moment, are_alike},
    Candidates, Chance, first_from, weight,
};

/// How often is drawn before all are looked at.
const DRAWS: u32 = 4;

pub(super) fn choose(candidates: &impl Candidates, chance: &mut Chance, now: Moment) -> Option<usize> {
    let one = any(candidates, chance)?;
    let Some(other) = another(candidates, one, chance) else { return Some(one) };
    let (look, other_look) = (candidates.load(one).look(now), candidates.load(other).look(now));
    if look.penalised != other_look.penalised {
        return Some(if look.penalised { other } else { one });
    }
    let (weight, other_weight) = (weight(candidates, one) as f32, weight(candidates, other) as f32);
    let drawn = weight != other_weight || are_alike(&look, &other_look);
    let [place, other_place] = if drawn { chance.places() } else { [1.0; 2] };
    let (latency, other_latency) = look.latencies(&other_look);
    let cost = latency * look.busy(place) * other_weight;
    let other_cost = other_latency * other_look.busy(other_place) * weight;
    Some(if other_cost < cost { other } else { one })
}

fn any(candidates: &impl Candidates, chance: &mut Chance) -> Option<usize> {
    let n = candidates.len();
    if n == 0 {
        return None;
    }
    for _ in 0..DRAWS {
        let i = chance.below(n);
        if candidates.usable(i) {
            return Some(i);
        }
    }
    first_from(candidates, chance.below(n))
}

fn another(candidates: &impl Candidates, one: usize, chance: &mut Chance) -> Option<usize> {
    let n = candidates.len();
    if n == 1 {
        return None;
    }
    let mut i = one;
    for _ in 0..DRAWS {
        i = one + 1 + chance.below(n - 1);
        i -= if i < n { 0 } else { n };
        if candidates.usable(i) {
            return Some(i);
        }
    }
    (i..n).chain(0..i).find(|i| *i != one && candidates.usable(*i))
}
