//! Calls that say when they were let through. The only place of these tests that sleeps or reads a clock, all of it
//! under paused time.
#![allow(clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    Rejected, RejectedKind, context,
    rate_limit::{RateLimit, RateLimitLayer},
};
use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, Service, ServiceExt};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const NS: Duration = Duration::from_nanos(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const EVER: Duration = Duration::from_secs(1_000_000);

/// Notes each call and the time since it was made.
#[derive(Clone)]
pub(crate) struct Log {
    origin: Instant,
    calls: Arc<Mutex<Vec<(u32, Duration)>>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now(), calls: Arc::default() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    pub(crate) fn note(&self, number: u32) {
        self.calls.lock().unwrap().push((number, self.now()));
    }

    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.calls.lock().unwrap().iter().map(|(number, _)| *number).collect()
    }

    pub(crate) fn times(&self) -> Vec<Duration> {
        self.calls.lock().unwrap().iter().map(|(_, time)| *time).collect()
    }

    pub(crate) fn millis(&self) -> Vec<u128> {
        self.times().iter().map(Duration::as_millis).collect()
    }

    /// Panics if more than `most` calls were let through in any `period`.
    pub(crate) fn is_within(&self, most: usize, period: Duration) {
        for window in self.times().windows(most + 1) {
            assert!(
                window[most] - window[0] >= period,
                "{} calls from {:?} to {:?}",
                most + 1,
                window[0],
                window[most]
            );
        }
    }
}

impl Service<u32> for Log {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, number: u32) -> Self::Future {
        self.note(number);
        ready(Ok(number))
    }
}

/// `limit` a second, with a queue of any length.
pub(crate) fn per_second(limit: u32, burst: u32) -> RateLimitLayer {
    RateLimit::builder(limit, SECOND).burst(burst).max_wait(EVER).max_waiting(1_000_000).build().unwrap()
}

/// A call in a task of its own, which has run as far as it can.
pub(crate) async fn start(layer: &RateLimitLayer, log: &Log, number: u32) -> JoinHandle<Result<u32, Rejected>> {
    let task = tokio::spawn(layer.layer(log.clone()).oneshot(number));
    settle().await;
    task
}

/// Lets all tasks run as far as they can.
pub(crate) async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

/// To the nanosecond.
pub(crate) async fn advance(time: Duration) {
    tokio::time::advance(time).await;
}

/// Runs `future` as part of a call that has to be over in `time`.
pub(crate) async fn with_deadline<F: Future>(time: Duration, future: F) -> F::Output {
    context::scope(context::current().with_deadline(Instant::now() + time), future).await
}

/// After which time it says that there is a chance.
pub(crate) fn retry_after<T: std::fmt::Debug>(outcome: Result<T, Rejected>) -> Duration {
    let rejected = outcome.unwrap_err();
    assert_eq!(rejected.kind(), RejectedKind::RateLimited);
    assert!(!rejected.reached_service(), "it may be sent elsewhere");
    rejected.retry_after().expect("a limiter knows")
}
