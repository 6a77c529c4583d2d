//! An upstream whose behaviour is switched by hand, and small helpers, for tests in paused time.
#![allow(dead_code, reason = "each test crate uses its own part")]

use std::{
    convert::Infallible,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use steadfast::{
    Error,
    circuit_breaker::{CircuitBreakerEvent, StateChange},
    telemetry::{Events, Received},
};
use tokio::sync::Notify;
use tower::Service;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SEC: Duration = Duration::from_secs(1);

/// The upstream's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream is down")]
pub(crate) struct Down;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Succeed,
    Fail,
    /// Pending until `Upstream::answer`, then as it was when called: success.
    Hang,
    /// Pending until `Upstream::answer`, then a failure.
    HangThenFail,
    PanicInCall,
    PanicInPoll,
    /// So many failures, then successes.
    FailFirst(u32),
}

/// A service whose behaviour is switched by hand. Clones share it; answers with the number of the call, from 1.
pub(crate) struct Upstream<Req = ()> {
    shared: Arc<Shared>,
    request: PhantomData<fn(Req)>,
}

impl<Req> Clone for Upstream<Req> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), request: PhantomData }
    }
}

struct Shared {
    mode: Mutex<Mode>,
    calls: AtomicU32,
    answer: Notify,
}

impl Upstream {
    pub(crate) fn new(mode: Mode) -> Self {
        Self::of(mode)
    }
}

impl<Req> Upstream<Req> {
    /// Of requests other than `()`.
    pub(crate) fn of(mode: Mode) -> Self {
        let shared = Shared { mode: mode.into(), calls: 0.into(), answer: Notify::new() };
        Self { shared: Arc::new(shared), request: PhantomData }
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
    }

    /// How many calls have reached it.
    pub(crate) fn calls(&self) -> u32 {
        self.shared.calls.load(SeqCst)
    }

    /// Lets all that hang now go on.
    pub(crate) fn answer(&self) {
        self.shared.answer.notify_waiters();
    }
}

impl<Req> Service<Req> for Upstream<Req> {
    type Response = u32;
    type Error = Error<Down>;
    type Future = Pin<Box<dyn Future<Output = Result<u32, Error<Down>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Req) -> Self::Future {
        let number = self.shared.calls.fetch_add(1, SeqCst) + 1;
        let mode = *self.shared.mode.lock().unwrap();
        assert_ne!(mode, Mode::PanicInCall, "the upstream panics");
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            match mode {
                Mode::Succeed => Ok(number),
                Mode::FailFirst(failures) if number > failures => Ok(number),
                Mode::Fail | Mode::FailFirst(_) => Err(Error::Inner(Down)),
                Mode::Hang => {
                    shared.answer.notified().await;
                    Ok(number)
                }
                Mode::HangThenFail => {
                    shared.answer.notified().await;
                    Err(Error::Inner(Down))
                }
                Mode::PanicInCall | Mode::PanicInPoll => panic!("the upstream panics"),
            }
        })
    }
}

/// The paused clock.
#[allow(clippy::disallowed_methods, reason = "tests run in paused time")]
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Polls once, as a task that is woken later would.
pub(crate) fn poll_once<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Option<F::Output> {
    future.as_mut().now_or_never()
}

/// What has been told of changes of state until now.
pub(crate) fn changes(events: &mut Events<CircuitBreakerEvent>) -> Vec<StateChange> {
    let mut changes = Vec::new();
    while let Some(received) = events.try_recv() {
        match received {
            Received::Event(CircuitBreakerEvent::StateChanged(change)) => changes.push(change),
            Received::Event(_) => {}
            Received::Lost(lost) => panic!("{lost} events lost"),
        }
    }
    changes
}

/// Runs `test` in paused time on a thread of its own, and fails if it never ends: a deadlock is a failure, not a hang.
pub(crate) fn ends<Fut: Future<Output = ()>>(test: impl FnOnce() -> Fut + Send + 'static) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(test())));
        let _ = done.send(result);
    });
    match ended.recv_timeout(Duration::from_secs(30)) {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => panic!("deadlock: the test never ended"),
    }
}

/// Calls `service` so many times and answers with how many succeeded.
pub(crate) async fn call_times<S>(service: &S, times: u32) -> u32
where
    S: Service<()> + Clone,
{
    let mut succeeded = 0;
    for _ in 0..times {
        succeeded += u32::from(tower::ServiceExt::oneshot(service.clone(), ()).await.is_ok());
    }
    succeeded
}

/// What the tasks answer, in paused time; one that is still waiting after so many seconds was never woken.
pub(crate) async fn finished<T>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    for _ in 0..100 {
        tokio::time::advance(SEC).await;
        // Each task may need a few turns at one moment.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
    let waiting = tasks.iter().filter(|task| !task.is_finished()).count();
    assert_eq!(waiting, 0, "of {} tasks, so many were never woken", tasks.len());
    futures::future::join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// For services that cannot fail.
pub(crate) fn never(error: Infallible) -> ! {
    match error {}
}
