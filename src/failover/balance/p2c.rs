//! Power of two choices: two are drawn, the cheaper gets the call.

use super::{
    super::load::{Moment, are_alike},
    Candidates, Chance, first_from, weight,
};

/// How often is drawn before all are looked at.
const DRAWS: u32 = 4;

pub(super) fn choose(candidates: &impl Candidates, chance: &mut Chance, now: Moment) -> Option<usize> {
    let (one, other) = two(candidates, chance)?;
    if one == other {
        return Some(one);
    }
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

/// Two that are usable, and different if there are two.
fn two(candidates: &impl Candidates, chance: &mut Chance) -> Option<(usize, usize)> {
    let n = candidates.len();
    if n < 2 {
        return (n == 1 && candidates.usable(0)).then_some((0, 0));
    }
    for _ in 0..DRAWS {
        let (one, other) = chance.two_below(n);
        if candidates.usable(one) && candidates.usable(other) {
            return Some((one, other));
        }
    }
    let (one, from) = chance.two_below(n);
    let one = first_from(candidates, one)?;
    let other = (from..n).chain(0..from).find(|i| *i != one && candidates.usable(*i));
    Some((one, other.unwrap_or(one)))
}
