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
    FailoverSettings, Need,
    balance::{Candidates, Chooser, key_hash},
    endpoint::Source,
    failback::slow_start,
    fleet::{Group, Part, Plan, RolesPlan},
    gate::Gate,
    load::Load,
    roles::Fit,
    tiers,
};
use crate::{context::Tried, telemetry::Name};

/// What there is of an endpoint for as long as it is there, whatever view it is in.
pub(super) struct Slot<S> {
    pub(super) id: u32,
    /// Shared with what is told of it.
    pub(super) key: Arc<Name>,
    hash: u64,
    pub(super) source: Source<S>,
    /// The service, where it is made or started; and how often that has failed.
    pub(super) made: ArcSwapOption<S>,
    pub(super) times_made: AtomicU32,
    pub(super) make_failures: AtomicU32,
    pub(super) load: Load,
    /// That of its member in the fleet.
    pub(super) generation: AtomicU32,
    /// It gets no new calls, and somebody wants to know when the last one has ended.
    pub(super) gate: Gate,
    /// Failures in a row, and failed connections in a row.
    pub(super) in_row: AtomicU32,
    pub(super) connects_in_row: AtomicU32,
    /// When the first of them ended, in nanoseconds.
    row_since: AtomicU64,
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
            key: Arc::new(key),
            hash,
            source,
            made: ArcSwapOption::empty(),
            times_made: AtomicU32::new(0),
            make_failures: AtomicU32::new(0),
            load: Load::new(),
            generation: AtomicU32::new(0),
            gate: Gate::open(),
            in_row: AtomicU32::new(0),
            connects_in_row: AtomicU32::new(0),
            row_since: AtomicU64::new(0),
            counts: Counts::default(),
        }
    }

    /// Its service is made anew for the next call, if it is one that is made.
    pub(super) fn give_up(&self) {
        if matches!(self.source, Source::Make(_)) {
            self.made.store(None);
        }
    }

    /// The same, unless it has been made since it was made for the `times`-th time.
    pub(super) fn give_up_made(&self, times: u32) {
        if self.times_made.load(Relaxed) == times {
            self.give_up();
        }
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

impl<S> Slot<S> {
    /// One more failure in a row, now: how many they are.
    pub(super) fn fails_again(&self, now: Duration) -> u32 {
        let before = self.in_row.fetch_add(1, Relaxed);
        if before == 0 {
            self.row_since.store(now.as_nanos() as u64, Relaxed);
        }
        before.saturating_add(1)
    }

    /// When the first failure of the row was.
    pub(super) fn row_since(&self) -> Duration {
        Duration::from_nanos(self.row_since.load(Relaxed))
    }
}

/// Which endpoints can be called. Replaced when that changes.
pub(super) struct View<S> {
    /// Those in force, so that a call reads them along with it.
    pub(super) settings: Arc<FailoverSettings>,
    groups: Arc<[Tier<S>]>,
    /// Who is to be tried by one call, and since when.
    pub(super) trials: Vec<Trial<S>>,
    pub(super) all_out: bool,
    /// When the fleet has something to do, though nothing happens.
    pub(super) due: Option<Duration>,
    pub(super) next: Option<Duration>,
    pub(super) roles: RolesPlan,
    /// How many endpoints there are, in or out.
    pub(super) endpoints: usize,
}

/// An endpoint that one call is to try.
pub(super) struct Trial<S> {
    pub(super) slot: Arc<Slot<S>>,
    pub(super) since: Duration,
    part: Part,
}

impl<S> Trial<S> {
    pub(super) fn fits(&self, need: Need) -> bool {
        self.part.fits(need) > Fit::No
    }
}

/// Those that can be called, for a later view.
pub(super) struct Groups<S>(Arc<[Tier<S>]>);

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
    part: Part,
}

/// Of what a choice depends.
pub(super) struct Wish {
    pub(super) need: Need,
    pub(super) affinity: Option<u64>,
    pub(super) tried: Tried,
    pub(super) random: u64,
    pub(super) now: Duration,
}

impl<S> View<S> {
    pub(super) fn empty(settings: Arc<FailoverSettings>) -> Self {
        let (groups, trials) = (Arc::new([]), Vec::new());
        let roles = RolesPlan::default();
        Self { settings, groups, trials, all_out: false, due: None, next: None, roles, endpoints: 0 }
    }

    /// `groups`: those of a view before, where they are the same.
    pub(super) fn of(
        plan: &Plan,
        groups: Option<Groups<S>>,
        settings: Arc<FailoverSettings>,
        slots: &[Arc<Slot<S>>],
    ) -> Self {
        // They are in the order of their numbers.
        let slot = |id: u32| slots.binary_search_by_key(&id, |slot| slot.id).ok().map(|at| Arc::clone(&slots[at]));
        let tier = |group: &Group| {
            let weights: Vec<f64> = group.seats.iter().map(|seat| seat.weight).collect();
            let seat = |seat: &super::fleet::Seat| {
                Some(Seat { slot: slot(seat.id)?, weight: seat.weight, slow_since: seat.slow_since, part: seat.part })
            };
            let seats = group.seats.iter().filter_map(seat).collect();
            Tier { share: group.share, seats, chooser: Chooser::new(settings.balance, &weights) }
        };
        let trial = |(seat, since): &(super::fleet::Seat, Duration)| {
            Some(Trial { slot: slot(seat.id)?, since: *since, part: seat.part })
        };
        Self {
            trials: plan.trials.iter().filter_map(trial).collect(),
            roles: plan.roles,
            groups: groups.map_or_else(|| plan.groups.iter().map(tier).collect(), |Groups(groups)| groups),
            all_out: plan.all_out,
            due: plan.due,
            next: plan.next,
            endpoints: slots.len(),
            settings,
        }
    }

    pub(super) fn groups(&self) -> Groups<S> {
        Groups(Arc::clone(&self.groups))
    }

    /// The endpoint for a call that has not been there yet; `None` only if there is none.
    pub(super) fn choose(&self, wish: &Wish, turn: &AtomicU64) -> Option<&Arc<Slot<S>>> {
        let chosen = self.best(wish, Fit::Preferred, turn);
        match wish.need {
            Need::Any | Need::Replica => chosen,
            _ => chosen.or_else(|| self.best(wish, Fit::Possible, turn)),
        }
    }

    fn best(&self, wish: &Wish, at_least: Fit, turn: &AtomicU64) -> Option<&Arc<Slot<S>>> {
        let first = self.first(wish.random);
        let mostly = self.groups.get(first).and_then(|tier| self.choose_in(tier, wish, at_least, turn));
        // Wherever it begins, the others come by preference.
        let others = || self.groups.iter().enumerate().filter(|(index, _)| *index != first);
        mostly.or_else(|| others().find_map(|(_, tier)| self.choose_in(tier, wish, at_least, turn)))
    }

    fn choose_in<'a>(
        &self,
        tier: &'a Tier<S>,
        wish: &Wish,
        at_least: Fit,
        turn: &AtomicU64,
    ) -> Option<&'a Arc<Slot<S>>> {
        let candidates = InTier { tier, wish, at_least, slow_start: self.settings.slow_start };
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
                tiers::pick(self.groups.iter().map(|group| group.share), draw).unwrap_or(0)
            }
            _ => 0,
        }
    }
}

struct InTier<'a, S> {
    tier: &'a Tier<S>,
    wish: &'a Wish,
    at_least: Fit,
    slow_start: Duration,
}

impl<S> Candidates for InTier<'_, S> {
    fn len(&self) -> usize {
        self.tier.seats.len()
    }

    fn usable(&self, i: usize) -> bool {
        let seat = &self.tier.seats[i];
        // Mostly it is the first endpoint of a call that does not ask for a role.
        let new = self.wish.tried.is_empty() || !self.wish.tried.contains(seat.slot.id);
        new && seat.part.fits(self.wish.need) >= self.at_least
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
