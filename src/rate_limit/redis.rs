//! A store in a Redis server (5 or newer), feature `redis`.
//!
//! ```no_run
//! use std::time::Duration;
//! use steadfast::rate_limit::{RateLimit, redis::RedisStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = RedisStore::new("redis://127.0.0.1/")?;
//! let limit = RateLimit::builder(100, Duration::from_secs(1)).name("partner").store(store, 4).build()?;
//! limit.handle().acquire().await?;
//! # Ok(())
//! # }
//! ```
//!
//! A decision is one call of a script, in the server's time, with one key (`steadfast:` and the limiter's name) that
//! expires when the limiter has rested. The clocks of the processes do not matter. When the server's clock is set back,
//! the burst and the turns within `max_wait` count as used up, and no more, so calls are held back by no longer than that.
//! (`max_wait` is to be the same in all processes.) The limiter waits 50 ms for a decision, the first connection included;
//! [`RedisStore::connect`] before the first call makes sure that there is one.
//!
//! Each question is answered by itself: a key that something else has written to fails, and puts its limiter on the local
//! share, but no other limiter. A server that has lost the script (`SCRIPT FLUSH`, a restart) is given it again.
//!
//! One task holds the connection, made on the runtime of the first call (again on another, if that one ends) and ended
//! with the last clone of the store. Calls hand it their questions, and it sends all that wait in one write. That needs
//! no box for each call, where the futures of the `redis` crate have no names; a call that is dropped leaves no
//! half-read answer behind; and there is one place that connects anew.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project::pin_project;
use redis::{Client, ErrorKind, Pipeline, RedisError, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{Decision, Question, RateLimitSettings, Store, StoreError, StoreFailure};
use crate::{ConfigError, settings::Check, sync::Mutex, telemetry::Name};

/// How many questions may wait for the connection.
const QUEUE: usize = 1024;
/// How many are sent in one write.
const BATCH: usize = 128;
/// The longest times that the script computes with, in µs: 31 years for a wait, 95 for a burst. Longer ones are these.
const LONGEST_WAIT: u64 = 1_000_000_000_000_000;
const LONGEST_BURST: u128 = 3_000_000_000_000_000;

/// Keeps the counts of limiters in a Redis server. Clones share one connection.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    prefix: String,
    /// To the task that holds the connection.
    questions: Mutex<Option<mpsc::Sender<Ask>>>,
}

/// What the task is asked: a decision, or just whether there is a connection.
struct Ask {
    script: Option<Call>,
    answer: oneshot::Sender<Result<Decision, StoreError>>,
}

/// The arguments of the script.
struct Call {
    key: String,
    numbers: [u64; 7],
}

impl RedisStore {
    /// A store in the server at `url` (`redis://[user:password@]host[:port][/db]`, or `unix:///path`). Does not connect.
    ///
    /// # Errors
    /// The URL is none.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::with_prefix(url, "steadfast:")
    }

    /// The same with another prefix of the keys than `steadfast:`.
    ///
    /// # Errors
    /// The URL is none.
    pub fn with_prefix(url: &str, prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let client = Client::open(url);
        let allowed = "redis://[user:password@]host[:port][/db], or unix:///path";
        // The value is not shown: there may be a password in it.
        let shown = format_args!("{} characters that are no such URL", url.chars().count());
        Check::of(&Name::from_static("redis")).that(client.is_ok(), "url", shown, allowed)?;
        let client = client.expect("checked above");
        Ok(Self { inner: Arc::new(Inner { client, prefix: prefix.into(), questions: Mutex::new(None) }) })
    }

    /// Connects, if there is no connection.
    ///
    /// # Errors
    /// There is no server, or it refuses.
    pub async fn connect(&self) -> Result<(), StoreError> {
        self.send(None).await.map(drop)
    }

    fn send(&self, script: Option<Call>) -> RedisTake {
        let (answer, answered) = oneshot::channel();
        match self.hand_over(Ask { script, answer }) {
            Ok(()) => RedisTake { answered: Some(answered), error: None },
            Err(error) => RedisTake { answered: None, error: Some(error) },
        }
    }

    fn hand_over(&self, mut ask: Ask) -> Result<(), StoreError> {
        let mut questions = self.inner.questions.lock();
        if let Some(sender) = &*questions {
            match sender.try_send(ask) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    return Err(StoreError::new(StoreFailure::Overloaded, "1024 questions wait for the connection"));
                }
                // Its runtime has ended.
                Err(mpsc::error::TrySendError::Closed(unsent)) => ask = unsent,
            }
        }
        let runtime =
            Handle::try_current().map_err(|error| StoreError::new(StoreFailure::Failed, error.to_string()))?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        runtime.spawn(run(self.inner.client.clone(), receiver));
        // There is room for the first.
        let _ = sender.try_send(ask);
        *questions = Some(sender);
        Ok(())
    }
}

impl Store for RedisStore {
    type Take = RedisTake;

    fn take(&self, question: Question) -> RedisTake {
        let key = format!("{}{}", self.inner.prefix, question.name);
        self.send(Some(Call { key, numbers: numbers(&question.settings, question.max_wait) }))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.inner.prefix).finish_non_exhaustive()
    }
}

/// A decision on its way from the server.
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct RedisTake {
    #[pin]
    answered: Option<oneshot::Receiver<Result<Decision, StoreError>>>,
    /// The question was not even sent.
    error: Option<StoreError>,
}

impl Future for RedisTake {
    type Output = Result<Decision, StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.answered.as_pin_mut() {
            Some(answered) => answered.poll(cx).map(|answer| answer.unwrap_or_else(|_| Err(lost()))),
            None => Poll::Ready(Err(this.error.take().unwrap_or_else(lost))),
        }
    }
}

fn lost() -> StoreError {
    StoreError::new(StoreFailure::Unreachable, "the task that held the connection has ended")
}

/// The arguments of the script: parts of a µs, cell, tolerance (µs and parts each), longest wait of this call and of
/// any (µs).
fn numbers(settings: &RateLimitSettings, max_wait: Duration) -> [u64; 7] {
    let parts = u128::from(settings.limit) * 1000;
    let cell = settings.period.as_nanos();
    let tolerance = cell * u128::from(settings.burst - 1);
    let whole = |units: u128| (units / parts).min(LONGEST_BURST) as u64;
    let part = |units: u128| (units % parts) as u64;
    let wait = |wait: Duration| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX).min(LONGEST_WAIT);
    let (this, any) = (wait(max_wait), wait(settings.max_wait));
    [parts as u64, whole(cell), part(cell), whole(tolerance), part(tolerance), this, any]
}

/// A connection, and the name of the script there.
struct Open {
    connection: MultiplexedConnection,
    script: String,
}

/// Answers questions, all that wait with one write, until the last store is gone. Connects only when asked, so a server
/// that is away is tried as often as the limiter probes.
async fn run(client: Client, mut questions: mpsc::Receiver<Ask>) {
    let mut open = None;
    let mut batch = Vec::with_capacity(BATCH);
    while questions.recv_many(&mut batch, BATCH).await > 0 {
        if let Err(error) = answer(&client, &mut open, &mut batch).await {
            if !is_of_server(&error) {
                open = None;
            }
            let error = store_error(&error);
            for ask in batch.drain(..) {
                // Who asked may have gone.
                let _ = ask.answer.send(Err(error.clone()));
            }
        }
    }
}

/// Answers the batch, each question by itself. `Err` is for those that are left in it.
async fn answer(client: &Client, open: &mut Option<Open>, batch: &mut Vec<Ask>) -> Result<(), RedisError> {
    let mut loaded_now = open.is_none();
    if open.is_none() {
        let mut connection = client.get_multiplexed_async_connection().await?;
        let script = load(&mut connection).await?;
        *open = Some(Open { connection, script });
    }
    while let Some(Open { connection, script }) = open {
        // A turn for a call that has gone would be lost.
        batch.retain(|ask| !ask.answer.is_closed());
        let mut pipeline = Pipeline::new();
        for Call { key, numbers } in batch.iter().filter_map(|ask| ask.script.as_ref()) {
            pipeline.cmd("EVALSHA").arg(&*script).arg(1).arg(key);
            for number in numbers {
                pipeline.arg(*number);
            }
        }
        let answers: Vec<RedisResult<Value>> =
            if pipeline.is_empty() { Vec::new() } else { pipeline.ignore_errors().query_async(connection).await? };
        let mut answers = answers.into_iter();
        let mut unknown = Vec::new();
        for ask in batch.drain(..) {
            let decided = match &ask.script {
                None => Ok(Decision::admitted()),
                Some(_) => match answers.next() {
                    // Somebody has flushed the scripts.
                    Some(Err(error)) if error.code() == Some("NOSCRIPT") && !loaded_now => {
                        unknown.push(ask);
                        continue;
                    }
                    Some(answer) => answer.and_then(decision).map_err(|error| store_error(&error)),
                    None => Err(StoreError::new(StoreFailure::Failed, "fewer answers than questions")),
                },
            };
            let _ = ask.answer.send(decided);
        }
        if unknown.is_empty() {
            return Ok(());
        }
        *batch = unknown;
        loaded_now = true;
        *script = load(connection).await?;
    }
    Ok(())
}

async fn load(connection: &mut MultiplexedConnection) -> Result<String, RedisError> {
    redis::cmd("SCRIPT").arg("LOAD").arg(include_str!("gcra.lua")).query_async(connection).await
}

fn decision(answer: Value) -> RedisResult<Decision> {
    let (admitted, wait): (u8, u64) = redis::from_redis_value(answer)?;
    let wait = Duration::from_micros(wait);
    Ok(if admitted == 1 { Decision::admitted_after(wait) } else { Decision::refused(wait) })
}

/// Whether the server has answered, with an error; if not, the connection is of no more use.
fn is_of_server(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
}

fn store_error(error: &RedisError) -> StoreError {
    let why = if error.is_timeout() {
        StoreFailure::TimedOut
    } else if error.is_io_error() || error.is_connection_refusal() || error.is_connection_dropped() {
        StoreFailure::Unreachable
    } else {
        StoreFailure::Failed
    };
    StoreError::new(why, error.to_string())
}
