//! A queue of waiting calls: a linked list in a vector, so that any of them can leave in O(1) and none allocates.

/// So many slots are kept when the queue runs empty.
const KEPT: usize = 64;

/// One place in a [`Queue`]; no two ever given out are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    index: u32,
    number: u64,
}

/// A list of values in the order in which they came. A slot takes 24 bytes next to its value; it grows to the most
/// that ever waited at once, and gives that back when it runs empty.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    first: Option<u32>,
    last: Option<u32>,
    len: usize,
    /// Places given out so far.
    numbers: u64,
}

#[derive(Debug)]
struct Slot<T> {
    /// `None` while the slot is free.
    value: Option<T>,
    number: u64,
    before: Option<u32>,
    /// Of a free slot: the next free one.
    after: Option<u32>,
}

impl Place {
    /// Grows from place to place, in the order in which they were given out.
    pub(crate) fn number(self) -> u64 {
        self.number
    }
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: None, first: None, last: None, len: 0, numbers: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_last(&mut self, value: T) -> Place {
        self.numbers += 1;
        let before = self.last;
        let slot = Slot { value: Some(value), number: self.numbers, before, after: None };
        let index = match self.free {
            Some(index) => {
                self.free = self.slots[index as usize].after;
                self.slots[index as usize] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() as u32 - 1
            }
        };
        self.last = Some(index);
        match before {
            Some(before) => self.slots[before as usize].after = Some(index),
            None => self.first = Some(index),
        }
        self.len += 1;
        Place { index, number: self.numbers }
    }

    pub(crate) fn first(&self) -> Option<Place> {
        self.place(self.first)
    }

    /// The place behind another one, which has not been taken out.
    pub(crate) fn after(&self, place: Place) -> Option<Place> {
        self.place(self.slots[place.index as usize].after)
    }

    pub(crate) fn pop_first(&mut self) -> Option<T> {
        self.place(self.first).and_then(|place| self.remove(place))
    }

    pub(crate) fn pop_last(&mut self) -> Option<T> {
        self.place(self.last).and_then(|place| self.remove(place))
    }

    fn place(&self, index: Option<u32>) -> Option<Place> {
        index.map(|index| Place { index, number: self.slots[index as usize].number })
    }

    /// The value at a place, unless it has been taken out.
    pub(crate) fn get(&self, place: Place) -> Option<&T> {
        self.slots.get(place.index as usize).filter(|slot| slot.number == place.number)?.value.as_ref()
    }

    /// The value at a place, unless it has been taken out.
    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut T> {
        let slot = self.slots.get_mut(place.index as usize)?;
        if slot.number == place.number { slot.value.as_mut() } else { None }
    }

    /// Takes the value at a place out, unless that has been done.
    pub(crate) fn remove(&mut self, place: Place) -> Option<T> {
        self.get_mut(place)?;
        let slot = &mut self.slots[place.index as usize];
        let value = slot.value.take();
        let (before, after) = (slot.before, slot.after);
        slot.after = self.free.replace(place.index);
        match before {
            Some(before) => self.slots[before as usize].after = after,
            None => self.first = after,
        }
        match after {
            Some(after) => self.slots[after as usize].before = before,
            None => self.last = before,
        }
        self.len -= 1;
        if self.len == 0 && self.slots.len() > KEPT {
            self.slots = Vec::new();
            self.free = None;
        }
        value
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

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut queue = Queue::new();
        let places: Vec<_> = (0..10_000).map(|value| queue.push_last(value)).collect();
        while queue.pop_first().is_some() {}
        assert_eq!(queue.slots.capacity(), 0);
        assert!(places.iter().all(|place| queue.get_mut(*place).is_none()));
    }
}
