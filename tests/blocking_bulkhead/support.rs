//! Work that says when it begins, and ends when it is told to. Nothing sleeps: channels say how far everybody is.
#![allow(clippy::disallowed_methods)] // The present time, as a deadline.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    time::Duration,
};

use steadfast::{
    bulkhead::{BlockingBulkhead, Bulkhead},
    context::{self, CallContext},
};
use tokio::{
    runtime,
    time::{self, Instant},
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Work that says when it begins and ends when it is told to. What it holds says when it is dropped.
struct Script {
    number: u32,
    begun: Sender<u32>,
    end: Receiver<()>,
    _dropped: Dropped,
}

struct Dropped(u32, Sender<u32>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.1.send(self.0);
    }
}

pub(crate) struct Stage {
    begun: (Sender<u32>, Receiver<u32>),
    dropped: (Sender<u32>, Receiver<u32>),
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { begun: channel(), dropped: channel() }
    }

    /// Work, and what ends it.
    pub(crate) fn work(&self, number: u32) -> (impl FnOnce() -> u32 + Send + 'static, Sender<()>) {
        let (ends, end) = channel();
        let dropped = Dropped(number, self.dropped.0.clone());
        let script = Script { number, begun: self.begun.0.clone(), end, _dropped: dropped };
        let work = move || {
            let script = script;
            script.begun.send(script.number).unwrap();
            let _ = script.end.recv();
            script.number
        };
        (work, ends)
    }

    /// Which of them begins next; waits for it.
    pub(crate) fn begins(&self) -> u32 {
        self.begun.1.recv_timeout(Duration::from_secs(20)).expect("nothing begins")
    }

    pub(crate) fn nothing_has_begun(&self) -> bool {
        self.begun.1.try_recv().is_err()
    }

    /// Which is dropped next; waits for it.
    pub(crate) fn will_drop(&self) -> u32 {
        self.dropped.1.recv_timeout(Duration::from_secs(20)).expect("nothing is dropped")
    }

    pub(crate) fn drops(&self) -> u32 {
        self.dropped.1.try_recv().expect("nothing has been dropped")
    }
}

/// What `call` answers, which must not take for ever.
pub(crate) async fn soon<T>(call: impl Future<Output = T>) -> T {
    time::timeout(Duration::from_secs(20), call).await.expect("it is never woken")
}

pub(crate) fn bulkhead(max_concurrent: u32, max_waiting: u32) -> BlockingBulkhead {
    let wait = Duration::from_secs(60);
    let builder = Bulkhead::builder(max_concurrent).name("disk").max_waiting(max_waiting).max_wait(wait);
    builder.build().unwrap().blocking()
}

/// A runtime in paused time with one blocking thread.
pub(crate) fn with_one_thread() -> runtime::Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).max_blocking_threads(1).build().unwrap()
}

/// One whose thread is busy until the sender is dropped.
pub(crate) fn with_its_only_thread_busy() -> (runtime::Runtime, Sender<()>) {
    let runtime = with_one_thread();
    let (ends, end) = channel();
    runtime.spawn_blocking(move || end.recv());
    (runtime, ends)
}

/// The context of a call that has a second.
pub(crate) fn within_a_second() -> CallContext {
    context::current().with_deadline(Instant::now() + SECOND)
}
