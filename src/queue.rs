//! A queue of waiting calls: a list that any of them can leave.

use crate::slots::{List, Slots};

/// One place in a [`Queue`].
pub(crate) use crate::slots::Ticket as Place;

/// A list of values in the order in which they came.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    slots: Slots<T>,
    list: List,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Slots::new(), list: List::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn push_last(&mut self, value: T) -> Place {
        let place = self.slots.insert(value);
        self.slots.link_last(&mut self.list, place);
        place
    }

    pub(crate) fn first(&self) -> Option<Place> {
        self.slots.first(&self.list)
    }

    /// The place behind another one, which has not been taken out.
    pub(crate) fn after(&self, place: Place) -> Option<Place> {
        self.slots.after(place)
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        self.first().and_then(|place| self.remove(place))
    }

    pub(crate) fn pop_last(&mut self) -> Option<T> {
        self.slots.last(&self.list).and_then(|place| self.remove(place))
    }

    /// The value at a place, unless it has been taken out.
    pub(crate) fn get(&self, place: Place) -> Option<&T> {
        self.slots.get(place)
    }

    /// The value at a place, unless it has been taken out.
    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        self.slots.get_mut(place)
    }

    /// Takes the value at a place out, unless that has been done.
    pub(crate) fn remove(&mut self, place: Place) -> Option<T> {
        self.slots.get(place)?;
        self.slots.unlink(&mut self.list, place);
        self.slots.remove(place)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_list_from_which_any_can_leave(steps in prop::collection::vec((0_u8..5, any::<usize>()), 0..400)) {
            let mut queue = Queue::new();
            let mut model: VecDeque<(Place, usize)> = VecDeque::new();
            let mut gone = Vec::new();
            for (step, which) in steps {
                match step {
                    0 | 1 => model.push_back((queue.push_last(which), which)),
                    2 => {
                        let expected = model.pop_front();
                        prop_assert_eq!(queue.pop_first(), expected.map(|(_, value)| value));
                        gone.extend(expected);
                    }
                    3 => {
                        let expected = model.pop_back();
                        prop_assert_eq!(queue.pop_last(), expected.map(|(_, value)| value));
                        gone.extend(expected);
                    }
                    _ if model.is_empty() => {}
                    _ => {
                        let (place, value) = model.remove(which % model.len()).expect("in range");
                        prop_assert_eq!(queue.remove(place), Some(value));
                        gone.push((place, value));
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.first(), model.front().map(|(place, _)| *place));
                let places = std::iter::successors(queue.first(), |place| queue.after(*place));
                prop_assert!(places.eq(model.iter().map(|(place, _)| *place)));
                prop_assert!(model.iter().all(|(place, value)| queue.get(*place) == Some(value)));
                for (place, _) in &gone {
                    prop_assert!(queue.get_mut(*place).is_none() && queue.get(*place).is_none());
                }
            }
        }
    }
}
