//! A service that does as it is told, and its cache.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{Error, Priority, Verdict, context};
use tower::Service;

pub(crate) const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Down;

/// What the service does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Answer,
    /// Answers with a status that is not a success.
    Status(u32),
    Fail,
    Panic,
    Hang,
    /// Is not ready, with an error.
    NotReady,
    AnswerAfter(Duration),
    FailAfter(Duration),
}

/// An answer: the status, and the number of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u32,
    pub(crate) number: u32,
}

pub(crate) fn answer(number: u32) -> Answer {
    Answer { status: 200, number }
}

pub(crate) fn by_status(outcome: Result<&Answer, &Error<Down>>) -> Verdict {
    match outcome.map(|answer| answer.status) {
        Ok(200) => Verdict::Success,
        Ok(404) => Verdict::Neutral,
        Ok(503) => Verdict::OVERLOADED,
        Ok(_) => Verdict::Permanent,
        Err(_) => Verdict::TRANSIENT,
    }
}

pub(crate) fn key(request: &u32) -> Option<u32> {
    (*request < 1000).then_some(*request)
}

#[derive(Clone, Debug)]
pub(crate) struct Upstream(Arc<Mutex<State>>);

#[derive(Debug)]
pub(crate) struct State {
    does: Does,
    pub(crate) made: u32,
    /// The context in which the last call was made: importance, and whether there was a deadline in so long.
    pub(crate) seen: Option<(Priority, Option<Duration>)>,
}

impl Upstream {
    pub(crate) fn new(does: Does) -> Self {
        Self(Arc::new(Mutex::new(State { does, made: 0, seen: None })))
    }

    pub(crate) fn does(&self, does: Does) {
        self.0.lock().unwrap().does = does;
    }

    pub(crate) fn made(&self) -> u32 {
        self.0.lock().unwrap().made
    }

    pub(crate) fn seen(&self) -> Option<(Priority, Option<Duration>)> {
        self.0.lock().unwrap().seen
    }
}

impl Service<u32> for Upstream {
    type Response = Answer;
    type Error = Error<Down>;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Error<Down>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self.0.lock().unwrap().does {
            Does::NotReady => Poll::Ready(Err(Error::Inner(Down))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: u32) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let (does, number) = {
            let mut state = shared.lock().unwrap();
            state.made += 1;
            (state.does, state.made)
        };
        Box::pin(async move {
            let left = context::deadline().map(|deadline| deadline - tokio::time::Instant::now());
            shared.lock().unwrap().seen = Some((context::priority(), left));
            match does {
                Does::Answer => Ok(answer(number)),
                Does::Status(status) => Ok(Answer { status, number }),
                Does::Fail | Does::NotReady => Err(Error::Inner(Down)),
                Does::Panic => std::panic::resume_unwind(Box::new("on purpose")),
                Does::Hang => std::future::pending().await,
                Does::AnswerAfter(wait) => {
                    tokio::time::sleep(wait).await;
                    Ok(answer(number))
                }
                Does::FailAfter(wait) => {
                    tokio::time::sleep(wait).await;
                    Err(Error::Inner(Down))
                }
            }
        })
    }
}

/// Lets tasks run that can, without time passing.
pub(crate) async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn after(time: Duration) {
    settle().await;
    tokio::time::advance(time).await;
    settle().await;
}
