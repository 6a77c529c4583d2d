//! Where answers are: a bounded store by key, in which what is on its way cannot undo what was thrown out.

use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use crate::time::Instant;

/// Keys are told apart by so many counts of what was thrown out: a key may share one with others, and then an answer that
/// was on its way is not stored for nothing.
const COUNTS: usize = 1024;

pub(super) struct Store<K, Res> {
    entries: moka::sync::Cache<K, Arc<Entry<Res>>, RandomState>,
    hasher: RandomState,
    thrown_out: Box<[AtomicU64]>,
    /// How often all was thrown out.
    cleared: AtomicU64,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Entry<Res> {
    pub(super) answer: Res,
    pub(super) stored: Instant,
    /// Not before it is certain that its key has not been thrown out since its call began.
    visible: AtomicBool,
    cleared: u64,
    /// Whether somebody renews it.
    renewed: AtomicBool,
}

/// When a call began, as far as what is thrown out goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    count: usize,
    thrown_out: u64,
    cleared: u64,
}

impl<K, Res> Store<K, Res>
where
    K: Eq + Hash + Send + Sync + 'static,
    Res: Send + Sync + 'static,
{
    pub(super) fn new(max_entries: u64) -> Self {
        let hasher = RandomState::new();
        Self {
            entries: moka::sync::Cache::builder().max_capacity(max_entries).build_with_hasher(hasher.clone()),
            hasher,
            thrown_out: (0..COUNTS).map(|_| AtomicU64::new(0)).collect(),
            cleared: AtomicU64::new(0),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<Arc<Entry<Res>>> {
        let current =
            |entry: &Arc<Entry<Res>>| entry.visible.load(SeqCst) && entry.cleared == self.cleared.load(SeqCst);
        self.entries.get(key).filter(current)
    }

    /// To be asked before a call whose answer may be stored.
    pub(super) fn begin(&self, key: &K) -> Begun {
        let count = self.count(key);
        Begun { count, thrown_out: self.thrown_out[count].load(SeqCst), cleared: self.cleared.load(SeqCst) }
    }

    fn count(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % COUNTS
    }

    /// Whether neither the key nor everything was thrown out since then.
    fn holds(&self, begun: Begun) -> bool {
        self.thrown_out[begun.count].load(SeqCst) == begun.thrown_out && self.cleared.load(SeqCst) == begun.cleared
    }

    /// Stores the answer of a call, unless its key was thrown out since it began.
    pub(super) fn put(&self, key: K, begun: Begun, answer: Res, now: Instant) -> bool {
        if !self.holds(begun) {
            return false;
        }
        let entry = Arc::new(Entry {
            answer,
            stored: now,
            visible: AtomicBool::new(false),
            cleared: begun.cleared,
            renewed: AtomicBool::new(false),
        });
        // First there, then visible: who throws its key out after it has become visible finds it.
        self.entries.insert(key, Arc::clone(&entry));
        let holds = self.holds(begun);
        entry.visible.store(holds, SeqCst);
        holds
    }

    /// Throws out what there is of a key, and what is on its way.
    pub(super) fn throw_out(&self, key: &K) {
        self.thrown_out[self.count(key)].fetch_add(1, SeqCst);
        self.entries.invalidate(key);
    }

    /// The service has answered otherwise: forgets what there is, and what is on its way, which may be older.
    pub(super) fn forget(&self, key: &K) {
        self.throw_out(key);
    }

    pub(super) fn clear(&self) {
        self.cleared.fetch_add(1, SeqCst);
        self.entries.invalidate_all();
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.entries.run_pending_tasks();
        self.entries.entry_count()
    }
}

impl<Res> Entry<Res> {
    /// Whether whoever asks is to renew it, because nobody does.
    pub(super) fn begin_renewal(entry: &Arc<Self>) -> Option<Renewal<Res>> {
        let first = !entry.renewed.swap(true, SeqCst);
        first.then(|| Renewal(Arc::clone(entry)))
    }
}

/// Somebody renews an answer. Dropped, somebody else may.
#[derive(Debug)]
pub(super) struct Renewal<Res>(Arc<Entry<Res>>);

impl<Res> Drop for Renewal<Res> {
    fn drop(&mut self) {
        self.0.renewed.store(false, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time;

    #[test]
    fn what_was_on_its_way_when_its_key_was_thrown_out_is_not_stored() {
        let store = Store::new(10);
        for clear in [false, true] {
            let early = store.begin(&1);
            if clear {
                store.clear()
            } else {
                store.throw_out(&1)
            }
            let late = store.begin(&1);
            assert!(!store.put(1, early, "old", time::now()));
            assert!(store.get(&1).is_none());
            assert!(store.put(1, late, "new", time::now()));
            assert_eq!(store.get(&1).map(|entry| entry.answer), Some("new"));
            // And none that comes later than what is thrown out after it.
            if clear {
                store.clear()
            } else {
                store.throw_out(&1)
            }
            assert!(store.get(&1).is_none());
        }
    }

    #[test]
    fn an_answer_that_was_on_its_way_when_the_service_answered_otherwise_is_not_stored() {
        let store = Store::new(10);
        let early = store.begin(&1);
        store.forget(&1);
        assert!(!store.put(1, early, "old", time::now()));
        assert!(store.put(1, store.begin(&1), "new", time::now()));
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let store = Store::new(100);
        for key in 0..10_000 {
            store.put(key, store.begin(&key), (), time::now());
        }
        assert!(store.len() <= 100, "{}", store.len());
    }

    #[test]
    fn one_at_a_time_renews_an_answer() {
        let store = Store::new(10);
        store.put(1, store.begin(&1), (), time::now());
        let entry = store.get(&1).unwrap();
        let renewal = Entry::begin_renewal(&entry);
        assert!(renewal.is_some() && Entry::begin_renewal(&entry).is_none());
        drop(renewal);
        assert!(Entry::begin_renewal(&entry).is_some());
    }
}
