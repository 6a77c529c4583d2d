//! Endpoints from a `tokio::sync::watch` of a set.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::sync::watch::Receiver;

use super::{Change, Membership};
use crate::failover::Endpoint;

/// The endpoints that `endpoints` makes of the value of a watch: of the one that it has, and of each one after that. Values
/// that are replaced before they were seen are passed over. When the sender is gone, the set stays.
///
/// The value is cloned, so that the watch is not locked while the function runs; send an `Arc` where that costs too much.
/// An endpoint whose key was there before keeps its service, so what is made for it is dropped unused: services that connect
/// when they are made are better made by [`Endpoint::make`].
pub fn watch<T, F, S>(receiver: Receiver<T>, endpoints: F) -> Watched<T, F>
where
    T: Clone + Send + Sync + 'static,
    F: FnMut(T) -> Vec<Endpoint<S>>,
{
    let mut receiver = receiver;
    receiver.mark_changed();
    Watched { changed: Some(changed(receiver)), endpoints }
}

/// See [`watch`].
pub struct Watched<T, F> {
    /// `None` when there will be no more.
    changed: Option<Changed<T>>,
    endpoints: F,
}

/// Gives the receiver back once its value has changed; nothing if the sender is gone.
type Changed<T> = Pin<Box<dyn Future<Output = Option<Receiver<T>>> + Send>>;

fn changed<T: Send + Sync + 'static>(mut receiver: Receiver<T>) -> Changed<T> {
    Box::pin(async move { receiver.changed().await.is_ok().then_some(receiver) })
}

impl<T, F> fmt::Debug for Watched<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("ended", &self.changed.is_none()).finish_non_exhaustive()
    }
}

impl<T, F, S> Membership<S> for Watched<T, F>
where
    T: Clone + Send + Sync + 'static,
    F: FnMut(T) -> Vec<Endpoint<S>> + Send + 'static,
{
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<S>>> {
        let Some(waits) = &mut self.changed else { return Poll::Ready(None) };
        let Poll::Ready(receiver) = waits.as_mut().poll(cx) else { return Poll::Pending };
        let Some(mut receiver) = receiver else {
            self.changed = None;
            return Poll::Ready(None);
        };
        let set = receiver.borrow_and_update().clone();
        self.changed = Some(changed(receiver));
        Poll::Ready(Some(Change::Set((self.endpoints)(set))))
    }
}

#[cfg(test)]
mod tests;
