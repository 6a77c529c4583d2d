//! What calls see: an immutable view of the endpoints that can be called, and the slots with what changes with each call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;

use super::{
    FailoverSettings,
    balance::{Candidates, Chooser, key_hash},
    endpoint::Source,
    failback::slow_start,
    fleet::{Group, Plan},
    gate::Gate,
    load::Load,
};
use crate::{context::Tried, telemetry::Name};

/// What there is of an endpoint for as long as it is there, whatever view it is in.
pub(super) struct Slot<S> {
    pub(super) id: u32,
    pub(super) key: Name,
    hash: u64,
    pub(super) source: Source<S>,
    /// The service, where it is made or started; and how often that has failed.
    pub(super) made: ArcSwapOption<S>,
    pub(super) make_failures: AtomicU32,
    pub(super) load: Load,
    /// That of its member in the fleet.
    pub(super) generation: AtomicU32,
    /// It gets no new calls, and somebody wants to know when the last one has ended.
    pub(super) gate: Gate,
    /// Failures in a row, and failed connections in a row.
    pub(super) in_row: AtomicU32,
    pub(super) connects_in_row: AtomicU32,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) calls: AtomicU64,
    pub(super) successes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) local: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) late: AtomicU64,
}

impl<S> Slot<S> {
    pub(super) fn new(id: u32, key: Name, source: Source<S>) -> Self {
        let hash = key_hash(&key);
        Self {
            id,
            key,
            hash,
            source,
            made: ArcSwapOption::empty(),
            make_failures: AtomicU32::new(0),
            load: Load::new(),
            generation: AtomicU32::new(0),
            gate: Gate::open(),
            in_row: AtomicU32::new(0),
            connects_in_row: AtomicU32::new(0),
            counts: Counts::default(),
        }
    }

    /// Its service is made anew for the next call, if it is one that is made.
    pub(super) fn give_up(&self) {
        self.made.store(None);
    }

    /// Nothing has failed of late.
    pub(super) fn is_well(&self) {
        // Mostly they are zero, and only read.
        for in_row in [&self.in_row, &self.connects_in_row] {
            if in_row.load(Relaxed) != 0 {
                in_row.store(0, Relaxed);
            }
        }
    }
}

/// Which endpoints can be called. Replaced when that changes.
pub(super) struct View<S> {
    /// Those in force, so that a call reads them along with it.
    pub(super) settings: Arc<FailoverSettings>,
    groups: Vec<Tier<S>>,
    /// Who is to be tried by one call, and since when.
    pub(super) trials: Vec<(Arc<Slot<S>>, Duration)>,
    pub(super) all_out: bool,
    /// When the fleet has something to do, though nothing happens.
    pub(super) due: Option<Duration>,
    pub(super) next: Option<Duration>,
    /// How many endpoints there are, in or out.
    pub(super) endpoints: usize,
}

/// Endpoints of equal preference.
struct Tier<S> {
    share: f64,
    seats: Vec<Seat<S>>,
    chooser: Chooser,
}

struct Seat<S> {
    slot: Arc<Slot<S>>,
    weight: f64,
    slow_since: Option<Duration>,
}

/// Of what a choice depends.
pub(super) struct Wish {
    pub(super) affinity: Option<u64>,
    pub(super) tried: Tried,
    pub(super) random: u64,
    pub(super) now: Duration,
}

impl<S> View<S> {
    pub(super) fn empty(settings: Arc<FailoverSettings>) -> Self {
        let (groups, trials) = (Vec::new(), Vec::new());
        Self { settings, groups, trials, all_out: false, due: None, next: None, endpoints: 0 }
    }

    pub(super) fn of(plan: Plan, settings: Arc<FailoverSettings>, slots: &[Arc<Slot<S>>]) -> Self {
        // They are in the order of their numbers.
        let slot = |id: u32| slots.binary_search_by_key(&id, |slot| slot.id).ok().map(|at| Arc::clone(&slots[at]));
        let tier = |group: Group| {
            let weights: Vec<f64> = group.seats.iter().map(|seat| seat.weight).collect();
            let seat = |seat: &super::fleet::Seat| {
                Some(Seat { slot: slot(seat.id)?, weight: seat.weight, slow_since: seat.slow_since })
            };
            let seats = group.seats.iter().filter_map(seat).collect();
            Tier { share: group.share, seats, chooser: Chooser::new(settings.balance, &weights) }
        };
        Self {
            trials: plan.trials.iter().filter_map(|(id, since)| Some((slot(*id)?, *since))).collect(),
            groups: plan.groups.into_iter().map(tier).collect(),
            all_out: plan.all_out,
            due: plan.due,
            next: plan.next,
            endpoints: slots.len(),
            settings,
        }
    }

    /// The endpoint for a call that has not been there yet; `None` only if there is none.
    pub(super) fn choose(&self, wish: &Wish, turn: &AtomicU64) -> Option<&Arc<Slot<S>>> {
        let (before, from) = self.groups.split_at(self.first(wish.random));
        // Mostly the first.
        let first = from.first().and_then(|tier| self.choose_in(tier, wish, turn));
        first.or_else(|| from.iter().skip(1).chain(before).find_map(|tier| self.choose_in(tier, wish, turn)))
    }

    fn choose_in<'a>(&self, tier: &'a Tier<S>, wish: &Wish, turn: &AtomicU64) -> Option<&'a Arc<Slot<S>>> {
        let candidates = InTier { tier, wish, slow_start: self.settings.slow_start };
        let chosen = tier.chooser.choose(&candidates, turn, wish.affinity, wish.random, wish.now)?;
        Some(&tier.seats[chosen].slot)
    }

    /// Whether none of those that can be called has answered since it failed last.
    pub(super) fn all_fail(&self) -> bool {
        self.groups.iter().flat_map(|tier| &tier.seats).all(|seat| seat.slot.in_row.load(Relaxed) > 0)
    }

    /// Whether there is another endpoint that a call could go to.
    pub(super) fn has_others(&self) -> bool {
        self.endpoints > 1
    }

    /// The group at which to begin, by its share.
    fn first(&self, random: u64) -> usize {
        match self.groups.first() {
            Some(first) if first.share < 1.0 => {
                // Other bits than those that choose within it.
                let draw = (random.rotate_left(32) >> 11) as f64 / (1_u64 << 53) as f64;
                let mut below = 0.0;
                let at = self.groups.iter().position(|group| {
                    below += group.share;
                    draw < below
                });
                at.unwrap_or(0)
            }
            _ => 0,
        }
    }
}

struct InTier<'a, S> {
    tier: &'a Tier<S>,
    wish: &'a Wish,
    slow_start: Duration,
}

impl<S> Candidates for InTier<'_, S> {
    fn len(&self) -> usize {
        self.tier.seats.len()
    }

    fn usable(&self, i: usize) -> bool {
        // Mostly it is its first endpoint.
        self.wish.tried.is_empty() || !self.wish.tried.contains(self.tier.seats[i].slot.id)
    }

    fn load(&self, i: usize) -> &Load {
        &self.tier.seats[i].slot.load
    }

    fn weight(&self, i: usize) -> f64 {
        let seat = &self.tier.seats[i];
        match seat.slow_since {
            None => seat.weight,
            Some(since) => seat.weight * slow_start(since, self.wish.now, self.slow_start),
        }
    }

    fn hash(&self, i: usize) -> u64 {
        self.tier.seats[i].slot.hash
    }
}
