//! What can be reached: one queue at the servers, and whoever sends from it knows at each moment how each backend is and
//! which workers are free. It serves the earliest deadline first, begins nothing that is unlikely to finish in time,
//! and sends again at once what has failed. It does not know the future, nor how long a call will take.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use super::{
    Request, Scenario, StormError,
    conditions::{Conditions, Health, Millis, Up},
    draw::LONGEST,
};

/// A call is begun only if there is time for so many means at a backend as it is now, and so many of one that is well. What
/// is begun and not finished in time was work for nothing, and what is not begun may have been lost for nothing: with less,
/// up to a sixth is lost under overload; with more, what is held until an outage ends is let go too early.
const LIKELY: (f64, f64) = (1.75, 1.5);

/// Whether each request was answered in time, in the order of their numbers.
pub(super) fn oracle(conditions: &Conditions, arrivals: &[(Millis, Request)]) -> Vec<bool> {
    let mut oracle = Oracle::new(conditions, arrivals.len());
    for change in conditions.changes() {
        oracle.events.push(Reverse((change, Event::Look)));
    }
    for (at, request) in arrivals {
        oracle.events.push(Reverse((at + conditions.ways(*at).0, Event::Arrives(request.id))));
    }
    oracle.run(arrivals);
    oracle.answered
}

impl Scenario {
    /// The share of the requests in the window that can be answered in time at best: by one queue at the servers that
    /// knows at each moment how each backend is and which workers are free, serves the earliest deadline first, begins
    /// nothing that is unlikely to finish, and sends again at once what has failed. It does not know the future.
    ///
    /// With users who wait for answers ([`Load::Closed`](super::Load::Closed)) there is none, as what comes depends on
    /// what was answered: 1.
    ///
    /// # Errors
    /// The scenario cannot be.
    pub fn oracle(&self, seed: u64) -> Result<f64, StormError> {
        self.check()?;
        let conditions = Conditions::new(self, seed);
        let arrivals = conditions.arrivals();
        let answered = oracle(&conditions, &arrivals);
        let window = conditions.window();
        let judged = arrivals.iter().zip(answered).filter(|((at, _), _)| window.contains(at));
        let (requests, answered) =
            judged.fold((0_u64, 0_u64), |(all, good), (_, answered)| (all + 1, good + u64::from(answered)));
        Ok(if requests == 0 { 1.0 } else { answered as f64 / requests as f64 })
    }
}

struct Oracle<'a> {
    conditions: &'a Conditions,
    events: BinaryHeap<Reverse<(Millis, Event)>>,
    /// Those of each class, by deadline.
    waiting: Vec<BTreeMap<(Millis, u64), Attempt>>,
    idle: Vec<u32>,
    completed: Vec<u64>,
    completed_before: Vec<Option<(Millis, u64)>>,
    answered: Vec<bool>,
}

/// A backend that takes calls.
#[derive(Clone, Copy, Debug)]
struct Usable {
    backend: usize,
    health: Health,
    /// So many times the time of a call.
    factor: f64,
    /// Of a call, in milliseconds, if all is well.
    mean: f64,
}

impl Usable {
    fn takes(&self) -> f64 {
        self.factor * self.mean
    }
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    request: Request,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Something has changed.
    Look,
    Arrives(u64),
    /// An attempt ends at this backend.
    Ends {
        backend: usize,
        id: u64,
        number: u64,
        fails: bool,
    },
}

impl<'a> Oracle<'a> {
    fn new(conditions: &'a Conditions, requests: usize) -> Self {
        let backends = &conditions.scenario.world.backends;
        Self {
            conditions,
            events: BinaryHeap::new(),
            waiting: vec![BTreeMap::new(); conditions.scenario.world.classes.len()],
            idle: backends.iter().map(|backend| backend.workers).collect(),
            completed: vec![0; backends.len()],
            completed_before: vec![None; backends.len()],
            answered: vec![false; requests],
        }
    }

    fn run(&mut self, arrivals: &[(Millis, Request)]) {
        let request = |id: u64| arrivals[id as usize].1;
        while let Some(Reverse((now, event))) = self.events.pop() {
            match event {
                Event::Look => {}
                Event::Arrives(id) => self.wait(Attempt { request: request(id), number: 1 }),
                Event::Ends { backend, id, number, fails } => {
                    self.idle[backend] += 1;
                    let request = request(id);
                    let in_time = now + self.conditions.ways(now).1 <= request.by;
                    self.completed[backend] += u64::from(in_time);
                    if fails {
                        self.wait(Attempt { request, number: number + 1 });
                    } else {
                        self.answered[id as usize] = in_time;
                    }
                }
            }
            // All that happens at one moment is known before anything is begun.
            if self.events.peek().is_none_or(|Reverse((next, _))| *next > now) {
                self.begin(now);
            }
        }
    }

    /// Begins what can be.
    fn begin(&mut self, now: Millis) {
        for waiting in &mut self.waiting {
            while waiting.first_key_value().is_some_and(|((deadline, _), _)| *deadline <= now) {
                waiting.pop_first();
            }
        }
        if self.waiting.iter().all(BTreeMap::is_empty) {
            return;
        }
        let mut usable = Vec::new();
        for backend in 0..self.idle.len() {
            let health = self.conditions.health(now, backend);
            if health.up == Up::Yes && health.fails_at_once < 1.0 {
                let factor = self.factor(backend, &health);
                let mean = self.conditions.scenario.world.backends[backend].service.mean().as_secs_f64() * 1000.0;
                usable.push(Usable { backend, health, factor, mean });
            }
        }
        usable.sort_by(|one, other| one.takes().total_cmp(&other.takes()));
        let Some(best) = usable.first().map(Usable::takes) else { return };
        for usable in usable {
            while self.idle[usable.backend] > 0 {
                let Some(attempt) = self.next(now, &usable, usable.takes() <= best) else { break };
                self.send(now, &usable, attempt);
            }
        }
    }

    fn wait(&mut self, attempt: Attempt) {
        let Request { by, id, class, .. } = attempt.request;
        self.waiting[usize::from(class)].insert((by, id), attempt);
    }

    /// The earliest deadline for which there is likely to be time. Where not even a request that has just come has so
    /// much, at the best that there is, three quarters of its time must do.
    fn next(&mut self, now: Millis, usable: &Usable, at_best: bool) -> Option<Attempt> {
        let world = &self.conditions.scenario.world;
        let (there, back) = self.conditions.ways(now);
        let takes = usable.mean * (LIKELY.0 * usable.factor + LIKELY.1);
        let likely = |class: usize| {
            let takes = ((takes * world.classes[class].work) as Millis).min(LONGEST);
            let most = (self.conditions.waits(class).saturating_sub(there + back) * 3 / 4).max(1);
            now + back + if at_best { takes.min(most) } else { takes }
        };
        let first = |(class, waiting): (usize, &BTreeMap<_, _>)| {
            waiting.range((likely(class), 0)..).next().map(|(key, _)| (*key, class))
        };
        let (key, class) = self.waiting.iter().enumerate().filter_map(first).min()?;
        self.waiting[class].remove(&key)
    }

    fn send(&mut self, now: Millis, usable: &Usable, attempt: Attempt) {
        let (Attempt { request, number }, Usable { backend, health, factor, .. }) = (attempt, *usable);
        let lot = self.conditions.lot(&health, backend, &request, number);
        let takes = self.conditions.draws.rounded(lot.work * factor / health.factor, request.id, number);
        let fails = lot.fails || lot.fails_at_once;
        let takes = match (lot.fails_at_once, fails) {
            // What fails is sent again, and time has to go on.
            (true, _) => 1,
            (false, true) => takes.max(1),
            (false, false) => takes,
        };
        self.idle[backend] -= 1;
        self.events.push(Reverse((now + takes, Event::Ends { backend, id: request.id, number, fails })));
    }

    /// So many times the time of a call, in all.
    fn factor(&mut self, backend: usize, health: &Health) -> f64 {
        let Some((factor, completions, since)) = health.cold else { return health.factor };
        if self.completed_before[backend].is_none_or(|(at, _)| at != since) {
            self.completed_before[backend] = Some((since, self.completed[backend]));
        }
        let before = self.completed_before[backend].map_or(0, |(_, before)| before);
        let cold = self.completed[backend] - before < completions;
        if cold { health.factor * factor } else { health.factor }
    }
}
