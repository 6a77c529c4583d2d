//! Power of two choices: two are drawn, the cheaper gets the call.

use std::time::Duration;

use super::{Candidates, Chance, first_from, place, weight};

/// How often is drawn before all are looked at.
const DRAWS: u32 = 4;

pub(super) fn choose(candidates: &impl Candidates, chance: &mut Chance, now: Duration) -> Option<usize> {
    let one = any(candidates, chance)?;
    let Some(other) = another(candidates, one, chance) else { return Some(one) };
    let looks = [one, other].map(|i| candidates.load(i).look(now));
    if looks[0].penalised != looks[1].penalised {
        return Some(if looks[0].penalised { other } else { one });
    }
    let weights = [one, other].map(|i| weight(candidates, i));
    let drawn = weights[0] != weights[1] || looks[0].is_like(&looks[1]);
    let cost = looks[0].cost(&looks[1], place(drawn, chance)) * weights[1];
    let other_cost = looks[1].cost(&looks[0], place(drawn, chance)) * weights[0];
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
