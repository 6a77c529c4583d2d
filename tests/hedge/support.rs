//! A service whose attempts do what a script says, and which notes when they came and went.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{Error, Rejected, RejectedKind, Verdict, context, retry::RetryBuilder};
use tokio::time::Instant;
use tower::Service;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const NEVER: Duration = Duration::from_secs(86_400);

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Fails,
    Permanent,
    Neutral,
    Overloaded,
    /// By a layer below.
    Refused,
    Panics,
}

use End::{Neutral, Ok as Answers, Overloaded, Permanent};

/// What the service says, with the number of the attempt that it saw.
pub(crate) type Answer = Result<(End, u32), Error<(End, u32)>>;

/// What is known of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Since the service was made.
    pub(crate) at: Duration,
    /// As the context says.
    pub(crate) attempt: u32,
    pub(crate) repeated: bool,
    /// When its future was gone.
    pub(crate) gone: Option<Duration>,
}

/// Clones share the script. The n-th attempt does what its n-th line says, those after it what the last one says.
pub(crate) struct Scripted {
    shared: Arc<Mutex<State>>,
    start: Instant,
    ready: bool,
}

impl Clone for Scripted {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), start: self.start, ready: false }
    }
}

struct State {
    script: Vec<(Duration, End)>,
    seen: Vec<Seen>,
    polls: u32,
    /// How long it takes to be ready, from the second attempt on.
    unready: Duration,
}

impl Scripted {
    pub(crate) fn new(script: &[(u64, End)]) -> Self {
        let script = script.iter().map(|(ms, end)| (Duration::from_millis(*ms), *end)).collect();
        let state = State { script, seen: Vec::new(), polls: 0, unready: Duration::ZERO };
        Self { shared: Arc::new(Mutex::new(state)), start: Instant::now(), ready: false }
    }

    pub(crate) fn unready(self, time: Duration) -> Self {
        self.shared.lock().unwrap().unready = time;
        self
    }

    /// From now on.
    pub(crate) fn becomes(&self, script: &[(u64, End)]) {
        let mut state = self.shared.lock().unwrap();
        state.seen.clear();
        state.script = script.iter().map(|(ms, end)| (Duration::from_millis(*ms), *end)).collect();
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.lock().unwrap().seen.clone()
    }

    /// When the attempts came, in milliseconds.
    pub(crate) fn came(&self) -> Vec<u128> {
        self.seen().iter().map(|seen| seen.at.as_millis()).collect()
    }

    pub(crate) fn polls(&self) -> u32 {
        self.shared.lock().unwrap().polls
    }

    pub(crate) fn under_way(&self) -> usize {
        self.seen().iter().filter(|seen| seen.gone.is_none()).count()
    }
}

struct Gone {
    shared: Arc<Mutex<State>>,
    start: Instant,
    index: usize,
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let Some(seen) = self.shared.lock().unwrap().seen.get_mut(self.index) {
            seen.gone = Some(self.start.elapsed());
        }
    }
}

impl<Req> Service<Req> for Scripted {
    type Response = (End, u32);
    type Error = Error<(End, u32)>;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let state = self.shared.lock().unwrap();
        if !state.seen.is_empty() && !state.unready.is_zero() && !self.ready {
            let (wait, waker) = (state.unready, cx.waker().clone());
            let first = state.seen[0].at;
            if self.start.elapsed() < first + wait {
                let until = self.start + first + wait;
                tokio::spawn(async move {
                    tokio::time::sleep_until(until).await;
                    waker.wake();
                });
                return Poll::Pending;
            }
        }
        drop(state);
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Req) -> Self::Future {
        assert!(self.ready, "called an instance that was not driven to ready");
        self.ready = false;
        let mut state = self.shared.lock().unwrap();
        let index = state.seen.len();
        let (takes, end) = state.script[index.min(state.script.len() - 1)];
        let (attempt, repeated) = (context::attempt(), context::is_repeated());
        state.seen.push(Seen { at: self.start.elapsed(), attempt, repeated, gone: None });
        let shared = Arc::clone(&self.shared);
        let gone = Gone { shared: Arc::clone(&shared), start: self.start, index };
        Box::pin(async move {
            let _gone = gone;
            let mut answer = Box::pin(async move {
                if !takes.is_zero() {
                    tokio::time::sleep(takes).await;
                }
                assert_ne!(end, End::Panics, "the service panics");
                match end {
                    Answers | Neutral | Permanent => Ok((end, context::attempt())),
                    End::Refused => Err(Rejected::new(RejectedKind::BulkheadFull, "below").into()),
                    _ => Err(Error::Inner((end, context::attempt()))),
                }
            });
            std::future::poll_fn(move |cx| {
                let polls = {
                    let mut state = shared.lock().unwrap();
                    state.polls += 1;
                    state.polls
                };
                assert!(polls < 10_000, "polled without end");
                answer.as_mut().poll(cx)
            })
            .await
        })
    }
}

pub(crate) fn judge(outcome: Result<&(End, u32), &Error<(End, u32)>>) -> Verdict {
    match outcome {
        Ok((Permanent, _)) => Verdict::Permanent,
        Ok((Neutral, _)) => Verdict::Neutral,
        Ok(_) => Verdict::Success,
        Err(Error::Inner((Overloaded, _))) => Verdict::OVERLOADED,
        Err(_) => Verdict::TRANSIENT,
    }
}

pub(crate) type Judge = fn(Result<&(End, u32), &Error<(End, u32)>>) -> Verdict;

/// A retry that judges what the script says, and waits 100 ms before each further attempt.
pub(crate) fn retry() -> RetryBuilder<Judge> {
    let wait = steadfast::backoff::Backoff::fixed(100 * MS);
    steadfast::retry::Retry::builder().classify(judge as Judge).backoff(wait)
}

/// The outcome, and how long it took in milliseconds.
pub(crate) async fn timed<F: Future>(future: F) -> (F::Output, u128) {
    let start = Instant::now();
    let output = future.await;
    (output, start.elapsed().as_millis())
}

pub(crate) fn won(attempt: u32) -> Answer {
    Ok((End::Ok, attempt))
}
