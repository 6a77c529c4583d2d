//! Active-active: two endpoints share the calls. One goes, the other takes all of them without an error for callers; it
//! comes back, and gets its share again step by step.
//!
//! `cargo run --example active_active`

#![allow(clippy::disallowed_methods)]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use steadfast::{
    Error,
    failover::{Endpoint, Failover},
};
use tokio::time::sleep;
use tower::{Service, ServiceExt, service_fn};

/// So many calls, one every 10 ms. How many each endpoint has answered, and how many failed.
async fn load<S>(client: &S, calls: u32) -> [u32; 3]
where
    S: Service<u32, Response = &'static str> + Clone,
{
    let mut counts = [0; 3];
    for id in 0..calls {
        let at = match client.clone().oneshot(id).await {
            Ok("a") => 0,
            Ok(_) => 1,
            Err(_) => 2,
        };
        counts[at] += 1;
        sleep(Duration::from_millis(10)).await;
    }
    counts
}

// On a paused clock, so it takes no time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a_is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&a_is_gone);
    let server = |key: &'static str| {
        let gone = Arc::clone(&gone);
        service_fn(move |_: u32| {
            let refused = key == "a" && gone.load(Relaxed);
            async move {
                sleep(Duration::from_millis(5)).await;
                if refused { Err(Error::Inner(io::Error::from(io::ErrorKind::ConnectionRefused))) } else { Ok(key) }
            }
        })
    };
    let (client, handle) = Failover::builder()
        .endpoint(Endpoint::new("a", server("a")))
        .endpoint(Endpoint::new("b", server("b")))
        .build()?;

    let show = |what: &str, [a, b, errors]: [u32; 3]| {
        let state = handle.snapshot().endpoint("a").map(|a| a.state.to_string()).unwrap_or_default();
        println!("{what:22} a {a:>3}  b {b:>3}  errors {errors}  (a is {state})");
        [a, b, errors]
    };
    let [a, b, errors] = show("both are there:", load(&client, 200).await);
    assert!(a > 60 && b > 60 && errors == 0);

    a_is_gone.store(true, Relaxed);
    let [a, b, errors] = show("a is gone:", load(&client, 200).await);
    assert!(a == 0 && b == 200 && errors == 0, "each call that a refused went to b");

    a_is_gone.store(false, Relaxed);
    let [a, b, errors] = show("a is back:", load(&client, 200).await);
    assert!(a > 0 && a < b && errors == 0, "slow start");
    load(&client, 1000).await;
    let [a, b, errors] = show("ten seconds later:", load(&client, 200).await);
    assert!(a > 60 && b > 60 && errors == 0);
    Ok(())
}
