//! Lists through one vector: any value can leave its list in O(1), and none allocates. What waits is kept in them.

/// So many slots are kept when all are free.
const KEPT: usize = 64;

/// A slot that was given out; no two ever given out are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    index: u32,
    number: u64,
}

/// A list of slots. Each slot is in one list at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List {
    first: Option<u32>,
    last: Option<u32>,
    len: u32,
}

/// The slots of some lists. One takes 24 bytes next to its value; there are as many as were ever used at once, and they are
/// given back when all are free.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    used: usize,
    /// Tickets given out so far.
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

impl Ticket {
    /// Grows from ticket to ticket, in the order in which they were given out.
    pub(crate) fn number(self) -> u64 {
        self.number
    }
}

impl List {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None, len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: None, used: 0, numbers: 0 }
    }

    /// A slot that is in no list yet.
    pub(crate) fn insert(&mut self, value: T) -> Ticket {
        self.numbers += 1;
        self.used += 1;
        let number = self.numbers;
        let slot = Slot { value: Some(value), number, before: None, after: None };
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
        Ticket { index, number }
    }

    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let slot = self.slots.get_mut(ticket.index as usize)?;
        if slot.number == ticket.number { slot.value.as_mut() } else { None }
    }

    pub(crate) fn get(&self, ticket: Ticket) -> Option<&T> {
        let slot = self.slots.get(ticket.index as usize)?;
        if slot.number == ticket.number { slot.value.as_ref() } else { None }
    }

    /// Frees a slot that is in no list.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        self.get_mut(ticket)?;
        let slot = &mut self.slots[ticket.index as usize];
        let value = slot.value.take();
        slot.after = self.free.replace(ticket.index);
        self.used -= 1;
        if self.used == 0 && self.slots.len() > KEPT {
            self.slots = Vec::new();
            self.free = None;
        }
        value
    }

    fn ticket(&self, index: Option<u32>) -> Option<Ticket> {
        index.map(|index| Ticket { index, number: self.slots[index as usize].number })
    }

    pub(crate) fn first(&self, list: &List) -> Option<Ticket> {
        self.ticket(list.first)
    }

    pub(crate) fn last(&self, list: &List) -> Option<Ticket> {
        self.ticket(list.last)
    }

    /// The slot behind another one in its list.
    pub(crate) fn after(&self, ticket: Ticket) -> Option<Ticket> {
        self.ticket(self.slots[ticket.index as usize].after)
    }

    /// Puts a slot that is in no list at the end of one.
    pub(crate) fn link_last(&mut self, list: &mut List, ticket: Ticket) {
        let before = list.last.replace(ticket.index);
        let slot = &mut self.slots[ticket.index as usize];
        (slot.before, slot.after) = (before, None);
        match before {
            Some(before) => self.slots[before as usize].after = Some(ticket.index),
            None => list.first = Some(ticket.index),
        }
        list.len += 1;
    }

    /// Takes a slot out of the list that it is in.
    pub(crate) fn unlink(&mut self, list: &mut List, ticket: Ticket) {
        let slot = &mut self.slots[ticket.index as usize];
        let (before, after) = (slot.before.take(), slot.after.take());
        match before {
            Some(before) => self.slots[before as usize].after = after,
            None => list.first = after,
        }
        match after {
            Some(after) => self.slots[after as usize].before = before,
            None => list.last = before,
        }
        list.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_from_which_any_can_leave_share_one_vector(
            steps in prop::collection::vec((0_u8..4, 0_usize..3, any::<usize>()), 0..400),
        ) {
            let (mut slots, mut lists) = (Slots::new(), [List::default(); 3]);
            let mut model: [VecDeque<(Ticket, usize)>; 3] = Default::default();
            let mut gone = Vec::new();
            for (step, which, value) in steps {
                match step {
                    0 | 1 => {
                        let ticket = slots.insert(value);
                        slots.link_last(&mut lists[which], ticket);
                        model[which].push_back((ticket, value));
                    }
                    _ if model[which].is_empty() => {}
                    2 => {
                        let (ticket, value) = model[which].remove(value % model[which].len()).expect("in range");
                        slots.unlink(&mut lists[which], ticket);
                        prop_assert_eq!(slots.remove(ticket), Some(value));
                        gone.push(ticket);
                    }
                    _ => {
                        // Into another list.
                        let (ticket, value) = model[which].remove(value % model[which].len()).expect("in range");
                        let other = (which + 1) % 3;
                        slots.unlink(&mut lists[which], ticket);
                        slots.link_last(&mut lists[other], ticket);
                        model[other].push_back((ticket, value));
                    }
                }
                for (list, model) in lists.iter().zip(&model) {
                    prop_assert_eq!(list.len(), model.len());
                    prop_assert_eq!(list.is_empty(), model.is_empty());
                    prop_assert_eq!(slots.first(list), model.front().map(|(ticket, _)| *ticket));
                    prop_assert_eq!(slots.last(list), model.back().map(|(ticket, _)| *ticket));
                    prop_assert!(model.iter().all(|(ticket, value)| slots.get(*ticket) == Some(value)));
                }
                prop_assert!(gone.iter().all(|ticket| slots.get_mut(*ticket).is_none() && slots.remove(*ticket).is_none()));
            }
        }
    }

    #[test]
    fn a_burst_gives_its_memory_back() {
        let mut slots = Slots::new();
        let tickets: Vec<_> = (0..10_000).map(|value| slots.insert(value)).collect();
        for ticket in &tickets {
            slots.remove(*ticket);
        }
        assert_eq!(slots.slots.capacity(), 0);
        assert!(tickets.iter().all(|ticket| slots.get(*ticket).is_none()));
    }
}
