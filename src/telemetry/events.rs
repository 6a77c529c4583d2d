//! Events to subscribers: a bounded buffer for all, in which the slowest loses the oldest and is told how many.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use tokio::sync::broadcast::{self, error::RecvError, error::TryRecvError};

use crate::time::{Instant, Sleep};

/// How many events a subscriber may lag behind before it loses the oldest.
const CAPACITY: usize = 256;

/// The sending side, owned by a component.
pub(crate) struct Emitter<E> {
    subscribers: Arc<AtomicUsize>,
    sender: OnceLock<broadcast::Sender<E>>,
}

impl<E: Clone> Emitter<E> {
    pub(crate) fn new() -> Self {
        Self { subscribers: Arc::default(), sender: OnceLock::new() }
    }

    pub(crate) fn subscribe(&self) -> Events<E> {
        let receiver = self.sender.get_or_init(|| broadcast::channel(CAPACITY).0).subscribe();
        self.subscribers.fetch_add(1, Ordering::Relaxed);
        Events { receiver, subscribers: Arc::clone(&self.subscribers), timers: None }
    }

    /// Sends what `event` makes, which is called only if someone listens. Not to be called under a lock: it wakes
    /// subscribers.
    pub(crate) fn emit(&self, event: impl FnOnce() -> E) {
        if self.subscribers.load(Ordering::Relaxed) > 0
            && let Some(sender) = self.sender.get()
        {
            // No receiver is left: nobody to tell.
            let _ = sender.send(event());
        }
    }
}

impl<E> fmt::Debug for Emitter<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("subscribers", &self.subscribers.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}

/// A component whose state changes by itself at some times. Nothing waits for those times but a subscriber: without
/// one, what is due is done when somebody looks next.
pub(crate) trait Timers: Send + Sync {
    fn next(&self) -> Option<Instant>;

    fn run_due(&self);
}

/// What a subscriber receives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received<E> {
    /// The next event.
    Event(E),
    /// The subscriber was too slow: this many events, the oldest, are lost to it.
    Lost(u64),
}

/// A subscription to the events of a component. Bounded: a subscriber that lags behind by more than 256 events
/// loses the oldest and is told how many. Dropping it unsubscribes.
pub struct Events<E> {
    receiver: broadcast::Receiver<E>,
    subscribers: Arc<AtomicUsize>,
    timers: Option<Weak<dyn Timers>>,
}

impl<E: Clone> Events<E> {
    /// Runs the component's timers while waiting for an event.
    pub(crate) fn driving(mut self, timers: Weak<dyn Timers>) -> Self {
        self.timers = Some(timers);
        self
    }

    /// The next event; `None` once the component and all its handles are gone. Cancel safe.
    pub async fn recv(&mut self) -> Option<Received<E>> {
        let timers = self.timers.clone();
        let timers = || timers.as_ref().and_then(Weak::upgrade);
        let mut event = pin!(self.receiver.recv());
        let mut timer = pin!(None::<Sleep>);
        let received = poll_fn(|cx| {
            loop {
                if let Poll::Ready(event) = event.as_mut().poll(cx) {
                    return Poll::Ready(event);
                }
                // Whatever changes the timers makes an event, after which they are looked at anew.
                if timer.is_none() {
                    timer.set(timers().and_then(|timers| timers.next()).map(Sleep::until));
                }
                match timer.as_mut().as_pin_mut().map(|timer| timer.poll(cx)) {
                    None | Some(Poll::Pending) => return Poll::Pending,
                    Some(Poll::Ready(())) => {
                        timer.set(None);
                        if let Some(timers) = timers() {
                            timers.run_due();
                        }
                    }
                }
            }
        });
        match received.await {
            Ok(event) => Some(Received::Event(event)),
            Err(RecvError::Lagged(lost)) => Some(Received::Lost(lost)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next event, if there is one already.
    pub fn try_recv(&mut self) -> Option<Received<E>> {
        match self.receiver.try_recv() {
            Ok(event) => Some(Received::Event(event)),
            Err(TryRecvError::Lagged(lost)) => Some(Received::Lost(lost)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

impl<E> Drop for Events<E> {
    fn drop(&mut self) {
        self.subscribers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<E> fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}
