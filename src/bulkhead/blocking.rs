//! A bulkhead for work that blocks: so many threads at once, and a bounded queue for them.

use std::{
    convert::Infallible,
    fmt,
    future::{self, Future, Ready},
    panic,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use pin_project::{pin_project, pinned_drop};
use tokio::task::{JoinHandle, spawn_blocking};
use tower::Service;

use super::{
    Bulkhead, BulkheadHandle, BulkheadLayer, Hold, Permit, ResponseFuture, handle::Refused, job::Job, layer::Shared,
};
use crate::{
    Rejected,
    context::{self, CallContext},
    time::{self, Instant, Sleep},
};

/// Runs blocking work (a C library, a file system, a synchronous driver, long computations) on tokio's blocking threads,
/// in the places of a bulkhead. Cheap to clone; clones share the bulkhead.
///
/// ```
/// use std::time::Duration;
/// use steadfast::bulkhead::Bulkhead;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let thumbnails = Bulkhead::builder(4).name("thumbnails").max_waiting(100).max_wait(Duration::from_secs(2)).build()?;
/// let thumbnails = thumbnails.blocking();
///
/// let size = thumbnails.run(|| (1..=20_u64).product::<u64>()).await?; // or a refusal, as of any bulkhead
/// # assert_eq!(size, 2_432_902_008_176_640_000);
/// # Ok(())
/// # }
/// ```
///
/// tokio's `spawn_blocking` alone has up to 512 threads and a queue without end. Here the queue is bounded, what nobody
/// waits for any more is not begun, and a place is held until the work has really ended. With a place, work goes to the
/// runtime, and waits there if all of its threads are busy with other things; it keeps its place until a thread has got
/// to it, so never more than `max_concurrent` pieces of work are there, wanted or not.
#[derive(Clone, Debug)]
pub struct BlockingBulkhead {
    shared: Arc<Shared>,
}

impl<H> BulkheadLayer<H> {
    /// Runs blocking work in the places of this bulkhead.
    pub fn blocking(&self) -> BlockingBulkhead {
        BlockingBulkhead { shared: Arc::clone(&self.shared) }
    }
}

impl BlockingBulkhead {
    /// A handle to read, change and use the bulkhead.
    pub fn handle(&self) -> BulkheadHandle {
        BulkheadHandle { shared: Arc::clone(&self.shared) }
    }

    /// Runs `work` on a thread of its own, once there is a place and a thread. It sees the
    /// [context](crate::context) of the call, and can look at its deadline.
    ///
    /// Dropping the future drops work that has not been begun; if that had a place, a thread will find nothing to do
    /// there and end it. What has been begun cannot be stopped: it goes on, and holds its place until it ends. Work
    /// whose deadline has passed is not begun. `max_wait` limits the wait for a place; that for a thread, which comes
    /// after it, ends only with the deadline.
    ///
    /// # Errors
    /// No place came in time, as with any bulkhead, or no thread before the deadline. The work was dropped unstarted.
    ///
    /// # Panics
    /// With what `work` panicked with. When polled outside of a tokio runtime.
    pub fn run<F, T>(&self, work: F) -> BlockingFuture<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let mut places = Bulkhead::new(Nothing, Arc::clone(&self.shared), HandOut);
        BlockingFuture { shared: Arc::clone(&self.shared), work: Some(work), state: State::Entering(places.call(())) }
    }
}

/// What the bulkhead is around while a place is waited for.
#[derive(Clone, Copy, Debug)]
struct Nothing;

impl Service<()> for Nothing {
    type Response = ();
    type Error = Infallible;
    type Future = Ready<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        future::ready(Ok(()))
    }
}

/// Takes the permit along, to the thread.
#[derive(Clone, Copy, Debug)]
struct HandOut;

impl Hold<()> for HandOut {
    type Response = Permit;

    fn hold(&self, (): (), permit: Permit) -> Permit {
        permit
    }
}

/// The future of a piece of blocking work. See [`BlockingBulkhead::run`].
#[pin_project(PinnedDrop)]
#[must_use = "futures do nothing unless polled"]
pub struct BlockingFuture<F, T> {
    shared: Arc<Shared>,
    work: Option<F>,
    #[pin]
    state: State<F, T>,
}

#[pin_project(project = StateProj)]
enum State<F, T> {
    Entering(#[pin] ResponseFuture<Nothing, (), HandOut>),
    Running {
        job: Job<F>,
        thread: JoinHandle<Option<T>>,
        /// When the work is given up, if no thread has begun it by then.
        deadline: Option<Instant>,
        /// Set to that when the thread is first waited for.
        #[pin]
        timer: Option<Sleep>,
    },
}

impl<F, T> Future for BlockingFuture<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, Rejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                // ## Entering => Running, or refused
                StateProj::Entering(entering) => {
                    let permit = match ready!(entering.poll(cx)) {
                        Ok(permit) => permit,
                        Err(rejected) => {
                            *this.work = None;
                            return Poll::Ready(Err(rejected));
                        }
                    };
                    let work = this.work.take().expect("polled after it was ready");
                    let (job, handed) = Job::new(work, permit);
                    let context = context::current();
                    let thread = spawn_blocking(move || handed.run(|work| begin(context, work)));
                    let deadline = context.deadline();
                    this.state.set(State::Running { job, thread, deadline, timer: None });
                }
                // ## Running => done, or refused
                StateProj::Running { job, thread, deadline, mut timer } => {
                    if let Poll::Ready(ended) = Pin::new(thread).poll(cx) {
                        return Poll::Ready(match ended {
                            Ok(Some(output)) => Ok(output),
                            Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                            // Too late for it, or the runtime has shut down: it has not been begun.
                            Ok(None) | Err(_) => {
                                drop(job.take());
                                Err(this.shared.refuse(Refused::WaitedTooLong))
                            }
                        });
                    }
                    let Some(end) = *deadline else { return Poll::Pending };
                    if timer.is_none() {
                        timer.set(Some(Sleep::until(end)));
                    }
                    if !timer.as_mut().as_pin_mut().expect("just set").poll_elapsed(cx) {
                        return Poll::Pending;
                    }
                    // What a thread has begun meanwhile is waited for, however long it takes.
                    *deadline = None;
                    let Some(work) = job.take() else { return Poll::Pending };
                    drop(work);
                    return Poll::Ready(Err(this.shared.refuse(Refused::WaitedTooLong)));
                }
            }
        }
    }
}

/// On its thread: does the work, unless that is too late.
fn begin<F: FnOnce() -> T, T>(context: CallContext, work: F) -> Option<T> {
    if context.deadline().is_some_and(|deadline| deadline <= time::now()) {
        drop(work);
        return None;
    }
    let mut work = Some(work);
    let work = pin!(context::scope(context, future::poll_fn(move |_| Poll::Ready(work.take().map(|work| work())))));
    match work.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => None,
    }
}

#[pinned_drop]
impl<F, T> PinnedDrop for BlockingFuture<F, T> {
    fn drop(self: Pin<&mut Self>) {
        // What no thread has begun is not begun any more. Its place ends when a thread finds that out.
        if let StateProj::Running { job, .. } = self.project().state.project() {
            drop(job.take());
        }
    }
}

impl<F, T> fmt::Debug for BlockingFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = matches!(self.state, State::Running { .. });
        f.debug_struct("BlockingFuture").field("bulkhead", &self.shared.name).field("running", &running).finish()
    }
}
