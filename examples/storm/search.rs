//! Looks for a boundary, and for what is best: pure, over any function.

use crate::knob::Range;

/// Where `good` ends: the last value seen to be good and the first that was not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge {
    pub(crate) good: f64,
    pub(crate) bad: f64,
}

/// Halves the way between a good value and a bad one (by factors, if both are over 0) until they are as near as this, in
/// parts of the value, or as `next_to` says that nothing is in between.
pub(crate) fn bisect<E>(
    mut edge: Edge,
    near: f64,
    next_to: impl Fn(f64, f64) -> bool,
    mut good: impl FnMut(f64) -> Result<bool, E>,
) -> Result<Edge, E> {
    // Sixty halvings are more than a number has digits.
    for _ in 0..60 {
        let Edge { good: one, bad: other } = edge;
        if (one - other).abs() <= near * one.abs().max(other.abs()) || next_to(one, other) {
            break;
        }
        let middle = if one > 0.0 && other > 0.0 { (one * other).sqrt() } else { f64::midpoint(one, other) };
        if good(middle)? {
            edge.good = middle;
        } else {
            edge.bad = middle;
        }
    }
    Ok(edge)
}

/// Doubles and halves `from`, at most so many times, until it finds both sides. `None`: there is only one.
pub(crate) fn bracket<E>(
    from: f64,
    times: u32,
    mut good: impl FnMut(f64) -> Result<Option<bool>, E>,
) -> Result<Option<Edge>, E> {
    let Some(first) = good(from)? else { return Ok(None) };
    // Where more is worse, that is the way from good to bad; the other one is for knobs of which less is worse.
    let ways = if first { [2.0, 0.5] } else { [0.5, 2.0] };
    for factor in ways {
        let mut at = from;
        for _ in 0..times {
            let next = at * factor;
            match good(next)? {
                // It cannot be.
                None => break,
                Some(now) if now == first => at = next,
                Some(true) => return Ok(Some(Edge { good: next, bad: at })),
                Some(false) => return Ok(Some(Edge { good: at, bad: next })),
            }
        }
    }
    Ok(None)
}

/// Draws (SplitMix64), so that a search can be repeated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Looks for the places (0 to 1 for each of `number` knobs) with the greatest figure, in so many rounds: the first third by
/// chance, then one knob after the other, by steps that become smaller.
pub(crate) fn best<T: PartialOrd + Copy, E>(
    number: usize,
    rounds: u32,
    from: (T, Option<Vec<f64>>),
    mut value: impl FnMut(&[f64]) -> Result<T, E>,
) -> Result<Option<Vec<f64>>, E> {
    let (mut most, mut place) = from;
    let mut chance = Chance(1);
    let mut left = rounds;
    let mut attempt = |left: &mut u32, at: Vec<f64>, place: &mut Option<Vec<f64>>| {
        *left -= 1;
        let found = value(&at)?;
        let better = found > most;
        if better {
            (most, *place) = (found, Some(at));
        }
        Ok(better)
    };
    while left > rounds - rounds.div_ceil(3) {
        let at = (0..number).map(|_| chance.unit()).collect();
        attempt(&mut left, at, &mut place)?;
    }
    let mut step = 0.25;
    while left > 0 && step > 0.005 {
        let mut moved = false;
        for knob in 0..number {
            for way in [step, -step] {
                let mut at = place.clone().unwrap_or_else(|| vec![0.5; number]);
                let to = (at[knob] + way).clamp(0.0, 1.0);
                if left == 0 || to == at[knob] {
                    continue;
                }
                at[knob] = to;
                if attempt(&mut left, at, &mut place)? {
                    moved = true;
                    break;
                }
            }
        }
        if !moved {
            step /= 2.0;
        }
    }
    Ok(place)
}

/// How far along its range a number is, 0 to 1.
pub(crate) fn share(range: &Range, number: f64) -> f64 {
    let (from, to) = (range.from.number(), range.to.number());
    let share = if range.log { (number / from).ln() / (to / from).ln() } else { (number - from) / (to - from) };
    share.clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn at_most(limit: f64) -> impl Fn(f64) -> Result<bool, Infallible> {
        move |at| Ok(at <= limit)
    }

    #[test]
    fn bisection_ends_around_the_edge() {
        let Ok(edge) = bisect(Edge { good: 1.0, bad: 1e6 }, 0.01, |_, _| false, at_most(837.0));
        assert!(edge.good <= 837.0 && edge.bad > 837.0 && edge.bad / edge.good < 1.02, "{edge:?}");
        let Ok(whole) = bisect(Edge { good: 1.0, bad: 100.0 }, 0.0, |one, other| other - one <= 1.0, at_most(4.0));
        assert!(whole.bad - whole.good <= 1.0 && whole.good <= 4.0 && whole.bad > 4.0, "{whole:?}");
        let Ok(down) = bisect(Edge { good: 100.0, bad: 0.0 }, 0.01, |_, _| false, |at| at_most(7.0)(at).map(|it| !it));
        assert!(down.good > 7.0 && down.bad <= 7.0 && down.good - down.bad < 0.1, "{down:?}");
    }

    #[test]
    fn a_bracket_is_found_on_either_side() {
        let found = |from, limit: f64| bracket(from, 8, |at| at_most(limit)(at).map(Some)).unwrap();
        assert_eq!(found(600.0, 2000.0), Some(Edge { good: 1200.0, bad: 2400.0 }));
        assert_eq!(found(600.0, 200.0), Some(Edge { good: 150.0, bad: 300.0 }));
        assert_eq!(found(600.0, 1e9), None, "it never falls");
        let less_is_worse = |at: f64| Ok::<_, Infallible>(Some(at >= 100.0));
        assert_eq!(bracket(600.0, 8, less_is_worse).unwrap(), Some(Edge { good: 150.0, bad: 75.0 }));
        let cannot_be = |at: f64| Ok::<_, Infallible>((at < 1000.0).then_some(at >= 100.0));
        assert_eq!(bracket(600.0, 8, cannot_be).unwrap(), Some(Edge { good: 150.0, bad: 75.0 }));
    }

    #[test]
    fn the_search_finds_the_top_of_a_hill_and_can_be_repeated() {
        let search = |x: f64, y: f64| {
            let hill = |at: &[f64]| Ok::<_, Infallible>(-(at[0] - x).powi(2) - (at[1] - y).powi(2));
            best(2, 90, (f64::NEG_INFINITY, None), hill).unwrap().unwrap()
        };
        for (x, y) in [(0.3, 0.8), (0.1, 0.5), (0.95, 0.05)] {
            let top = search(x, y);
            assert!((top[0] - x).abs() < 0.01 && (top[1] - y).abs() < 0.01, "{top:?}");
            assert_eq!(top, search(x, y));
        }
        let mut tried = 0;
        let flat = |_: &[f64]| {
            tried += 1;
            Ok::<_, Infallible>(0.0)
        };
        assert_eq!(best(1, 10, (0.0, None), flat).unwrap(), None, "nothing is better than what there was");
        assert!(tried <= 10);
    }
}
