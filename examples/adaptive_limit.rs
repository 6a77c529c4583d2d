//! A limit that follows what the service can do, in about three seconds.
//!
//! `cargo run --example adaptive_limit`
// Sleeps itself: it plays a service that slows down, in real time.
#![allow(clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use steadfast::{
    Rejected,
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitEvent},
    telemetry::Received,
    timeout::Timeout,
};
use tokio::sync::Semaphore;
use tower::{ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
/// How long who asks waits.
const DEADLINE: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let limit = AdaptiveLimit::builder(DEADLINE).name("inventory").initial(20).build()?;
    let handle = limit.handle();
    let mut events = handle.subscribe();

    // Eight workers, and a queue of which nobody knows.
    let (workers, work) = (Arc::new(Semaphore::new(8)), Arc::new(AtomicU64::new(5)));
    let takes = Arc::clone(&work);
    let client = ServiceBuilder::new().layer(Timeout::builder(DEADLINE).name("page").build()?).layer(limit).service(
        service_fn(move |()| {
            let (workers, takes) = (Arc::clone(&workers), Arc::clone(&takes));
            // A task of its own: who no longer waits does not stop the work.
            let served = tokio::spawn(async move {
                let _worker = workers.acquire().await;
                tokio::time::sleep(MS * takes.load(Ordering::Relaxed) as u32).await;
            });
            async move {
                let _ = served.await;
                Ok::<_, Infallible>(())
            }
        }),
    );

    for (what, milliseconds) in [("5 ms a call", 5), ("50 ms a call", 50), ("5 ms a call", 5)] {
        work.store(milliseconds, Ordering::Relaxed);
        println!("# 500 calls a second, {what}");
        for _ in 0..5 {
            let calls = (0..100).map(|number| {
                let client = client.clone();
                async move {
                    tokio::time::sleep(MS * 2 * number).await;
                    client.oneshot(()).await
                }
            });
            let outcomes: Vec<Result<(), Rejected>> = futures::future::join_all(calls).await;
            let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
            let refused =
                outcomes.iter().filter(|outcome| outcome.as_ref().is_err_and(|error| !error.reached_service())).count();
            let (snapshot, late) = (handle.snapshot(), outcomes.len() - answered - refused);
            println!(
                "  limit {:>3}, in progress {:>3}: {answered:>3} answered, {refused:>3} refused at once or after a wait, {late:>3} late",
                snapshot.limit, snapshot.running
            );
        }
    }

    println!("# Why it moved");
    while let Some(Received::Event(event)) = events.try_recv() {
        if let AdaptiveLimitEvent::LimitChanged { from, to, cause } = event {
            println!("  {from} -> {to}: {cause:?}");
        }
    }
    Ok(())
}
