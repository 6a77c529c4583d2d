//! What is known of a call that waits: how important it is, and whose it is.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{Priority, context};

/// How important a call is among those that wait: its priority, and within that whether it is a first attempt. The higher,
/// the more important.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class(u8);

impl Class {
    pub(super) const COUNT: usize = 2 * Priority::ALL.len();

    pub(super) fn new(priority: Priority, repeated: bool) -> Self {
        Self(2 * priority as u8 + u8::from(!repeated))
    }

    pub(super) fn at(index: usize) -> Self {
        debug_assert!(index < Self::COUNT);
        Self(index as u8)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The place of its priority in [`Priority::ALL`].
    pub(super) fn priority(self) -> usize {
        usize::from(self.0 / 2)
    }
}

/// Says how important a request is. Implemented by `Fn(&Req) -> Priority`.
pub trait PriorityOf<Req> {
    /// How important `request` is. Asked only for a call that finds no place, in its first poll.
    fn priority_of(&self, request: &Req) -> Priority;
}

/// The priority in the [call context](crate::context::priority).
#[derive(Clone, Copy, Debug, Default)]
pub struct FromContext;

impl<Req> PriorityOf<Req> for FromContext {
    fn priority_of(&self, _: &Req) -> Priority {
        context::priority()
    }
}

impl<F, Req> PriorityOf<Req> for F
where
    F: Fn(&Req) -> Priority,
{
    fn priority_of(&self, request: &Req) -> Priority {
        self(request)
    }
}

/// Says whose a request is, by what is to be shared fairly. Implemented by `Fn(&Req) -> K` for every `K: Hash`.
pub trait KeyOf<Req> {
    /// Feeds the key of `request` to `hasher`. Asked only for a call that finds no place, in its first poll.
    fn key_of(&self, request: &Req, hasher: &mut dyn Hasher);
}

/// All requests are one's.
#[derive(Clone, Copy, Debug, Default)]
pub struct OneKey;

impl<Req> KeyOf<Req> for OneKey {
    fn key_of(&self, _: &Req, _: &mut dyn Hasher) {}
}

impl<F, Req, K> KeyOf<Req> for F
where
    F: Fn(&Req) -> K,
    K: Hash,
{
    fn key_of(&self, request: &Req, mut hasher: &mut dyn Hasher) {
        self(request).hash(&mut hasher);
    }
}

/// The flow of a request among `flows`, by a hash that nobody outside can foresee.
pub(super) fn flow<Req>(key: &impl KeyOf<Req>, request: &Req, seed: u64, flows: usize) -> usize {
    if flows == 1 {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    key.key_of(request, &mut hasher);
    (hasher.finish() % flows as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_the_order_of_priorities_and_a_first_attempt_is_over_a_later_one() {
        let all: Vec<_> = Priority::ALL
            .into_iter()
            .flat_map(|priority| [true, false].map(|repeated| Class::new(priority, repeated)))
            .collect();
        assert_eq!(all.iter().map(|class| class.index()).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(all.iter().map(|class| class.priority()).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
        assert!(all.is_sorted() && all.len() == Class::COUNT);
    }

    #[test]
    fn keys_are_spread_by_a_hash_of_which_the_seed_is_part() {
        let of = |seed| move |key: u32| flow(&|key: &u32| *key, &key, seed, 64);
        let (one, other): (Vec<_>, Vec<_>) = ((0..100).map(of(1)).collect(), (0..100).map(of(2)).collect());
        assert_ne!(one, other);
        assert_eq!(one, (0..100).map(of(1)).collect::<Vec<_>>());
        let different: std::collections::BTreeSet<_> = one.iter().collect();
        assert!(different.len() > 40 && one.iter().all(|flow| *flow < 64), "{different:?}");
        assert_eq!(flow(&OneKey, &(), 1, 1), 0);
    }
}
