//! A member's part in a group, as a guard: whoever goes, by whichever way, leaves the others with somebody to lead them.

use std::{fmt, future::Future, pin::Pin, sync::Arc, task::Waker};

use super::{
    core::{After, Groups, Joined, Seat, Told},
    handle::{CoalesceEvent, Stats},
    share::Share,
};

/// The work of a call, in a place from which it need not move when somebody else goes on with it. Empty when it is over.
pub(super) type Work<W> = Pin<Box<Option<W>>>;

/// What a layer owns: its groups, and what its handle shows.
pub(super) struct Shared<K, W: Future> {
    pub(super) groups: Groups<K, Work<W>, W::Output>,
    pub(super) stats: Arc<Stats>,
    pub(super) hasher: std::hash::RandomState,
}

impl<K, W: Future> Shared<K, W> {
    /// What is to be done after the lock.
    fn settle(self: &Arc<Self>, after: After<K, Work<W>>) {
        let After { waker, work, then, key } = after;
        drop(key);
        // A guard: the work may panic when it is dropped.
        let _passes_on = then.map(|group| Leader { shared: Arc::clone(self), group: Some(group) });
        if let Some(waker) = waker {
            waker.wake();
        }
        if let Some(work) = work {
            self.give_up(work);
        }
    }

    /// Drops work, and keeps its place for other work.
    fn give_up(&self, mut work: Work<W>) {
        work.set(None);
        drop(self.groups.keep(work));
    }
}

/// Leads a group. Dropped, the next in line begins anew.
pub(super) struct Leader<K, W: Future> {
    shared: Arc<Shared<K, W>>,
    /// `None` once the group is over, or somebody else's.
    group: Option<u32>,
}

/// Waits in a group. Dropped, it leaves.
pub(super) struct Follower<K, W: Future> {
    shared: Arc<Shared<K, W>>,
    /// `None` once it has been told.
    seat: Option<Seat>,
}

/// What a follower has been told.
pub(super) enum Heard<K, W: Future> {
    Lead(Leader<K, W>, Option<Work<W>>),
    Outcome(W::Output),
}

/// What joining comes to.
pub(super) enum Part<K, W: Future> {
    Leads(Leader<K, W>),
    Follows(Follower<K, W>),
}

impl<K: Eq + std::hash::Hash, W: Future> Part<K, W> {
    /// Joins the group of `key`. Also what work can be put into, for who leads.
    pub(super) fn join(shared: Arc<Shared<K, W>>, key: K, waker: &Waker) -> (Self, Option<Work<W>>) {
        use std::hash::BuildHasher;

        let hash = shared.hasher.hash_one(&key);
        match shared.groups.join(hash, key, waker) {
            Joined::Leads { group, spare } => {
                shared.stats.made();
                (Self::Leads(Leader { shared, group: Some(group) }), spare)
            }
            Joined::Follows(seat) => {
                shared.stats.joined();
                (Self::Follows(Follower { shared, seat: Some(seat) }), None)
            }
        }
    }
}

impl<K, W: Future> Follower<K, W> {
    pub(super) fn poll(&mut self, waker: &Waker) -> Option<Heard<K, W>> {
        let told = self.shared.groups.poll(self.seat?, waker)?;
        let group = self.seat.take()?.group();
        Some(match told {
            Told::Outcome(outcome) => Heard::Outcome(outcome),
            Told::Lead(work) => Heard::Lead(Leader { shared: Arc::clone(&self.shared), group: Some(group) }, work),
        })
    }
}

impl<K, W: Future> Drop for Follower<K, W> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            self.shared.settle(self.shared.groups.leave(seat));
        }
    }
}

impl<K, W: Future> Leader<K, W> {
    /// What work can be put into.
    pub(super) fn place(&self) -> Option<Work<W>> {
        self.shared.groups.spare()
    }

    /// The next in line goes on with this work; if there is none, it is dropped.
    pub(super) fn hand_on(mut self, work: Work<W>) {
        if let Some(group) = self.group.take() {
            let after = self.shared.groups.pass_on(group, Some(work));
            if after.waker.is_some() {
                self.shared.stats.happened(CoalesceEvent::HandedOn);
            }
            self.shared.settle(after);
        }
    }

    /// The work is over: everybody who waits gets a copy of its outcome. If there can be none, the next in line begins anew.
    pub(super) fn finish<S, Res, Err>(mut self, outcome: &W::Output, share: &S, place: Work<W>)
    where
        W: Future<Output = Result<Res, Err>>,
        S: Share<Res, Err>,
    {
        let shared = Arc::clone(&self.shared);
        let Some(group) = self.group else { return };
        drop(shared.groups.keep(place));
        let (others, after) = shared.groups.over(group);
        if !others {
            self.group = None;
        }
        shared.settle(after);
        // From here on a copy that panics has the next in line begin anew: this is dropped.
        let Some(first) = others.then(|| share.share(outcome)).flatten() else { return };
        let (count, after) = shared.groups.close(group);
        shared.settle(after);
        let mut copies = Vec::with_capacity(count);
        copies.push(first);
        copies.extend((1..count).map_while(|_| share.share(outcome)));
        let mut wakers = Vec::with_capacity(count);
        let mut copies = copies.into_iter();
        let after = shared.groups.tell(group, &mut copies, &mut wakers);
        self.group = None;
        if after.waker.is_some() {
            shared.stats.happened(CoalesceEvent::BegunAnew);
        }
        shared.settle(after);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<K, W: Future> Drop for Leader<K, W> {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let after = self.shared.groups.pass_on(group, None);
            if after.waker.is_some() {
                self.shared.stats.happened(CoalesceEvent::BegunAnew);
            }
            self.shared.settle(after);
        }
    }
}

impl<K, W: Future> fmt::Debug for Shared<K, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("stats", &self.stats).finish_non_exhaustive()
    }
}
