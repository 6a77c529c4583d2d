//! Sticky sessions: calls of one session go to the same endpoint (rendezvous hashing), so that what it caches is of use.
//! When an endpoint goes, only its own sessions move, each to the same next one in every process, and back when it is back.
//!
//! `cargo run --example sticky_sessions`

#![allow(clippy::disallowed_methods)]

use std::collections::HashMap;

use steadfast::{
    Error,
    failover::{Affinity, Balance, Endpoint, Failover},
};
use tower::{Service, ServiceExt, service_fn};

const SESSIONS: u64 = 1000;

/// Which endpoint each session is answered by.
async fn homes<S>(client: &S) -> HashMap<u64, &'static str>
where
    S: Service<u64, Response = &'static str, Error = Error<std::io::Error>> + Clone,
{
    let mut homes = HashMap::new();
    for session in 0..SESSIONS {
        homes.insert(session, client.clone().oneshot(session).await.expect("an answer"));
    }
    homes
}

fn show(what: &str, homes: &HashMap<u64, &'static str>) {
    let of = |key: &str| homes.values().filter(|home| **home == key).count();
    println!("{what:16} a {:>3}  b {:>3}  c {:>3}", of("a"), of("b"), of("c"));
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = |key: &'static str| service_fn(move |_: u64| async move { Ok::<_, Error<std::io::Error>>(key) });
    // A client as another process would make it.
    let client = || {
        Failover::builder()
            .endpoints(["a", "b", "c"].map(|key| Endpoint::new(key, server(key))))
            .affinity(|session: &u64| Some(Affinity::from(*session)))
            .with(|settings| settings.balance = Balance::Rendezvous)
            .build()
    };
    let (one, handle) = client()?;
    let (other, _) = client()?;

    let before = homes(&one).await;
    show("all are there:", &before);
    assert_eq!(homes(&one).await, before);
    assert_eq!(homes(&other).await, before, "all processes choose the same");

    handle.drain("b").await?;
    let without = homes(&one).await;
    show("without b:", &without);
    let moved = before.iter().filter(|(session, home)| without[*session] != **home);
    assert!(moved.clone().all(|(_, home)| *home == "b"), "only those of b have moved");
    println!("{:16} {} of {SESSIONS} sessions", "moved:", moved.count());

    handle.undrain("b")?;
    // It gets its share step by step.
    tokio::time::sleep(handle.settings().slow_start).await;
    let after = homes(&one).await;
    show("b is back:", &after);
    assert_eq!(after, before);
    Ok(())
}
