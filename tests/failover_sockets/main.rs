//! The failover client over real sockets on loopback, with servers that are killed, go silent and come back.
#![allow(clippy::disallowed_methods)]

mod gone;
mod http;
mod killed;
mod load;
mod moved;
mod nested;
#[cfg(feature = "probe")]
mod probed;
mod server;
mod silent;

use std::{future::Future, time::Duration};

use axum::http::Method;
use steadfast::{
    failover::{Endpoint, Failover, FailoverBuilder, FailoverEvent},
    retry::{CloneRequest, OnlyUnsentUnless, only_unsent_unless},
    telemetry::{Events, Received},
};

use self::{
    http::{Ask, Http, Meaning},
    server::Server,
};

pub(crate) const MS: Duration = Duration::from_millis(1);

/// What asks for something may be sent twice.
type Replay = OnlyUnsentUnless<CloneRequest, fn(&Ask) -> bool>;

fn replay() -> Replay {
    only_unsent_unless(CloneRequest, |ask: &Ask| ask.method == Method::GET)
}

/// A client of these servers, all in tier 0, with a pool of connections for each.
fn over(servers: &[&Server]) -> FailoverBuilder<Http, Meaning, Replay> {
    let endpoint = |server: &&Server| Endpoint::new(server.key, Http::new(server.address));
    Failover::builder().endpoints(servers.iter().map(endpoint)).seed(7).classify(Meaning).replay(replay())
}

/// Far from any limit that is tested, it is given up.
async fn ends<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("an end")
}

/// The next event that is one of these.
async fn event<T>(events: &mut Events<FailoverEvent>, wanted: impl Fn(&FailoverEvent) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(Received::Event(event)) = events.recv().await
                && let Some(found) = wanted(&event)
            {
                return found;
            }
        }
    };
    ends(found).await
}
