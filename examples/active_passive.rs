//! Active-passive: a primary, and a standby in a lower tier whose service is made when it is needed. Calls move to it
//! when the primary is gone, and back after a hold, not at the first sign of life.
//!
//! `cargo run --example active_passive`

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
    failover::{Endpoint, EndpointState, Failback, Failover, FailoverEvent},
    telemetry::Received,
};
use tokio::time::sleep;
use tower::{Service, ServiceExt, service_fn};

/// Calls for so long, one every 10 ms; who answered the last one.
async fn load<S>(client: &S, time: Duration) -> &'static str
where
    S: Service<u32, Response = &'static str, Error = Error<io::Error>> + Clone,
{
    let mut last = "nobody";
    for id in 0..time.as_millis() as u32 / 10 {
        last = client.clone().oneshot(id).await.expect("no call fails");
        sleep(Duration::from_millis(10)).await;
    }
    last
}

// On a paused clock, so it takes no time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    const SECOND: Duration = Duration::from_secs(1);
    let primary_is_gone = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&primary_is_gone);
    let connect = move |key: &'static str| {
        let gone = Arc::clone(&gone);
        service_fn(move |_: u32| {
            let refused = key == "primary" && gone.load(Relaxed);
            async move {
                if refused { Err(Error::Inner(io::Error::from(io::ErrorKind::ConnectionRefused))) } else { Ok(key) }
            }
        })
    };
    let primary = connect("primary");
    let standby = Endpoint::make("standby", move || {
        println!("           the standby is connected to");
        let service = connect("standby");
        async { Ok::<_, io::Error>(service) }
    });
    let (client, handle) = Failover::builder()
        .endpoint(Endpoint::new("primary", primary))
        .endpoint(standby.tier(1))
        .with(|settings| settings.failback = Failback::After(30 * SECOND))
        .build()?;
    let mut events = handle.subscribe();
    let start = tokio::time::Instant::now();
    tokio::spawn(async move {
        while let Some(Received::Event(event)) = events.recv().await {
            if matches!(event, FailoverEvent::TierChanged { .. } | FailoverEvent::FailedBack { .. }) {
                println!("  {:>5.1} s  {event:?}", start.elapsed().as_secs_f64());
            }
        }
    });

    assert_eq!(load(&client, 5 * SECOND).await, "primary");
    primary_is_gone.store(true, Relaxed);
    assert_eq!(load(&client, 10 * SECOND).await, "standby");
    primary_is_gone.store(false, Relaxed);
    assert_eq!(load(&client, 10 * SECOND).await, "standby");
    let state = handle.snapshot().endpoint("primary").expect("it is known").state.clone();
    println!("  {:>5.1} s  the primary is {state}", start.elapsed().as_secs_f64());
    assert!(matches!(state, EndpointState::Held { .. }));
    assert_eq!(load(&client, 25 * SECOND).await, "primary");
    Ok(())
}
