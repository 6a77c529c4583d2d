//! The decision: who waits, for how long, who is next, and who is shed. Pure.
//!
//! Calls wait by class (how important they are) and, within a class, by flow (whose they are). Places go to the most
//! important class; among its flows in turn, the one that has just come before the others; in a flow to who came first or,
//! while a queue stands, to who came last.

mod serve;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, mem, time::Duration};

use super::{ShedSettings, class::Class, handle::Cause, overload::Overload};
use crate::slots::{List, Slots, Ticket};

/// A slow service gives places rarely. A call may wait for so many of them at least, or a place would find nobody: while a
/// queue stands, and otherwise.
const LEAST_PLACES: (u32, u32) = (2, 20);

/// When something happens, and how things are then: how long calls of each priority take on average, and how long it takes
/// until any call gives its place back; zero if that is not known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) takes: [Duration; 3],
    pub(super) gap: Duration,
}

/// A call that would wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) class: Class,
    pub(super) flow: usize,
    pub(super) deadline: Option<Duration>,
}

/// Who waits; `W` is how each is told.
#[derive(Debug)]
pub(super) struct Line<W> {
    rules: Rules,
    slots: Slots<Slot<W>>,
    classes: [Queue; Class::COUNT],
    /// Those that have been shed and are to be told.
    shed: List,
    waiting: usize,
    pub(super) overload: Overload,
    /// Calls shed, by cause and priority.
    pub(super) counts: [[u64; 3]; Cause::COUNT],
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    max_waiting: usize,
    target: Duration,
    interval: Duration,
    adaptive_lifo: bool,
}

/// The calls of one class.
#[derive(Debug)]
struct Queue {
    flows: Box<[Flow]>,
    /// Flows that have come while they were in neither list, and those that have had a place since. Some may have run
    /// empty.
    new: VecDeque<u32>,
    old: VecDeque<u32>,
    waiting: usize,
    /// Since when a call of this class or of one above waits.
    since: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    list: List,
    since: Duration,
    listed: bool,
}

#[derive(Debug)]
enum Slot<W> {
    Waiting {
        call: Call,
        since: Duration,
        waker: W,
    },
    /// A place was given, then.
    Given(Duration),
    /// Not told yet if the waker is there.
    Shed(Cause, Option<W>),
}

/// How it stands with a call that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It goes on waiting, until then at most.
    Waiting(Duration),
    /// It has been given a place, then.
    Given(Duration),
    Shed(Cause),
}

impl Rules {
    fn of(settings: &ShedSettings) -> Self {
        let ShedSettings { max_waiting, target, interval, adaptive_lifo, .. } = *settings;
        Self { max_waiting: max_waiting as usize, target, interval, adaptive_lifo }
    }

    fn target(&self, at: Moment) -> Duration {
        self.target.max(at.gap.saturating_mul(LEAST_PLACES.0))
    }

    fn interval(&self, at: Moment) -> Duration {
        self.interval.max(at.gap.saturating_mul(LEAST_PLACES.1))
    }
}

impl<W> Line<W> {
    pub(super) fn new(settings: &ShedSettings, flows: usize) -> Self {
        let queue = || Queue {
            flows: vec![Flow::default(); flows].into(),
            new: VecDeque::new(),
            old: VecDeque::new(),
            waiting: 0,
            since: None,
        };
        Self {
            rules: Rules::of(settings),
            slots: Slots::new(),
            classes: std::array::from_fn(|_| queue()),
            shed: List::default(),
            waiting: 0,
            overload: Overload::default(),
            counts: Default::default(),
        }
    }

    pub(super) fn change(&mut self, settings: &ShedSettings) {
        self.rules = Rules::of(settings);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Waiting calls of a priority, by its place in `Priority::ALL`.
    pub(super) fn waiting_of(&self, priority: usize) -> usize {
        self.classes[2 * priority..2 * priority + 2].iter().map(|queue| queue.waiting).sum()
    }

    /// Whether somebody has been shed and not been told.
    pub(super) fn has_untold(&self) -> bool {
        !self.shed.is_empty()
    }

    /// For how much of the time after which a queue stands somebody has been waiting: at most 1.
    pub(super) fn stood(&self, at: Moment) -> f64 {
        let since = self.classes[0].since.map_or(Duration::ZERO, |since| at.now.saturating_sub(since));
        since.div_duration_f64(self.rules.interval(at)).min(1.0)
    }

    /// Begins to wait, until then at most; or is refused. Another may be shed in its stead.
    pub(super) fn join(&mut self, at: Moment, call: Call, waker: W) -> Result<(Ticket, Duration), (Cause, W)> {
        let refused = self.hopeless(at, call).then_some(Cause::Hopeless).or_else(|| self.make_room(at, call));
        if let Some(cause) = refused {
            self.count(at.now, call.class, cause);
            return Err((cause, waker));
        }
        let class = call.class.index();
        for queue in &mut self.classes[..=class] {
            queue.since.get_or_insert(at.now);
        }
        let queue = &mut self.classes[class];
        let flow = &mut queue.flows[call.flow];
        if flow.list.is_empty() {
            flow.since = at.now;
        }
        if !flow.listed {
            flow.listed = true;
            queue.new.push_back(call.flow as u32);
        }
        let ticket = self.slots.insert(Slot::Waiting { call, since: at.now, waker });
        self.slots.link_last(&mut flow.list, ticket);
        queue.waiting += 1;
        self.waiting += 1;
        Ok((ticket, self.until(at, call, at.now)))
    }

    /// Whether its deadline will come first, as far as is known: those as important or more are served before it, unless
    /// who comes last is.
    fn hopeless(&self, at: Moment, call: Call) -> bool {
        let Some(deadline) = call.deadline else { return false };
        let first_come = !(self.rules.adaptive_lifo && self.stands(at, call.class, call.flow));
        let single = self.classes[0].flows.len() == 1;
        let ahead: usize = match first_come && single {
            true => self.classes[call.class.index()..].iter().map(|queue| queue.waiting).sum(),
            false => 0,
        };
        let wait = at.gap.saturating_mul(u32::try_from(ahead).unwrap_or(u32::MAX));
        deadline <= at.now.saturating_add(wait)
    }

    /// Sheds somebody if nobody else may wait: the least important, of the flow that has the most of them. Says why if it
    /// is the one who comes.
    fn make_room(&mut self, at: Moment, call: Call) -> Option<Cause> {
        if self.waiting < self.rules.max_waiting {
            return None;
        }
        let Some(least) = (0..=call.class.index()).map(Class::at).find(|class| self.classes[class.index()].waiting > 0)
        else {
            return Some(Cause::Full);
        };
        let own = least == call.class;
        let waiting =
            |flow: usize| self.classes[least.index()].flows[flow].list.len() + usize::from(own && flow == call.flow);
        // Of several, that of the one who comes.
        let longest = (0..self.classes[least.index()].flows.len())
            .max_by_key(|flow| (waiting(*flow), own && *flow == call.flow))
            .unwrap_or_default();
        let newest_first = self.newest_first(at, least, longest);
        if own && longest == call.flow && (!newest_first || waiting(longest) == 1) {
            return Some(Cause::Full);
        }
        let list = &self.classes[least.index()].flows[longest].list;
        // Who would be served last.
        let last = if newest_first { self.slots.first(list) } else { self.slots.last(list) };
        if let Some(last) = last {
            self.shed(at.now, last, Cause::Full);
        }
        None
    }

    /// Whether a queue stands: somebody who is served before those of this flow, or one of them, has been waiting at every
    /// moment for `interval`.
    fn stands(&self, at: Moment, class: Class, flow: usize) -> bool {
        let flow = &self.classes[class.index()].flows[flow];
        let own = (!flow.list.is_empty()).then_some(flow.since);
        let above = self.classes.get(class.index() + 1).and_then(|above| above.since);
        [own, above].into_iter().flatten().any(|since| self.long_ago(at, since))
    }

    fn long_ago(&self, at: Moment, since: Duration) -> bool {
        at.now.saturating_sub(since) >= self.rules.interval(at)
    }

    fn newest_first(&self, at: Moment, class: Class, flow: usize) -> bool {
        self.rules.adaptive_lifo && self.stands(at, class, flow)
    }

    fn patience(&self, at: Moment, class: Class, flow: usize) -> Duration {
        if self.stands(at, class, flow) { self.rules.target(at) } else { self.rules.interval(at) }
    }

    fn until(&self, at: Moment, call: Call, since: Duration) -> Duration {
        let until = since.saturating_add(self.patience(at, call.class, call.flow));
        call.deadline.map_or(until, |deadline| deadline.min(until))
    }

    /// How it stands with a call. An answer is given once.
    pub(super) fn look(&self, ticket: Ticket) -> Option<Standing> {
        let standing = match self.slots.get(ticket)? {
            Slot::Waiting { .. } => return None,
            Slot::Given(then) => Standing::Given(*then),
            Slot::Shed(cause, _) => Standing::Shed(*cause),
        };
        Some(standing)
    }

    /// The waker of a call that waits.
    pub(super) fn waker(&mut self, ticket: Ticket) -> Option<&mut W> {
        match self.slots.get_mut(ticket)? {
            Slot::Waiting { waker, .. } => Some(waker),
            _ => None,
        }
    }

    /// The time of a call is over: whether it is shed, or waits on.
    pub(super) fn due(&mut self, at: Moment, ticket: Ticket) -> Standing {
        let (call, since) = match self.slots.get(ticket) {
            Some(Slot::Waiting { call, since, .. }) => (*call, *since),
            Some(Slot::Given(then)) => return Standing::Given(*then),
            Some(Slot::Shed(cause, _)) => return Standing::Shed(*cause),
            None => return Standing::Shed(Cause::Cancelled),
        };
        if call.deadline.is_some_and(|deadline| deadline <= at.now) {
            self.shed(at.now, ticket, Cause::Expired);
            return Standing::Shed(Cause::Expired);
        }
        let until = self.until(at, call, since);
        if until > at.now {
            return Standing::Waiting(until);
        }
        self.shed_and_those_below(at.now, ticket, call.class);
        Standing::Shed(Cause::Stood)
    }

    /// Stops waiting, or takes the answer. Returns what is to be dropped outside of a lock.
    pub(super) fn leave(&mut self, ticket: Ticket) -> (Option<Standing>, Option<W>) {
        let answer = self.look(ticket);
        match self.slots.get(ticket) {
            Some(Slot::Waiting { call, .. }) => {
                let class = call.class;
                self.counts[Cause::Cancelled as usize][class.priority()] += 1;
                self.unlink(ticket);
            }
            Some(Slot::Shed(_, Some(_))) => self.slots.unlink(&mut self.shed, ticket),
            _ => {}
        }
        let waker = match self.slots.remove(ticket) {
            Some(Slot::Waiting { waker, .. }) => Some(waker),
            Some(Slot::Shed(_, waker)) => waker,
            _ => None,
        };
        (answer, waker)
    }

    /// Sheds a call for the queue that stands, and whoever is less important with it: they would not have been served
    /// before it.
    fn shed_and_those_below(&mut self, now: Duration, ticket: Ticket, class: Class) {
        self.shed(now, ticket, Cause::Stood);
        for below in 0..class.index() {
            let mut flows = 0..self.classes[below].flows.len();
            while self.classes[below].waiting > 0
                && let Some(flow) = flows.next()
            {
                while let Some(ticket) = self.slots.first(&self.classes[below].flows[flow].list) {
                    self.shed(now, ticket, Cause::Stood);
                }
            }
        }
    }

    fn shed(&mut self, now: Duration, ticket: Ticket, cause: Cause) {
        let Some(call) = self.unlink(ticket) else { return };
        self.count(now, call.class, cause);
        self.slots.link_last(&mut self.shed, ticket);
        if let Some(slot) = self.slots.get_mut(ticket)
            && let Slot::Waiting { waker, .. } = mem::replace(slot, Slot::Shed(cause, None))
        {
            *slot = Slot::Shed(cause, Some(waker));
        }
    }

    /// Counts a call that is shed.
    pub(super) fn count(&mut self, now: Duration, class: Class, cause: Cause) {
        self.counts[cause as usize][class.priority()] += 1;
        self.overload.shed(now);
    }

    /// Takes a call out of those that wait.
    fn unlink(&mut self, ticket: Ticket) -> Option<Call> {
        let Slot::Waiting { call, .. } = self.slots.get(ticket)? else { return None };
        let call = *call;
        let class = call.class.index();
        let queue = &mut self.classes[class];
        self.slots.unlink(&mut queue.flows[call.flow].list, ticket);
        queue.waiting -= 1;
        self.waiting -= 1;
        for class in (0..=class).rev() {
            if self.classes[class].waiting > 0 || self.classes.get(class + 1).is_some_and(|above| above.since.is_some())
            {
                break;
            }
            self.classes[class].since = None;
        }
        Some(call)
    }

    /// The next one that has been shed and is to be told.
    pub(super) fn tell(&mut self) -> Option<W> {
        let ticket = self.slots.first(&self.shed)?;
        self.slots.unlink(&mut self.shed, ticket);
        match self.slots.get_mut(ticket) {
            Some(Slot::Shed(_, waker)) => waker.take(),
            _ => None,
        }
    }
}
