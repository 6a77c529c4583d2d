//! A service whose calls end when the test says so, and callers that are polled by hand.

use std::{
    collections::BTreeMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
};

use futures::task::{ArcWake, waker};
use steadfast::{Error, coalesce::CoalesceLayer, ready::ReadyFuture};
use tower::Service;

pub(crate) type Key = u32;
pub(crate) type Outcome = Result<u32, Error<Broken>>;
pub(crate) type Layer<C = steadfast::coalesce::CloneOutcome> =
    CoalesceLayer<fn(&Request) -> Option<Key>, Key, ReadyFuture<Upstream, Request>, C>;

/// A request that is neither `Clone` nor `Copy`. The caller is for the eye only.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) key: Option<Key>,
}

pub(crate) fn request(key: Key) -> Request {
    Request { key: Some(key) }
}

pub(crate) fn key_of(request: &Request) -> Option<Key> {
    request.key
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answer,
    Fail,
    Panic,
}

/// A service whose calls wait until they are ended. Keeps the last waker of each only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upstream(Arc<Mutex<Calls>>);

type InFlight = (Option<Key>, Option<Waker>, Option<End>);

#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) made: u32,
    /// Those in flight: by number, with key, waker, and the end that it has been told.
    in_flight: BTreeMap<u32, InFlight>,
    /// The most of one key that there were at once.
    pub(crate) most: usize,
}

impl Upstream {
    pub(crate) fn made(&self) -> u32 {
        self.0.lock().unwrap().made
    }

    pub(crate) fn most(&self) -> usize {
        self.0.lock().unwrap().most
    }

    /// The number of the call of this key that is in flight and has not been ended.
    pub(crate) fn running(&self, key: Key) -> Option<u32> {
        let calls = self.0.lock().unwrap();
        calls.in_flight.iter().find(|(_, call)| call.0 == Some(key) && call.2.is_none()).map(|(number, _)| *number)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.0.lock().unwrap().in_flight.len()
    }

    /// Ends a call.
    pub(crate) fn end(&self, number: u32, end: End) {
        let waker = {
            let mut calls = self.0.lock().unwrap();
            let call = calls.in_flight.get_mut(&number).expect("it is in flight");
            call.2 = Some(end);
            call.1.take()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Ends the call of this key that is in flight.
    pub(crate) fn answer(&self, key: Key) {
        self.end(self.running(key).expect("a call is in flight"), End::Answer);
    }
}

impl Service<Request> for Upstream {
    type Response = u32;
    type Error = Error<Broken>;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Broken>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Call {
        let mut calls = self.0.lock().unwrap();
        calls.made += 1;
        let number = calls.made;
        calls.in_flight.insert(number, (request.key, None, None));
        // A call that has panicked is over, whoever holds on to its future.
        let alive = |end: Option<End>| end != Some(End::Panic);
        let same = calls.in_flight.values().filter(|call| call.0.is_some() && call.0 == request.key && alive(call.2));
        let same = same.count();
        calls.most = calls.most.max(same);
        Call { number, upstream: self.clone() }
    }
}

/// Answers with its number.
#[derive(Debug)]
pub(crate) struct Call {
    number: u32,
    upstream: Upstream,
}

impl Future for Call {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut calls = self.upstream.0.lock().unwrap();
        let call = calls.in_flight.get_mut(&self.number).expect("it is in flight until it is dropped");
        let Some(end) = call.2 else {
            call.1 = Some(cx.waker().clone());
            return Poll::Pending;
        };
        drop(calls);
        match end {
            End::Answer => Poll::Ready(Ok(self.number)),
            End::Fail => Poll::Ready(Err(Error::Inner(Broken))),
            // Without a word on the console: there are many.
            End::Panic => resume_unwind(Box::new("the upstream panics")),
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.upstream.0.lock().unwrap().in_flight.remove(&self.number);
    }
}

#[derive(Default)]
struct Wakes(AtomicU32);

impl ArcWake for Wakes {
    fn wake_by_ref(this: &Arc<Self>) {
        this.0.fetch_add(1, SeqCst);
    }
}

/// A caller with a task of its own, polled by hand.
pub(crate) struct Caller<F: Future> {
    /// `None` once it has panicked or was dropped.
    pub(crate) call: Option<Pin<Box<F>>>,
    wakes: Arc<Wakes>,
    waker: Waker,
    seen: u32,
    pub(crate) polls: u32,
    pub(crate) output: Option<F::Output>,
    pub(crate) panicked: bool,
}

impl<F: Future> Caller<F> {
    pub(crate) fn new(call: F) -> Self {
        let wakes = Arc::<Wakes>::default();
        let waker = waker(Arc::clone(&wakes));
        let (call, output) = (Some(Box::pin(call)), None);
        // Not polled yet, so as good as woken.
        wakes.0.store(1, SeqCst);
        Self { call, wakes, waker, seen: 0, polls: 0, output, panicked: false }
    }

    /// Polls it once. Whether it is over.
    pub(crate) fn poll(&mut self) -> bool {
        let Some(call) = &mut self.call else { return true };
        self.seen = self.wakes.0.load(SeqCst);
        self.polls += 1;
        let mut cx = Context::from_waker(&self.waker);
        match catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(output)) => self.output = Some(output),
            // Held: it is the task's to drop, which may come later.
            Err(_) => self.panicked = true,
        }
        if !self.panicked {
            self.call = None;
        }
        true
    }

    /// How often it has been woken since it was polled last.
    pub(crate) fn woken(&self) -> u32 {
        self.wakes.0.load(SeqCst) - self.seen
    }

    pub(crate) fn is_over(&self) -> bool {
        self.call.is_none() || self.panicked
    }
}

/// Polls those that have been woken, until none is.
pub(crate) fn run<F: Future>(callers: &mut [Caller<F>]) {
    while let Some(caller) = callers.iter_mut().find(|caller| !caller.is_over() && caller.woken() > 0) {
        caller.poll();
    }
}
