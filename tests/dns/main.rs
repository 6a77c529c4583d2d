//! Endpoints from DNS: by the clock with a resolver of the test's, and over real sockets with a name server of the test's.
#![allow(clippy::disallowed_methods)]

mod records;
mod server;
mod times;

use std::{future::poll_fn, net::SocketAddr, time::Duration};

use futures::FutureExt;
use steadfast::failover::members::{Change, DnsMembers, Membership};
use tokio::time::timeout;

/// The service of an address is the address here.
type Members<F> = DnsMembers<SocketAddr, F>;

/// What is said of a set: address, tier, weight.
type Set = Vec<(String, u32, f64)>;

fn set(change: Option<Change<SocketAddr>>) -> Set {
    let Some(Change::Set(endpoints)) = change else { panic!("{change:?}") };
    let metas = endpoints.iter().map(|endpoint| endpoint.meta());
    metas
        .map(|meta| {
            assert_eq!(meta.address(), Some(meta.key()));
            assert_eq!(meta.zone(), None);
            (meta.key().to_string(), meta.tier(), meta.weight())
        })
        .collect()
}

/// The next set. Fails rather than wait for ever, on a paused clock too.
async fn next<F: FnMut(SocketAddr) -> SocketAddr + Send + 'static>(members: &mut Members<F>) -> Set {
    let next = poll_fn(|cx| members.poll_change(cx));
    set(timeout(Duration::from_secs(3600), next).await.expect("no set"))
}

/// The next set, if there is one already.
fn at_once<F: FnMut(SocketAddr) -> SocketAddr + Send + 'static>(members: &mut Members<F>) -> Option<Set> {
    poll_fn(|cx| members.poll_change(cx)).now_or_never().map(set)
}

fn addresses(set: &Set) -> Vec<&str> {
    set.iter().map(|(address, ..)| address.as_str()).collect()
}
