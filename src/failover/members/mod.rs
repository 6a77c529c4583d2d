//! Where the set of endpoints comes from, and how it changes.
//!
//! | from | by |
//! |---|---|
//! | a `tower::discover::Discover` | `discover`, `discover_with` (feature `discover`) |
//! | a `tokio::sync::watch` of a set | [`watch`] |
//! | DNS: A and AAAA, or SRV | `Dns` (feature `dns`) |
//! | anything else | an own [`Membership`] |
//!
//! All of them live in the one task of the client and stop when it drops them; none has a task of its own.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use super::{Endpoint, FailoverEvent, Meta};
use crate::telemetry::Name;

#[cfg(feature = "discover")]
mod discover;
#[cfg(feature = "dns")]
mod dns;
#[cfg(feature = "dns")]
mod ttl;
mod watch;

#[cfg(feature = "discover")]
pub use self::discover::{Discovered, discover, discover_with};
#[cfg(feature = "dns")]
pub use self::dns::{Answer, Dns, DnsMembers};
pub use self::watch::{Watched, watch};

/// A change of the set of endpoints of one source. It says nothing of those of other sources: where several name a key,
/// the last one says what is known of it, and it goes when none of them has it any more.
///
/// A weight that is none (0, negative, not a number) counts as 1, one over 1,000 as 1,000.
#[derive(Debug)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "made once for a change, and not kept")]
pub enum Change<S> {
    /// These are all there are. Of a key that is there twice the first one counts. One whose key was there before keeps its service and what is known of it, and takes over
    /// tier, weight and zone; those that are missing are drained and dropped.
    Set(Vec<Endpoint<S>>),
    /// One more; if its key was there, its service is replaced.
    Insert(Endpoint<S>),
    /// One less: drained and dropped.
    Remove(Name),
}

/// A source of changes. Polled by the one task of a failover client.
pub trait Membership<S>: Send + 'static {
    /// The next change; `None` when there will be no more, which leaves the set as it is.
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<S>>>;

    /// Calls to an endpoint fail to connect: what is known of the set may be out of date. At most called once in a
    /// second. Default: nothing.
    fn look_again(&mut self) {}

    /// What the source is called in [events](super::FailoverEvent::MembersFailed). Asked once. Default: `members`.
    fn name(&self) -> Name {
        Name::from_static("members")
    }

    /// Why it does not know which endpoints there are, if it does not at present. Asked whenever it has been polled and there
    /// was no change; the client tells when that begins, and when it is over. Default: it knows.
    fn failing(&self) -> Option<&Name> {
        None
    }
}

/// Members with layers around their services.
struct Wrapped<S, F> {
    inner: Box<dyn Membership<S>>,
    wrap: Arc<F>,
}

/// A source of a client.
pub(super) struct Source<S> {
    /// It keeps that; none is 0.
    pub(super) number: u32,
    pub(super) name: Name,
    pub(super) members: Box<dyn Membership<S>>,
    /// Whether it was told that it fails.
    failing: bool,
}

/// What a source has come to.
pub(super) enum Polled<S> {
    Change(Change<S>),
    Event(FailoverEvent),
    /// As it failed, perhaps.
    Ended(Option<Name>),
}

impl<S> Source<S> {
    pub(super) fn new(number: u32, members: impl Membership<S>) -> Self {
        Self { number, name: members.name(), members: Box::new(members), failing: false }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Polled<S>>
    where
        S: 'static,
    {
        match self.members.poll_change(cx) {
            Poll::Ready(Some(change)) => return Poll::Ready(Polled::Change(change)),
            Poll::Ready(None) => return Poll::Ready(Polled::Ended(self.members.failing().cloned())),
            Poll::Pending => {}
        }
        let source = || self.name.clone();
        let event = match (self.failing, self.members.failing()) {
            (false, Some(why)) => FailoverEvent::MembersFailed { source: source(), why: why.clone() },
            (true, None) => FailoverEvent::MembersRecovered { source: source() },
            _ => return Poll::Pending,
        };
        self.failing = !self.failing;
        Poll::Ready(Polled::Event(event))
    }

    /// With layers around its services.
    pub(super) fn wrapped<T, F>(self, wrap: &Arc<F>) -> Source<T>
    where
        F: Fn(&Meta, S) -> T + Send + Sync + 'static,
        S: 'static,
        T: 'static,
    {
        let Self { number, name, members, failing } = self;
        Source { number, name, members: Box::new(Wrapped { inner: members, wrap: Arc::clone(wrap) }), failing }
    }
}

impl<S, T, F> Membership<T> for Wrapped<S, F>
where
    F: Fn(&Meta, S) -> T + Send + Sync + 'static,
    S: 'static,
    T: 'static,
{
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<T>>> {
        let wrap = &self.wrap;
        self.inner.poll_change(cx).map(|change| {
            change.map(|change| match change {
                Change::Set(set) => Change::Set(set.into_iter().map(|endpoint| endpoint.wrapped(wrap)).collect()),
                Change::Insert(endpoint) => Change::Insert(endpoint.wrapped(wrap)),
                Change::Remove(key) => Change::Remove(key),
            })
        })
    }

    fn look_again(&mut self) {
        self.inner.look_again();
    }

    fn failing(&self) -> Option<&Name> {
        self.inner.failing()
    }
}
