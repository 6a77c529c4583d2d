//! How often a call has been attempted, counted once over all attempt engines of a stack.

use super::{Attempts, CURRENT, CallContext, Restore, Tried};
use crate::retry::Budget;

fn address(budget: Option<&Budget>) -> usize {
    budget.map_or(0, |budget| std::ptr::from_ref(budget).addr())
}

/// One layer's count of attempts, which it shares with every other attempt engine above and below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptCount(Attempts);

impl AttemptCount {
    /// The count of a call that arrives here: what a layer above has begun, or a new one of `allowed`.
    pub(crate) fn begin(allowed: u32, budget: Option<&Budget>) -> Self {
        let budget = address(budget);
        let new = Attempts { made: 1, allowed, budget, tried: Tried::default() };
        Self(CURRENT.get().attempts.map_or(new, |above| Attempts {
            allowed: above.allowed.min(above.made.saturating_sub(1).saturating_add(allowed)),
            budget,
            ..above
        }))
    }

    /// Of a call that has not arrived yet.
    pub(crate) const fn none() -> Self {
        Self(Attempts { made: 1, allowed: 1, budget: 0, tried: Tried([0; 6]) })
    }

    /// Whether a layer above has deposited for this call into the same budget.
    pub(crate) fn deposited(budget: &Budget) -> bool {
        CURRENT.get().attempts.is_some_and(|above| above.budget == address(Some(budget)))
    }

    /// How many attempts have been made in all, by this layer and those above and below it.
    pub(crate) fn made(&self) -> u32 {
        self.0.made
    }

    /// Whether there may be a further attempt.
    pub(crate) fn left(&self) -> bool {
        self.0.made < self.0.allowed
    }

    /// Counts a further attempt, which those above learn of at once: they may have others under way.
    pub(crate) fn take(&mut self) {
        self.0.made += 1;
        let mut outside = CURRENT.get();
        if let Some(above) = &mut outside.attempts {
            above.made = above.made.max(self.0.made);
            CURRENT.set(outside);
        }
    }

    /// The endpoints that have been tried, by this layer and those above and below it.
    pub(crate) fn tried(&self) -> Tried {
        self.0.tried
    }

    /// This endpoint is being tried, which those above learn of at once: they may have other attempts under way.
    pub(crate) fn tries(&mut self, endpoint: u32) {
        self.0.tried.add(endpoint);
        let mut outside = CURRENT.get();
        if let Some(above) = &mut outside.attempts {
            above.tried.add(endpoint);
            CURRENT.set(outside);
        }
    }

    /// Runs `poll` with this count in the context, and carries back the attempts that were made below.
    #[inline(always)]
    pub(crate) fn enter<T>(&mut self, poll: impl FnOnce() -> T) -> T {
        let outside = self.cut();
        let restore = Restore(outside);
        CURRENT.set(CallContext { attempts: Some(self.0), ..outside });
        let value = poll();
        let inside = CURRENT.get();
        // `leave` does it.
        std::mem::forget(restore);
        if let Some(below) = inside.attempts {
            self.0.made = below.made.max(self.0.made);
            self.0.tried = below.tried;
        }
        self.leave(inside, outside);
        value
    }

    /// As [`enter`](Self::enter), for one of several attempts that are under way at once: it sees its own `number`, and
    /// what is left to all of them.
    pub(crate) fn enter_as<T>(&mut self, number: &mut u32, poll: impl FnOnce() -> T) -> T {
        let outside = self.cut();
        let left = self.0.allowed.saturating_sub(self.0.made);
        let seen = Attempts { made: *number, allowed: number.saturating_add(left), ..self.0 };
        let restore = Restore(outside);
        CURRENT.set(CallContext { attempts: Some(seen), ..outside });
        let value = poll();
        let inside = CURRENT.get();
        // `leave` does it.
        std::mem::forget(restore);
        if let Some(below) = inside.attempts {
            let more = below.made.saturating_sub(*number);
            *number += more;
            self.0.made = self.0.made.saturating_add(more);
            self.0.tried = below.tried;
        }
        self.leave(inside, outside);
        value
    }

    /// The context around this count, and what is left in it: another attempt above may have used some up.
    #[inline(always)]
    fn cut(&mut self) -> CallContext {
        let outside = CURRENT.get();
        if let Some(above) = outside.attempts {
            let left = above.allowed.saturating_sub(above.made);
            self.0.allowed = self.0.allowed.min(self.0.made.saturating_add(left));
            self.0.tried = above.tried;
        }
        outside
    }

    #[inline(always)]
    fn leave(&self, inside: CallContext, outside: CallContext) {
        let attempts =
            outside.attempts.map(|above| Attempts { made: self.0.made.max(above.made), tried: self.0.tried, ..above });
        CURRENT.set(CallContext { limit: inside.limit, attempts, ..outside });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Priority,
        context::{attempt, is_repeated, priority, without_attempts},
    };

    #[test]
    fn a_later_attempt_is_known_below_and_so_is_how_important_the_call_is() {
        let told = CallContext::default().with_priority(Priority::Critical);
        let restore = Restore(CURRENT.replace(told));
        let mut engine = AttemptCount::begin(3, None);
        engine.enter(|| assert_eq!((is_repeated(), priority()), (false, Priority::Critical)));
        engine.take();
        engine.enter(|| {
            assert_eq!((is_repeated(), priority()), (true, Priority::Critical));
            // Another call, but for the one who sent it it is a later attempt all the same.
            without_attempts(|| assert_eq!(priority(), Priority::Critical));
        });
        assert!(!is_repeated());
        drop(restore);
        assert_eq!(CURRENT.get(), CallContext::EMPTY);
        assert!(CallContext::default().with_repeated(true).is_repeated());
    }

    #[test]
    fn attempts_are_counted_once_over_nested_engines() {
        let mut outer = AttemptCount::begin(3, None);
        outer.enter(|| {
            let mut inner = AttemptCount::begin(5, None);
            inner.take();
            inner.take();
            inner.enter(|| assert_eq!(attempt(), 3));
            assert!(!inner.left());
        });
        assert_eq!(outer.made(), 3);
        assert!(!outer.left());
        outer.enter(|| without_attempts(|| assert!(AttemptCount::begin(2, None).left())));
    }

    #[test]
    fn endpoints_tried_are_known_to_all_attempts_of_a_call_and_to_no_other_call() {
        let mut outer = AttemptCount::begin(4, None);
        let (mut one, mut two) = (1, 2);
        let mut below = outer.enter_as(&mut one, || AttemptCount::begin(2, None));
        outer.enter_as(&mut one, || {
            below.tries(7);
            below.enter(|| AttemptCount::begin(1, None).tries(8));
        });
        outer.enter_as(&mut two, || {
            let here = AttemptCount::begin(2, None);
            assert!(here.tried().contains(7) && here.tried().contains(8) && !here.tried().contains(9));
            without_attempts(|| assert!(!AttemptCount::begin(2, None).tried().contains(7)));
        });
        outer.enter_as(&mut two, || AttemptCount::begin(2, None).tries(9));
        assert!(outer.enter_as(&mut one, || below.enter(|| AttemptCount::begin(1, None).tried().contains(9))));
        (10..14).for_each(|endpoint| outer.tries(endpoint));
        assert!(!outer.tried().contains(7) && outer.tried().contains(8) && outer.tried().contains(13));
        assert_eq!(CURRENT.get(), CallContext::EMPTY);
    }

    #[test]
    fn attempts_under_way_at_once_have_their_own_numbers_and_share_what_is_left() {
        let mut outer = AttemptCount::begin(4, None);
        let (mut one, mut two) = (1, 2);
        outer.take();
        let mut below = outer.enter_as(&mut one, || AttemptCount::begin(9, None));
        outer.enter_as(&mut two, || assert_eq!((attempt(), is_repeated()), (2, true)));
        outer.enter_as(&mut one, || {
            assert_eq!((attempt(), is_repeated()), (1, false));
            below.enter(|| ());
            below.take();
            assert!(below.left());
        });
        assert_eq!((outer.made(), one, two), (3, 2, 2));
        outer.take();
        // The last one has been used up above.
        outer.enter_as(&mut one, || below.enter(|| assert_eq!(attempt(), 2)));
        assert!(!below.left() && !outer.left());
    }
}
