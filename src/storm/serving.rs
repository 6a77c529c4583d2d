//! Backends with layers of their own: the server side of a stack.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::sync::Semaphore;
use tower::Service;

use super::{Backend, Failure, Request, Response, Status};
use crate::{
    context::{self, CallContext},
    ready::ReadyFuture,
    time::{self, Instant, Sleep},
};

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A request that has arrived at a backend.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub(super) request: Request,
    pub(super) takes: Duration,
    pub(super) fails: bool,
}

/// Counts an answer that is in time.
pub(super) struct Answered {
    pub(super) by: Instant,
    pub(super) answers: Arc<AtomicU64>,
}

impl Work {
    /// What was sent.
    pub fn request(&self) -> &Request {
        &self.request
    }
}

/// What works on requests: the workers of a backend and the queue in front of them, below the layers of the server side.
/// A full queue is an answer too, as with an HTTP handler. Dropping a call stops the work.
#[derive(Clone)]
pub struct Handler {
    workers: Arc<Workers>,
}

struct Workers {
    free: Semaphore,
    number: usize,
    waiting: AtomicUsize,
    queue: usize,
    /// Milliseconds of work, on all backends.
    worked: Arc<AtomicU64>,
}

impl Handler {
    /// How many requests are worked on at once.
    pub fn workers(&self) -> usize {
        self.workers.number
    }
}

impl Service<Work> for Handler {
    type Response = Response;
    type Error = Infallible;
    type Future = Boxed<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, work: Work) -> Self::Future {
        let workers = Arc::clone(&self.workers);
        Box::pin(async move { Ok(workers.work(work).await) })
    }
}

impl Workers {
    async fn work(&self, work: Work) -> Response {
        let answer = |status| Response { status, worked: Some(work.takes) };
        let free = match self.free.try_acquire() {
            Ok(free) => free,
            Err(_) => {
                if self.waiting.load(Ordering::Relaxed) >= self.queue {
                    return answer(Status::Overloaded);
                }
                let _waits = Waits::begin(&self.waiting);
                let Ok(free) = self.free.acquire().await else { return answer(Status::Overloaded) };
                free
            }
        };
        self.worked.fetch_add(work.takes.as_millis() as u64, Ordering::Relaxed);
        Sleep::until(time::now() + work.takes).await;
        drop(free);
        answer(match (work.fails, work.request.invalid) {
            (true, _) => Status::Failed,
            (false, true) => Status::Invalid,
            (false, false) => Status::Ok,
        })
    }
}

/// Counted as waiting until it is dropped.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Handler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handler").field("workers", &self.workers.number).finish_non_exhaustive()
    }
}

/// What makes the layers of one backend.
pub(super) type MakeServer = Arc<dyn Fn(Handler) -> Server + Send + Sync>;
/// A backend with its layers.
pub(super) type Server = Box<dyn FnMut(Work) -> Boxed<Option<Response>> + Send>;

/// Erases what a server's layers are.
pub(super) fn erase<S>(mut layers: S) -> Server
where
    S: Service<Work, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    Box::new(move |work| {
        // The one that is driven to ready goes along with the call.
        let clone = layers.clone();
        let readied = std::mem::replace(&mut layers, clone);
        Box::pin(async move { ReadyFuture::waiting(readied, work).await.ok() })
    })
}

/// All backends with their layers.
pub(super) struct Serve {
    servers: Vec<Mutex<Server>>,
    pub(super) worked: Arc<AtomicU64>,
}

impl Serve {
    pub(super) fn new(backends: &[Backend], make: &MakeServer) -> Self {
        let worked = Arc::new(AtomicU64::new(0));
        let server = |backend: &Backend| {
            let number = backend.workers as usize;
            let workers = Workers {
                free: Semaphore::new(number),
                number,
                waiting: AtomicUsize::new(0),
                queue: backend.queue as usize,
                worked: Arc::clone(&worked),
            };
            Mutex::new(make(Handler { workers: Arc::new(workers) }))
        };
        Self { servers: backends.iter().map(server).collect(), worked }
    }

    /// Serves a request in a task of its own: that nobody waits for it any more does not reach the server.
    pub(super) fn serve(
        &self,
        backend: usize,
        work: Work,
        context: CallContext,
        answered: Answered,
    ) -> Boxed<Result<Response, Failure>> {
        let serves = {
            let mut server = self.servers[backend].lock().unwrap_or_else(PoisonError::into_inner);
            server(work)
        };
        let counted = async move {
            let response = serves.await;
            if response.is_some_and(|response| response.status != Status::Overloaded) && time::now() <= answered.by {
                answered.answers.fetch_add(1, Ordering::Relaxed);
            }
            response
        };
        let task = tokio::spawn(context::scope(context, counted));
        Box::pin(async move {
            match task.await {
                Ok(Some(response)) => match response.status {
                    Status::Overloaded => Err(Failure::Overloaded),
                    Status::Failed => Err(Failure::Failed),
                    _ => Ok(response),
                },
                // Refused by its layers.
                Ok(None) => Err(Failure::Overloaded),
                Err(_) => Err(Failure::Failed),
            }
        })
    }
}
