//! The seedable source of jitter and of choices.

use std::hash::{BuildHasher, RandomState};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::sync::Mutex;

/// A seed from the operating system, by way of the hasher keys that the standard library draws. On a thread made
/// [`repeatable`], the next of its seeds.
pub(crate) fn entropy() -> u64 {
    #[cfg(feature = "storm")]
    if let Some(seed) = next_repeatable() {
        return seed;
    }
    RandomState::new().hash_one(0_u8)
}

#[cfg(feature = "storm")]
thread_local! {
    static REPEATABLE: std::cell::RefCell<Option<Rng>> = const { std::cell::RefCell::new(None) };
}

/// From here on all seeds that this thread asks for follow from `seed`.
#[cfg(feature = "storm")]
pub(crate) fn repeatable(seed: u64) {
    REPEATABLE.set(Some(Rng::seeded(seed)));
}

#[cfg(feature = "storm")]
fn next_repeatable() -> Option<u64> {
    REPEATABLE.with_borrow_mut(|seeds| seeds.as_mut().map(|seeds| seeds.0.random()))
}

/// A generator owned by one decision.
#[derive(Clone, Debug)]
pub(crate) struct Rng(SmallRng);

impl Rng {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0.random()
    }
}

/// A generator shared by calls. Locked for a few instructions, and only by calls that need a draw.
#[derive(Debug)]
pub(crate) struct SharedRng(Mutex<Rng>);

impl SharedRng {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(Rng::seeded(seed)))
    }

    pub(crate) fn unit(&self) -> f64 {
        self.0.lock().unit()
    }

    /// As many as are wanted, at once.
    pub(crate) fn units<const N: usize>(&self) -> [f64; N] {
        let mut rng = self.0.lock();
        std::array::from_fn(|_| rng.unit())
    }
}
