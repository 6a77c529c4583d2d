//! The endpoints that there are, behind the lock: who has come, who stays, who goes, by which source.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    Endpoint, Meta,
    check::Checked,
    fleet::{Fleet, Plan},
    members::Change,
    outlier,
    view::Slot,
};
use crate::{sync::Mutex, telemetry::Name};

/// Numbers of endpoints, over all clients: a call may pass several of them. 0 is none.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// The source of what was given one by one; it takes nothing back.
pub(super) const GIVEN: u32 = 0;

pub(super) struct Control<S> {
    pub(super) fleet: Fleet,
    /// In the order of their numbers.
    pub(super) slots: Vec<Arc<Slot<S>>>,
    /// How calls had ended when that was judged last.
    judged: Vec<outlier::Counts>,
    /// Of which sources an endpoint is. It goes when there is none left.
    sources: BTreeMap<u32, Vec<u32>>,
    /// Sources that have said nothing yet.
    awaited: Vec<u32>,
    /// What calls see.
    pub(super) shown: Plan,
    /// Somebody who waits for an endpoint to be free of calls is to look again.
    pub(super) tells: bool,
    /// Somebody waits for what a probe says next.
    pub(super) awaits_answer: bool,
    /// What is not needed any more. Not dropped here: what services do then is theirs, and this is locked.
    pub(super) gone: Gone<S>,
}

pub(super) struct Gone<S> {
    slots: Vec<Arc<Slot<S>>>,
    endpoints: Vec<Endpoint<S>>,
}

impl<S> Default for Gone<S> {
    fn default() -> Self {
        Self { slots: Vec::new(), endpoints: Vec::new() }
    }
}

impl<S> Control<S> {
    /// `awaited` are the sources that there are.
    pub(super) fn new(fleet: Fleet, awaited: Vec<u32>) -> Mutex<Self> {
        let (slots, judged, sources) = (Vec::new(), Vec::new(), BTreeMap::new());
        let (shown, gone) = (Plan::default(), Gone::default());
        Mutex::new(Self { fleet, slots, judged, sources, awaited, shown, tells: false, awaits_answer: false, gone })
    }

    /// Whether there may be endpoints that nobody has told of yet.
    pub(super) fn awaits(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// This source has told of its endpoints, or never will.
    pub(super) fn told(&mut self, source: u32) {
        self.awaited.retain(|awaited| *awaited != source);
    }

    /// The set of a source changes.
    pub(super) fn apply(&mut self, source: u32, change: Change<S>, checked: Checked, now: Duration) {
        self.told(source);
        match change {
            Change::Set(set) => self.set(source, set, &checked, now),
            Change::Insert(mut endpoint) => {
                endpoint.meta.mend();
                let before = self.fleet.id_of(&endpoint.meta.key);
                let mut sources = before.and_then(|id| self.sources.remove(&id)).unwrap_or_default();
                before.into_iter().for_each(|id| self.leave(id, now));
                sources.retain(|other| *other != source);
                sources.push(source);
                self.join(endpoint, sources, checked, now);
            }
            Change::Remove(key) => self.fleet.id_of(&key).into_iter().for_each(|id| self.let_go(id, source, now)),
        }
    }

    fn set(&mut self, source: u32, set: Vec<Endpoint<S>>, checked: &Checked, now: Duration) {
        let keys: HashSet<Name> = set.iter().map(|endpoint| endpoint.meta.key.clone()).collect();
        let missing = |(id, meta, _): (u32, &Meta, bool)| (!keys.contains(&meta.key)).then_some(id);
        let missing: Vec<u32> = self.fleet.metas().filter_map(missing).collect();
        missing.into_iter().for_each(|id| self.let_go(id, source, now));
        let mut ids: HashMap<Name, (bool, u32)> = HashMap::new();
        for (id, meta, leaving) in self.fleet.metas() {
            let best = ids.entry(meta.key.clone()).or_insert((!leaving, id));
            *best = (*best).max((!leaving, id));
        }
        let mut seen = HashSet::new();
        for mut endpoint in set {
            endpoint.meta.mend();
            let key = endpoint.meta.key.clone();
            let known = ids.get(&key).map(|(_, id)| *id);
            if !seen.insert(key) {
                self.gone.endpoints.push(endpoint);
            } else if let Some(id) = known {
                let sources = self.sources.entry(id).or_default();
                if !sources.contains(&source) {
                    sources.push(source);
                }
                self.fleet.alter(id, endpoint.meta.clone(), now);
                self.note_going(id);
                self.gone.endpoints.push(endpoint);
            } else {
                self.join(endpoint, vec![source], checked.clone(), now);
            }
        }
    }

    pub(super) fn join(&mut self, endpoint: Endpoint<S>, sources: Vec<u32>, checked: Checked, now: Duration) {
        let Endpoint { meta, source } = endpoint;
        let slot = Slot::new(number(), meta.key.clone(), source);
        self.fleet.insert(slot.id, meta, checked, slot.source.cold_rules(), now);
        self.sources.insert(slot.id, sources);
        let at = self.slots.partition_point(|other| other.id < slot.id);
        self.slots.insert(at, Arc::new(slot));
    }

    /// Statistics, when they are due.
    pub(super) fn judge(&mut self, now: Duration) {
        if self.fleet.judges_at().is_none_or(|at| now < at) {
            return;
        }
        let counts = |slot: &Arc<Slot<S>>| {
            let (successes, local) = (slot.counts.successes.load(Relaxed), slot.counts.local.load(Relaxed));
            let remote = slot.counts.failures.load(Relaxed).saturating_sub(local);
            outlier::Counts { id: slot.id, successes, local, remote }
        };
        let ended: Vec<outlier::Counts> = self.slots.iter().map(counts).collect();
        let before = std::mem::replace(&mut self.judged, ended.clone());
        let since = ended.into_iter().map(|mut counts| {
            if let Some(before) = before.iter().find(|before| before.id == counts.id) {
                counts.successes -= before.successes;
                counts.local = counts.local.saturating_sub(before.local);
                counts.remote = counts.remote.saturating_sub(before.remote);
            }
            counts
        });
        self.fleet.judge(&since.collect::<Vec<_>>(), now);
    }

    /// It is not of this source any more.
    fn let_go(&mut self, id: u32, source: u32, now: Duration) {
        let Some(sources) = self.sources.get_mut(&id) else { return };
        let before = sources.len();
        sources.retain(|other| *other != source);
        if sources.is_empty() && before > 0 {
            self.sources.remove(&id);
            self.leave(id, now);
        }
    }

    fn leave(&mut self, id: u32, now: Duration) {
        self.fleet.leave(id, now);
        self.note_going(id);
        self.reap(now);
    }

    /// By hand.
    pub(super) fn drain(&mut self, id: u32, draining: bool, now: Duration) {
        self.fleet.set_draining(id, draining, now);
        self.note_going(id);
    }

    /// Lets calls know whether the endpoint is to get any.
    fn note_going(&mut self, id: u32) {
        self.tells = true;
        if let Some(slot) = self.slot(id) {
            slot.gate.set(self.fleet.is_going(id));
        }
    }

    /// Those that have left, and whose calls have ended, are forgotten.
    pub(super) fn reap(&mut self, now: Duration) {
        self.tells = true;
        let gone = |id: &u32| self.slot(*id).is_some_and(|slot| slot.load.in_flight() == 0);
        let leaving = self.fleet.metas().filter(|(.., leaving)| *leaving).map(|(id, ..)| id);
        let gone: Vec<u32> = leaving.filter(gone).collect();
        for id in gone {
            self.fleet.remove(id, now);
            if let Ok(at) = self.slots.binary_search_by_key(&id, |slot| slot.id) {
                self.gone.slots.push(self.slots.remove(at));
            }
        }
    }

    pub(super) fn slot(&self, id: u32) -> Option<&Arc<Slot<S>>> {
        self.slots.binary_search_by_key(&id, |slot| slot.id).ok().map(|at| &self.slots[at])
    }
}

impl Meta {
    /// A weight that is none is 1, and one that is too large the largest.
    fn mend(&mut self) {
        let is_weight = self.weight > 0.0;
        self.weight = if is_weight { self.weight.min(1000.0) } else { 1.0 };
    }
}

/// The next number of an endpoint.
fn number() -> u32 {
    // Never 0, though it took four billion endpoints.
    std::iter::repeat_with(|| NEXT.fetch_add(1, Relaxed)).find(|number| *number != 0).unwrap_or(1)
}
