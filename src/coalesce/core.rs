//! The decision: who makes a call, who waits for its outcome, and who goes on with it. Shared by all services of a layer.
//!
//! A group is a call in flight and those that wait for it. One of its members leads: it holds the work and polls it. The
//! others have places in the group's queue, where they are told what has become of it. A group is found by its key for as
//! long as its work is not over; those of its members that have not yet fetched their outcome keep it alive after that.

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Waker,
};

use hashbrown::HashTable;

use crate::{
    queue::{Place, Queue},
    sync::Mutex,
};

/// So many groups, and so many places for work, are kept when they are not used.
const KEPT: usize = 64;

/// All groups of a layer. `W` is the work of a call, `O` its outcome.
#[derive(Debug)]
pub(super) struct Groups<K, W, O> {
    state: Mutex<State<K, W, O>>,
    gauges: Arc<Gauges>,
}

/// How much there is at the moment. Changed under the lock only.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    /// Groups whose work is not over.
    pub(super) calls: AtomicUsize,
    /// Places in queues.
    pub(super) waiting: AtomicUsize,
}

#[derive(Debug)]
struct State<K, W, O> {
    /// Indices of groups, by the hash of their keys.
    by_key: HashTable<u32>,
    groups: Vec<Group<K, W, O>>,
    free: Vec<u32>,
    /// What work was in that is over, for the next.
    spare: Vec<W>,
}

#[derive(Debug)]
struct Group<K, W, O> {
    /// `None` once it is not to be found any more.
    key: Option<Key<K>>,
    /// Whether somebody leads it, or has been told to.
    led: bool,
    queue: Queue<Waiter<W, O>>,
}

#[derive(Debug)]
pub(super) struct Key<K> {
    hash: u64,
    key: K,
}

#[derive(Debug)]
enum Waiter<W, O> {
    Waits(Waker),
    Told(Told<W, O>),
}

/// What becomes of a member that has waited.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told<W, O> {
    /// It leads now, and goes on with this work; without any it begins anew.
    Lead(Option<W>),
    /// This is the outcome.
    Outcome(O),
}

/// A place in the queue of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    group: u32,
    place: Place,
}

impl Seat {
    pub(super) fn group(self) -> u32 {
        self.group
    }
}

/// What joining comes to.
#[derive(Debug)]
pub(super) enum Joined<W> {
    /// Nobody makes this call yet.
    Leads { group: u32, spare: Option<W> },
    /// Somebody does.
    Follows(Seat),
}

/// What is to be done once the lock has been given back: foreign code, all of it.
#[must_use = "somebody may have to be woken"]
#[derive(Debug)]
pub(super) struct After<K, W> {
    /// Whom to wake.
    pub(super) waker: Option<Waker>,
    /// Work that nobody wants any more, to be dropped.
    pub(super) work: Option<W>,
    /// The group that it was the work of: passed on once the work is dropped. Until then the group is still found, so that
    /// nobody makes the call a second time.
    pub(super) then: Option<u32>,
    /// Dropped too.
    pub(super) key: Option<Key<K>>,
}

impl<K, W> After<K, W> {
    const NOTHING: Self = Self { waker: None, work: None, then: None, key: None };
}

impl<K, W, O> State<K, W, O> {
    /// Those that have not been told anything, from `place` on.
    fn waiting_from(&self, group: u32, place: Option<Place>) -> impl Iterator<Item = Place> {
        let queue = &self.groups[group as usize].queue;
        let places = std::iter::successors(place, |place| queue.after(*place));
        places.filter(|place| matches!(queue.get(*place), Some(Waiter::Waits(_))))
    }

    fn waiting(&self, group: u32) -> impl Iterator<Item = Place> {
        self.waiting_from(group, self.groups[group as usize].queue.first())
    }

    /// Tells one that waits. Its waker.
    fn tell(&mut self, group: u32, place: Place, told: Told<W, O>) -> Option<Waker> {
        match mem::replace(self.groups[group as usize].queue.get_mut(place)?, Waiter::Told(told)) {
            Waiter::Waits(waker) => Some(waker),
            Waiter::Told(_) => unreachable!("told once"),
        }
    }

    /// From now on the group is not found: who comes makes a new one.
    fn detach(&mut self, group: u32) -> Option<Key<K>> {
        let key = self.groups[group as usize].key.take()?;
        if let Ok(entry) = self.by_key.find_entry(key.hash, |index| *index == group) {
            entry.remove();
        }
        Some(key)
    }

    /// The next in line leads. If there is none, the work comes back; without work the group is over.
    fn pass_on(&mut self, group: u32, work: Option<W>, gauges: &Gauges) -> After<K, W> {
        let next = self.waiting(group).next();
        match next {
            Some(place) => {
                let waker = self.tell(group, place, Told::Lead(work));
                After { waker, ..After::NOTHING }
            }
            None if work.is_some() => After { work, then: Some(group), ..After::NOTHING },
            None => {
                let key = self.detach(group);
                self.ends(group, gauges);
                After { key, ..After::NOTHING }
            }
        }
    }

    /// Nobody leads the group any more.
    fn ends(&mut self, group: u32, gauges: &Gauges) {
        self.groups[group as usize].led = false;
        gauges.calls.fetch_sub(1, Ordering::Relaxed);
        self.free_if_empty(group);
    }

    fn free_if_empty(&mut self, group: u32) {
        let Group { led, queue, .. } = &self.groups[group as usize];
        if !led && queue.is_empty() {
            self.free.push(group);
            if self.free.len() == self.groups.len() && self.groups.len() > KEPT {
                // All are free, so nothing of anybody's is in them.
                (self.groups, self.free, self.by_key) = (Vec::new(), Vec::new(), HashTable::new());
            }
        }
    }

    fn keep(&mut self, spare: W) -> Option<W> {
        if self.spare.len() < KEPT {
            self.spare.push(spare);
            return None;
        }
        Some(spare)
    }
}

impl<K: Eq, W, O> Groups<K, W, O> {
    /// Joins the group of `key`, or makes it. The waker is woken when there is something to tell.
    pub(super) fn join(&self, hash: u64, key: K, waker: &Waker) -> Joined<W> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let same = |index: &u32| state.groups[*index as usize].key.as_ref().is_some_and(|present| present.key == key);
        if let Some(group) = state.by_key.find(hash, same).copied() {
            let place = state.groups[group as usize].queue.push_last(Waiter::Waits(waker.clone()));
            self.gauges.waiting.fetch_add(1, Ordering::Relaxed);
            // The key is dropped after the lock.
            drop(guard);
            return Joined::Follows(Seat { group, place });
        }
        let group = state.free.pop().unwrap_or_else(|| {
            state.groups.push(Group { key: None, led: false, queue: Queue::new() });
            state.groups.len() as u32 - 1
        });
        let made = &mut state.groups[group as usize];
        (made.key, made.led) = (Some(Key { hash, key }), true);
        let hash_of = |index: &u32| state.groups[*index as usize].key.as_ref().map_or(0, |key| key.hash);
        state.by_key.insert_unique(hash, group, hash_of);
        self.gauges.calls.fetch_add(1, Ordering::Relaxed);
        Joined::Leads { group, spare: state.spare.pop() }
    }
}

impl<K, W, O> Groups<K, W, O> {
    pub(super) fn new(gauges: Arc<Gauges>) -> Self {
        let state = State { by_key: HashTable::new(), groups: Vec::new(), free: Vec::new(), spare: Vec::new() };
        Self { state: Mutex::new(state), gauges }
    }

    /// What a member that waits has been told, which ends its place; if nothing, `waker` will be woken when it is.
    pub(super) fn poll(&self, seat: Seat, waker: &Waker) -> Option<Told<W, O>> {
        let former = {
            let mut state = self.state.lock();
            let queue = &mut state.groups[seat.group as usize].queue;
            match queue.get_mut(seat.place).expect("a place is fetched from once") {
                Waiter::Told(_) => return self.take_out(&mut state, seat).and_then(Waiter::told),
                Waiter::Waits(present) if present.will_wake(waker) => return None,
                Waiter::Waits(present) => mem::replace(present, waker.clone()),
            }
        };
        // Not under the lock: a waker is foreign code, and may drop a task that waits here.
        drop(former);
        None
    }

    fn take_out(&self, state: &mut State<K, W, O>, seat: Seat) -> Option<Waiter<W, O>> {
        let waiter = state.groups[seat.group as usize].queue.remove(seat.place);
        self.gauges.waiting.fetch_sub(1, Ordering::Relaxed);
        state.free_if_empty(seat.group);
        waiter
    }

    /// Stops waiting. Where it had been told to lead, the next in line is.
    pub(super) fn leave(&self, seat: Seat) -> After<K, W> {
        let mut state = self.state.lock();
        let waiter = self.take_out(&mut state, seat);
        if let Some(Waiter::Told(Told::Lead(work))) = waiter {
            return state.pass_on(seat.group, work, &self.gauges);
        }
        // An outcome or a waker is dropped after the lock.
        drop(state);
        drop(waiter);
        After::NOTHING
    }

    /// The leader goes, before its work is over or without an outcome for the others: the next in line leads.
    pub(super) fn pass_on(&self, group: u32, work: Option<W>) -> After<K, W> {
        self.state.lock().pass_on(group, work, &self.gauges)
    }

    /// The work is over. Whether anybody waits for the outcome; if nobody does, the group is over too.
    pub(super) fn over(&self, group: u32) -> (bool, After<K, W>) {
        let mut state = self.state.lock();
        if state.waiting(group).next().is_some() {
            return (true, After::NOTHING);
        }
        (false, state.pass_on(group, None, &self.gauges))
    }

    /// From now on nobody joins. How many wait for the outcome.
    pub(super) fn close(&self, group: u32) -> (usize, After<K, W>) {
        let mut state = self.state.lock();
        let key = state.detach(group);
        (state.waiting(group).count(), After { key, ..After::NOTHING })
    }

    /// Tells copies of the outcome to those that wait, as far as they go; the next in line leads the others. Whom to wake
    /// is put into `wakers`. Copies of those that have left in the meantime are left over.
    pub(super) fn tell(
        &self,
        group: u32,
        copies: &mut impl Iterator<Item = O>,
        wakers: &mut Vec<Waker>,
    ) -> After<K, W> {
        let mut state = self.state.lock();
        let mut next = state.waiting(group).next();
        while let Some(place) = next {
            let Some(copy) = copies.next() else { break };
            wakers.extend(state.tell(group, place, Told::Outcome(copy)));
            next = state.waiting_from(group, Some(place)).next();
        }
        state.pass_on(group, None, &self.gauges)
    }

    /// Keeps what work was in for the next, unless there is enough of it.
    pub(super) fn keep(&self, spare: W) -> Option<W> {
        self.state.lock().keep(spare)
    }

    /// What work was in, for who begins anew.
    pub(super) fn spare(&self) -> Option<W> {
        self.state.lock().spare.pop()
    }
}

impl<W, O> Waiter<W, O> {
    fn told(self) -> Option<Told<W, O>> {
        match self {
            Self::Told(told) => Some(told),
            Self::Waits(_) => None,
        }
    }
}

#[cfg(all(test, not(steadfast_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_burst_gives_its_memory_back_and_groups_are_used_again() {
        let groups = Groups::<u32, u32, u32>::new(Arc::default());
        let lead = |key: u32| match groups.join(u64::from(key), key, Waker::noop()) {
            Joined::Leads { group, .. } => group,
            Joined::Follows(_) => panic!("{key} is nobody's"),
        };
        for burst in [1000, 64, 1] {
            let led: Vec<_> = (0..burst).map(lead).collect();
            assert_eq!(groups.gauges.calls.load(Ordering::Relaxed), burst as usize);
            led.into_iter().for_each(|group| drop(groups.over(group)));
            let state = groups.state.lock();
            let kept = if burst > 64 { 0 } else { 64 };
            assert!(state.groups.len() <= kept && state.free.len() == state.groups.len(), "{burst}");
            assert!(state.by_key.is_empty() && (burst < 1000 || state.by_key.capacity() == 0));
        }
        assert_eq!(groups.gauges.calls.load(Ordering::Relaxed), 0);
        (0..100).for_each(|work| _ = groups.keep(work));
        assert_eq!(groups.state.lock().spare.len(), KEPT);
    }
}
