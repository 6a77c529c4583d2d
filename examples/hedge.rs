//! One call in fifty straggles. How long the slowest calls take without a hedge, with one, and with one that is on hold
//! as the service says that it is overloaded.
//!
//! `cargo run --example hedge`

#![allow(clippy::disallowed_methods)]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use steadfast::{Error, Verdict, classify, hedge::Hedge, retry::Retry};
use tokio::time::Instant;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

/// Calls one after the other; the times that they took, sorted.
async fn calls<S>(service: &mut S) -> Vec<Duration>
where
    S: Service<u32, Error = Error<io::Error>>,
{
    let mut times = Vec::new();
    for request in 0..500 {
        let started = Instant::now();
        let ready = service.ready().await.unwrap_or_else(|error| panic!("{error}"));
        let _ = ready.call(request).await;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times
}

// On a paused clock, so it takes no time.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let attempts = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&attempts);
    let upstream = service_fn(move |request: u32| {
        let attempt = count.fetch_add(1, Ordering::Relaxed);
        async move {
            let takes = if attempt % 50 == 49 { 400 } else { 10 + u64::from(attempt % 10) };
            tokio::time::sleep(Duration::from_millis(takes)).await;
            if request == u32::MAX { Err(io::Error::other("too much")) } else { Ok(request) }
        }
    });
    let classify = classify::from_fn(|outcome: Result<&u32, &Error<io::Error>>| match outcome {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::OVERLOADED,
    });
    let hedged = Retry::builder().classify(classify).hedge(Hedge::percentile(0.95).overload_hold(3600 * 1000 * MS));
    let hedged = hedged.build()?;
    let hedge = hedged.handle().hedge().expect("it has one");

    let show = |what: &str, times: &[Duration]| {
        let sent = attempts.swap(0, Ordering::Relaxed);
        let [p50, p99] = [50, 99].map(|percent| times[times.len() * percent / 100]);
        println!("{what:22} p50 {p50:>5.0?}  p99 {p99:>5.0?}  {sent} attempts of {} calls", times.len());
    };
    let mut plain = ServiceBuilder::new().map_err(Error::Inner).service(upstream.clone());
    show("without a hedge", &calls(&mut plain).await);

    let mut client = ServiceBuilder::new().layer(hedged).map_err(Error::Inner).service(upstream);
    show("with one", &calls(&mut client).await);
    let snapshot = hedge.snapshot();
    println!("{:22} after {:?}; {} sent, {} won", "", snapshot.delay, snapshot.hedges, snapshot.hedges_won);

    let _ = client.ready().await?.call(u32::MAX).await;
    attempts.store(0, Ordering::Relaxed);
    show("the service: too much", &calls(&mut client).await);
    println!("{:22} on hold: {}", "", hedge.snapshot().on_hold);
    Ok(())
}
