//! The inner service of the suite: strict about readiness, scripted, and it counts what it has in flight.

use std::{
    cell::Cell,
    collections::VecDeque,
    convert::Infallible,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use steadfast::{BoxError, Error, LayerError, Rejected, RejectedKind};
use tower::Service;

use crate::clock;

/// The request of most tests.
#[derive(Clone, Debug)]
pub(crate) struct Request(pub(crate) u32);

/// A request that is neither `Clone` nor `Sync`.
#[derive(Debug)]
pub(crate) struct Unique(pub(crate) Cell<u32>);

/// What the mock needs of a request.
pub(crate) trait Numbered {
    fn number(&self) -> u32;
}

impl Numbered for Request {
    fn number(&self) -> u32 {
        self.0
    }
}

impl Numbered for Unique {
    fn number(&self) -> u32 {
        self.0.get()
    }
}

/// A response that is not `Clone`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) number: u32,
    /// Whether a fallback answered.
    pub(crate) spare: bool,
}

/// What goes wrong in the mock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{self:?}")]
pub(crate) enum Broken {
    Call,
    Readiness,
}

/// An error type of a user's own, not `Clone`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Rejected(#[from] Rejected),
    #[error(transparent)]
    Own(Broken),
}

impl LayerError for Fault {
    fn as_rejected(&self) -> Option<&Rejected> {
        match self {
            Self::Rejected(rejected) => Some(rejected),
            Self::Own(_) => None,
        }
    }
}

/// An innermost error type.
pub(crate) trait Failure: fmt::Debug + Send + Sync + 'static {
    fn of(broken: Broken) -> Self;

    /// What went wrong in the mock, if it was that and came through untouched.
    fn broken(&self) -> Option<Broken>;
}

impl Failure for Fault {
    fn of(broken: Broken) -> Self {
        Self::Own(broken)
    }

    fn broken(&self) -> Option<Broken> {
        match self {
            Self::Own(broken) => Some(*broken),
            Self::Rejected(_) => None,
        }
    }
}

impl Failure for BoxError {
    fn of(broken: Broken) -> Self {
        Box::new(broken)
    }

    fn broken(&self) -> Option<Broken> {
        self.downcast_ref().copied()
    }
}

impl Failure for Error<Broken> {
    fn of(broken: Broken) -> Self {
        Self::Inner(broken)
    }

    fn broken(&self) -> Option<Broken> {
        self.inner().copied()
    }
}

impl Failure for Rejected {
    fn of(broken: Broken) -> Self {
        Self::new(RejectedKind::TimedOut, broken.to_string())
    }

    fn broken(&self) -> Option<Broken> {
        [Broken::Call, Broken::Readiness].into_iter().find(|broken| *self.name() == *broken.to_string())
    }
}

impl Failure for Infallible {
    fn of(broken: Broken) -> Self {
        panic!("{broken} is not in the script of what cannot fail")
    }

    fn broken(&self) -> Option<Broken> {
        match *self {}
    }
}

/// How a call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Answer,
    Fail,
    PanicInCall,
    PanicInPoll,
}

/// What a call does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    /// How often its future is pending, to be polled again at once.
    pub(crate) pends: u32,
    /// The virtual time it takes then.
    pub(crate) takes: Duration,
    pub(crate) end: End,
}

impl Act {
    pub(crate) const fn new(end: End) -> Self {
        Self { pends: 0, takes: Duration::ZERO, end }
    }

    pub(crate) const fn pending(self, pends: u32) -> Self {
        Self { pends, ..self }
    }

    pub(crate) const fn taking(self, takes: Duration) -> Self {
        Self { takes, ..self }
    }
}

/// How `poll_ready` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    AtOnce,
    /// Each instance has to wait, before each call.
    AfterAWait,
    Never,
    Fails,
}

/// A service that panics when an instance is called that was not itself driven to ready.
#[derive(Debug)]
pub(crate) struct Mock<E> {
    shared: Arc<Shared>,
    ready: bool,
    waited: bool,
    error: PhantomData<fn() -> E>,
}

#[derive(Debug)]
struct Shared {
    spare: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    calls: usize,
    readiness: Readiness,
    first: VecDeque<Act>,
    then: Act,
}

thread_local! {
    static IN_FLIGHT: Cell<usize> = const { Cell::new(0) };
}

/// How many futures of mocks there are on this thread, which is the test's own.
pub(crate) fn in_flight() -> usize {
    IN_FLIGHT.get()
}

/// Counts a future for as long as it lives.
struct InFlight;

impl InFlight {
    fn new() -> Self {
        IN_FLIGHT.set(IN_FLIGHT.get() + 1);
        Self
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        IN_FLIGHT.set(IN_FLIGHT.get() - 1);
    }
}

impl<E> Mock<E> {
    /// Waits before each call; then its calls do what `first` says, in order, and all others what `then` says.
    pub(crate) fn new(first: impl IntoIterator<Item = Act>, then: Act) -> Self {
        Self::with(first.into_iter().collect(), then, false)
    }

    /// Answers each call.
    pub(crate) fn answering() -> Self {
        Self::new([], Act::new(End::Answer))
    }

    /// Fails each call.
    pub(crate) fn failing() -> Self {
        Self::new([], Act::new(End::Fail))
    }

    /// A fallback's service: as strict, and its calls are pending once.
    pub(crate) fn spare() -> Self {
        Self::with(VecDeque::new(), Act::new(End::Answer).pending(1), true)
    }

    fn with(first: VecDeque<Act>, then: Act, spare: bool) -> Self {
        let state = State { calls: 0, readiness: Readiness::AfterAWait, first, then };
        let shared = Shared { spare, state: Mutex::new(state) };
        Self { shared: Arc::new(shared), ready: false, waited: false, error: PhantomData }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    pub(crate) fn readiness(self, readiness: Readiness) -> Self {
        self.set_readiness(readiness);
        self
    }

    pub(crate) fn set_readiness(&self, readiness: Readiness) {
        self.state().readiness = readiness;
    }

    /// From now on all calls do what `then` says.
    pub(crate) fn becomes(&self, then: Act) {
        let mut state = self.state();
        state.first.clear();
        state.then = then;
    }

    /// How many calls were made to any clone.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// How many instances there are.
    pub(crate) fn instances(&self) -> usize {
        Arc::strong_count(&self.shared)
    }
}

impl<E> Clone for Mock<E> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ready: false, waited: false, error: PhantomData }
    }
}

impl<E: Failure, Req: Numbered> Service<Req> for Mock<E> {
    type Response = Answer;
    type Error = E;
    type Future = BoxFuture<'static, Result<Answer, E>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let readiness = self.state().readiness;
        match readiness {
            Readiness::AtOnce => self.ready = true,
            Readiness::AfterAWait if self.ready || self.waited => self.ready = true,
            Readiness::AfterAWait => {
                self.waited = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Readiness::Never => return Poll::Pending,
            Readiness::Fails => return Poll::Ready(Err(E::of(Broken::Readiness))),
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        assert!(self.ready, "called an instance that was not driven to ready");
        (self.ready, self.waited) = (false, false);
        let act = {
            let mut state = self.state();
            state.calls += 1;
            state.first.pop_front().unwrap_or(state.then)
        };
        assert_ne!(act.end, End::PanicInCall, "the mock panics");
        let answer = Answer { number: request.number(), spare: self.shared.spare };
        let in_flight = InFlight::new();
        Box::pin(async move {
            let _in_flight = in_flight;
            for _ in 0..act.pends {
                pending_once().await;
            }
            if !act.takes.is_zero() {
                clock::sleep(act.takes).await;
            }
            match act.end {
                End::Answer => Ok(answer),
                End::Fail => Err(E::of(Broken::Call)),
                End::PanicInCall | End::PanicInPoll => panic!("the mock panics"),
            }
        })
    }
}

async fn pending_once() {
    let mut pending = true;
    std::future::poll_fn(|cx| {
        if std::mem::take(&mut pending) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}
