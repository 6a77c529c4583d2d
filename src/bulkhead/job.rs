//! Work on its way to a thread: begun by the thread, or taken back by who waits for it, whichever is first.

use std::sync::Arc;

use super::Permit;
use crate::sync::Mutex;

/// Work that no thread has begun, while its caller still wants it. Both sides hold this.
#[derive(Debug)]
pub(super) struct Job<F>(Arc<Mutex<Option<F>>>);

/// What the thread is given. The place is in here until the thread has got to it, whatever has become of the work:
/// what is still in the runtime's queue counts, so that the queue is bounded.
#[derive(Debug)]
pub(super) struct Handed<F> {
    job: Job<F>,
    permit: Permit,
}

impl<F> Job<F> {
    /// The two sides: that of the caller and that of the thread.
    pub(super) fn new(work: F, permit: Permit) -> (Self, Handed<F>) {
        let job = Arc::new(Mutex::new(Some(work)));
        (Self(Arc::clone(&job)), Handed { job: Self(job), permit })
    }

    /// The work, if nobody has taken it. It is done, or dropped, outside of the lock.
    pub(super) fn take(&self) -> Option<F> {
        self.0.lock().take()
    }
}

impl<F> Handed<F> {
    /// On the thread: does the work with `begin` if it is still wanted, and ends the place after that.
    pub(super) fn run<T>(self, begin: impl FnOnce(F) -> Option<T>) -> Option<T> {
        let Self { job, permit } = self;
        let _until_the_end = permit;
        begin(job.take()?)
    }
}
