//! Chance, by key: what is drawn for the second attempt of request 7 is the same whatever else happened, so all
//! policies meet the same arrivals, the same service times and the same failures.

/// What a draw is about; each has draws of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum About {
    Gap,
    Client,
    Class,
    Invalid,
    Service,
    ServiceToo,
    Rounding,
    Straggler,
    Failure,
    Backend,
    Name,
    World,
    Seed,
}

/// Milliseconds that end after every run, and of which a full queue can be summed up.
pub(super) const LONGEST: u64 = 1_000_000_000;

/// The source of all chance of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws {
    seed: u64,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: mix(seed ^ 0x5707_4d5e_ed00_0001) }
    }

    /// Any number, all equally likely.
    pub(super) fn bits(&self, about: About, which: u64, attempt: u64) -> u64 {
        mix(mix(mix(self.seed ^ about as u64) ^ which) ^ attempt)
    }

    /// Uniform in `[0, 1)`.
    pub(super) fn unit(&self, about: About, which: u64, attempt: u64) -> f64 {
        unit(self.bits(about, which, attempt))
    }

    /// One of `among`.
    pub(super) fn one_of(&self, about: About, which: u64, attempt: u64, among: usize) -> usize {
        ((self.unit(about, which, attempt) * among as f64) as usize).min(among - 1)
    }

    /// Normal, with mean 0 and deviation 1 (Box and Muller).
    pub(super) fn normal(&self, which: u64, attempt: u64) -> f64 {
        let radius = (-2.0 * self.positive(About::Service, which, attempt).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit(About::ServiceToo, which, attempt)).cos()
    }

    /// Exponential, with mean 1.
    pub(super) fn exponential(&self, about: About, which: u64, attempt: u64) -> f64 {
        -self.positive(about, which, attempt).ln()
    }

    /// Whole milliseconds, without bias; at most [`LONGEST`].
    pub(super) fn rounded(&self, millis: f64, which: u64, attempt: u64) -> u64 {
        ((millis + self.unit(About::Rounding, which, attempt)) as u64).min(LONGEST)
    }

    /// Uniform in `(0, 1]`.
    fn positive(&self, about: About, which: u64, attempt: u64) -> f64 {
        1.0 - self.unit(about, which, attempt)
    }
}

fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_means_and_the_spread_they_should() {
        let draws = Draws::new(7);
        let (mut unit, mut normal, mut squares, mut exponential, mut rounded) = (0.0, 0.0, 0.0, 0.0, 0);
        let many = 200_000;
        for which in 0..many {
            unit += draws.unit(About::Failure, which, 1);
            let one = draws.normal(which, 1);
            normal += one;
            squares += one * one;
            exponential += draws.exponential(About::Gap, which, 0);
            rounded += draws.rounded(2.3, which, 1);
        }
        let near = |sum: f64, mean: f64| (sum / many as f64 - mean).abs() < 0.01;
        assert!(near(unit, 0.5) && near(normal, 0.0) && near(squares, 1.0) && near(exponential, 1.0));
        assert!(near(rounded as f64, 2.3), "{rounded}");
    }

    #[test]
    fn no_time_is_too_long_to_be_summed_up() {
        let draws = Draws::new(7);
        assert_eq!([1e300, f64::INFINITY].map(|millis| draws.rounded(millis, 1, 1)), [LONGEST; 2]);
    }

    #[test]
    fn each_key_has_its_own_draw() {
        let draws = Draws::new(7);
        let mut seen = std::collections::HashSet::new();
        for which in 0..100 {
            for attempt in 0..100 {
                assert!(seen.insert(draws.bits(About::Failure, which, attempt)));
                assert!(seen.insert(draws.bits(About::Backend, which, attempt)));
            }
        }
        assert_ne!(Draws::new(8).bits(About::Failure, 0, 0), draws.bits(About::Failure, 0, 0));
    }
}
