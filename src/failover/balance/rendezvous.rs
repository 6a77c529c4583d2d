//! Rendezvous hashing: each call is drawn to each endpoint by a number that follows from both, and goes where it is
//! drawn most. The numbers are the same in all processes, on all platforms and in all versions of this crate.

use super::{Candidates, weight};

/// What ties calls to an endpoint: those of the same affinity go to the same one.
///
/// Made of bytes, a string or a number, and the same for the same one in every process:
///
/// ```
/// use steadfast::failover::Affinity;
///
/// let affinity = Affinity::from("user-17");
/// assert_eq!(affinity, Affinity::from(b"user-17".as_slice()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Affinity(u64);

impl Affinity {
    pub(in crate::failover) const fn bits(self) -> u64 {
        self.0
    }
}

impl From<&[u8]> for Affinity {
    fn from(bytes: &[u8]) -> Self {
        Self(hash(bytes))
    }
}

impl From<&str> for Affinity {
    fn from(text: &str) -> Self {
        Self(hash(text.as_bytes()))
    }
}

impl From<&String> for Affinity {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<u64> for Affinity {
    fn from(number: u64) -> Self {
        Self(mix(number.wrapping_add(GOLDEN)))
    }
}

/// The endpoint that calls of this affinity are drawn to most, of those that are usable: where the first is not, the second.
/// Weighted as in Schindelhauer and Schomaker's logarithmic method: `-w / ln(u)`, here upside down.
pub(super) fn choose(candidates: &impl Candidates, affinity: u64) -> Option<usize> {
    let mut best = None;
    let mut lowest = f64::INFINITY;
    for i in (0..candidates.len()).filter(|i| candidates.usable(*i)) {
        let distance = minus_ln(drawn(candidates.hash(i), affinity)) / weight(candidates, i);
        if distance < lowest || best.is_none() {
            (best, lowest) = (Some(i), distance);
        }
    }
    best
}

/// In `(0, 1)`.
fn drawn(key: u64, affinity: u64) -> f64 {
    unit(mix((key ^ affinity).wrapping_add(GOLDEN)))
}

/// FNV-1a, whose high bits hardly know of the last byte, and then the finaliser.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)))
}

/// The step of SplitMix64.
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// In `(0, 1)`, without its ends.
pub(super) fn unit(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

/// `-ln(x)` of an `x` in `(0, 1)`, to eleven digits. Made of operations that give the same bits everywhere, which the
/// logarithms of platforms need not.
pub(super) fn minus_ln(x: f64) -> f64 {
    const SQRT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    // x = m * 2^e, with m between the square roots of a half and of two.
    let e = (x.to_bits().wrapping_sub(SQRT_HALF) as i64) >> 52;
    let m = f64::from_bits(x.to_bits().wrapping_sub((e << 52) as u64));
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let series = [1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0, 1.0];
    let ln_m = 2.0 * s * series.iter().fold(1.0 / 15.0, |sum, term| sum * q + term);
    -(ln_m + e as f64 * std::f64::consts::LN_2)
}
