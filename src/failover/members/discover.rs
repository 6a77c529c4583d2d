//! Endpoints from a `tower::discover::Discover`.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tower::discover::{Change as Discovery, Discover};

use super::{Change, Membership};
use crate::{
    BoxError,
    backoff::{Backoff, Jitter},
    failover::Endpoint,
    telemetry::Name,
    time,
};

/// So many errors in a row are skipped at once.
const AT_ONCE: u32 = 8;

/// The wait after each further one, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

type AsItIs<S> = fn(Name, Endpoint<S>) -> Endpoint<S>;

/// The endpoints that `discover` yields. Each is called what its key is in text, whatever it was called before.
///
/// An error (one that can be boxed) ends nothing: it is skipped, and the set stays. After eight in a row the stream is only
/// asked again after a wait, from 10 ms up to 1 s. The end of the stream leaves the set as it is. An error that no change
/// follows at once is told by a [`MembersFailed`](crate::failover::FailoverEvent::MembersFailed), the next change by a
/// `MembersRecovered`.
pub fn discover<D, S>(discover: D) -> Discovered<D, AsItIs<S>>
where
    D: Discover<Service = Endpoint<S>>,
    D::Key: fmt::Display,
{
    discover_with(discover, |_, endpoint| endpoint)
}

/// As [`discover`], with a function that makes an endpoint of a key and what was found: `Endpoint::new` for a service.
pub fn discover_with<D, F, S>(discover: D, endpoint: F) -> Discovered<D, F>
where
    D: Discover,
    D::Key: fmt::Display,
    F: FnMut(Name, D::Service) -> Endpoint<S>,
{
    let (discover, name) = (Some(Box::pin(discover)), Name::from_static("discover"));
    Discovered { name, discover, endpoint, errors: 0, failing: None, wait: None }
}

/// See [`discover`].
pub struct Discovered<D, F> {
    name: Name,
    /// `None` after its end, as streams may panic then.
    discover: Option<Pin<Box<D>>>,
    endpoint: F,
    /// In a row.
    errors: u32,
    /// What the first of them said.
    failing: Option<Name>,
    wait: Option<Pin<Box<time::Sleep>>>,
}

impl<D, F> fmt::Debug for Discovered<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovered")
            .field("ended", &self.discover.is_none())
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl<D, F, S> Membership<S> for Discovered<D, F>
where
    D: Discover + Send + 'static,
    D::Key: fmt::Display,
    D::Error: Into<BoxError>,
    F: FnMut(Name, D::Service) -> Endpoint<S> + Send + 'static,
{
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<S>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                if !wait.as_mut().poll_elapsed(cx) {
                    return Poll::Pending;
                }
                self.wait = None;
            }
            let Some(discover) = &mut self.discover else { return Poll::Ready(None) };
            match discover.as_mut().poll_discover(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => self.discover = None,
                Poll::Ready(Some(Err(error))) => self.failed(error),
                Poll::Ready(Some(Ok(change))) => {
                    (self.errors, self.failing) = (0, None);
                    return Poll::Ready(Some(self.change(change)));
                }
            }
        }
    }

    fn name(&self) -> Name {
        self.name.clone()
    }

    fn failing(&self) -> Option<&Name> {
        self.failing.as_ref()
    }
}

impl<D, F> Discovered<D, F> {
    /// What it is called in events. Default: `discover`.
    #[must_use]
    pub fn named(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }
}

impl<D: Discover<Key: fmt::Display>, F> Discovered<D, F> {
    fn change<S>(&mut self, change: Discovery<D::Key, D::Service>) -> Change<S>
    where
        F: FnMut(Name, D::Service) -> Endpoint<S>,
    {
        match change {
            Discovery::Insert(key, service) => {
                let key = Name::from(key.to_string());
                let mut endpoint = (self.endpoint)(key.clone(), service);
                // By this name it will be removed.
                endpoint.meta.key = key;
                Change::Insert(endpoint)
            }
            Discovery::Remove(key) => Change::Remove(key.to_string().into()),
        }
    }

    fn failed(&mut self, error: D::Error)
    where
        D::Error: Into<BoxError>,
    {
        self.failing.get_or_insert_with(|| error.into().to_string().into());
        self.errors = self.errors.saturating_add(1);
        if let Some(further) = self.errors.checked_sub(AT_ONCE)
            && further > 0
        {
            let (first, longest) = WAITS;
            let wait = Backoff::exponential(first).max(longest).jitter(Jitter::None).endless(further, 0.0);
            self.wait = time::after(time::now(), wait).map(|end| Box::pin(time::Sleep::until(end)));
        }
    }
}

#[cfg(test)]
mod tests;
