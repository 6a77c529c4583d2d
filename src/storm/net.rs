//! The network and the backends behind it, and what is noted of a run. All of one run, on one thread.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Failure, Request, Response, Status, Work,
    conditions::{Conditions, Lot, Millis, Up, millis},
    draw::About,
    server::Server,
    serving::{Answered, Serve},
};
use crate::{
    context::CallContext,
    time::{self, Instant},
};

pub(super) struct Net {
    pub(super) conditions: Conditions,
    pub(super) origin: Instant,
    pub(super) serve: Option<Serve>,
    book: Mutex<Book>,
    gauges: Mutex<Vec<Gauge>>,
}

/// What is read of the stacks once a second.
pub(super) struct Gauge {
    pub(super) name: String,
    pub(super) read: Read,
}

/// Reads a figure of a stack.
pub(super) type Read = Box<dyn Fn() -> f64 + Send>;

/// What is noted of a run.
#[derive(Debug, Default)]
pub(super) struct Book {
    servers: Vec<Server>,
    /// For each client, whose turn it is of the backends that a name stands for.
    turns: Vec<usize>,
    /// Attempts of each request.
    pub(super) attempts: Vec<u32>,
    /// Attempts sent in each second.
    pub(super) attempts_in: Vec<u64>,
    /// Server time of all attempts, and of those whose answer was of use.
    pub(super) worked: Duration,
    pub(super) used: Duration,
}

/// What becomes of an attempt that arrives at a backend.
pub(super) enum Fate {
    /// There is an answer, or a failure, then.
    Known(Millis, Result<Response, Failure>),
    Never,
    /// The backend's own layers decide.
    Served(Pin<Box<dyn Future<Output = Result<Response, Failure>> + Send>>),
}

impl Net {
    pub(super) fn new(conditions: Conditions, serve: Option<Serve>) -> Self {
        let servers = conditions.scenario.world.backends.iter().map(Server::new).collect();
        let clients = u64::from(conditions.scenario.world.clients);
        // Each begins with another one.
        let turns = (0..clients).map(|client| conditions.draws.one_of(About::Backend, client, 0, 1 << 20)).collect();
        let book = Mutex::new(Book { servers, turns, ..Book::default() });
        Self { conditions, origin: time::now(), serve, book, gauges: Mutex::default() }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn gauges(&self) -> MutexGuard<'_, Vec<Gauge>> {
        self.gauges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Millis {
        millis(time::now().saturating_duration_since(self.origin))
    }

    pub(super) fn at(&self, at: Millis) -> Instant {
        self.origin + Duration::from_millis(at)
    }

    /// The how many-th attempt of a client by name it is.
    pub(super) fn turn(&self, client: u32) -> usize {
        let mut book = self.book();
        let turn = &mut book.turns[client as usize];
        *turn += 1;
        *turn
    }

    /// Notes an attempt, and says the how many-th of its request it is.
    pub(super) fn attempt(&self, request: &Request) -> u64 {
        let second = (self.now() / 1000) as usize;
        let mut book = self.book();
        let book = &mut *book;
        let id = request.id as usize;
        if book.attempts.len() <= id {
            book.attempts.resize(id + 1, 0);
        }
        book.attempts[id] += 1;
        if book.attempts_in.len() <= second {
            book.attempts_in.resize(second + 1, 0);
        }
        book.attempts_in[second] += 1;
        book.attempts[id].into()
    }

    /// An attempt arrives at a backend.
    pub(super) fn arrives(&self, request: Request, attempt: u64, backend: usize, context: CallContext) -> Fate {
        let now = self.now();
        let health = self.conditions.health(now, backend);
        match health.up {
            Up::Yes => {}
            Up::Refuses => return Fate::Known(now, Err(Failure::Refused)),
            Up::NotPrimary => return Fate::Known(now, Err(Failure::NotPrimary)),
            Up::Swallows => return Fate::Never,
        }
        let Lot { mut work, fails, fails_at_once } = self.conditions.lot(&health, backend, &request, attempt);
        if fails_at_once {
            return Fate::Known(now, Err(Failure::Failed));
        }
        let mut book = self.book();
        if let Some((factor, completions, since)) = health.cold
            && book.servers[backend].is_cold(now, since, completions)
        {
            work *= factor;
        }
        let takes = self.conditions.draws.rounded(work, request.id, attempt);
        let worked = Duration::from_millis(takes);
        let status = if request.invalid { Status::Invalid } else { Status::Ok };
        let outcome = if fails { Err(Failure::Failed) } else { Ok(Response { status, worked: Some(worked) }) };
        // An answer that leaves by then is in time.
        let by = request.by.saturating_sub(self.conditions.ways(now).1);
        if let Some(serve) = &self.serve {
            let answers = book.servers[backend].answers();
            drop(book);
            let answered = Answered { by: self.at(by), answers };
            return Fate::Served(serve.serve(backend, Work { request, takes: worked, fails }, context, answered));
        }
        match book.servers[backend].offer(now, takes, by) {
            Some(ends) => {
                book.worked += worked;
                Fate::Known(ends, outcome)
            }
            None => Fate::Known(now, Err(Failure::Overloaded)),
        }
    }
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("scenario", &self.conditions.scenario.name).finish_non_exhaustive()
    }
}
