//! What a rate limiter lets through, makes wait and refuses, in about two seconds.
//!
//! `cargo run --example rate_limit`
// Sleeps and reads the clock itself: it is a client with a tempo of its own, in real time.
#![allow(clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use steadfast::{
    Rejected,
    rate_limit::{Mode, RateLimit, RateLimitLayer},
};
use tower::{Layer, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    waits().await?;
    modes().await?;
    tenants().await
}

async fn call(limit: RateLimitLayer) -> std::result::Result<(), Rejected> {
    limit.layer(service_fn(|()| async { Ok::<_, Infallible>(()) })).oneshot(()).await
}

async fn waits() -> Result {
    println!("# 10 per second, a burst of 2, and calls may wait for 250 ms: six come at once");
    let limit = RateLimit::builder(10, SECOND).name("geocoder").burst(2).max_wait(250 * MS).build()?;
    let start = Instant::now();
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move { (call(limit).await, start.elapsed()) })
        })
        .collect();
    for (number, call) in calls.into_iter().enumerate() {
        match call.await? {
            (Ok(()), at) => println!("  call {number}: let through at {:3} ms", at.as_millis()),
            (Err(refused), at) => println!("  call {number}: at {:3} ms: {refused}", at.as_millis()),
        }
    }
    Ok(())
}

async fn modes() -> Result {
    println!("# 50 per 500 ms, and a client that asks every millisecond: what is let through in each 100 ms");
    for (name, mode) in [("smooth", Mode::Smooth), ("cycles", Mode::Cycles)] {
        let limit = RateLimit::builder(50, 500 * MS).mode(mode).build()?;
        let (start, mut counts) = (Instant::now(), [0; 7]);
        while let Some(count) = counts.get_mut(start.elapsed().as_millis() as usize / 100) {
            *count += u32::from(limit.handle().try_acquire().is_ok());
            tokio::time::sleep(MS).await;
        }
        println!("  {name}: {counts:?}");
    }
    Ok(())
}

async fn tenants() -> Result {
    println!("# 5 per minute for each tenant, at most 10,000 tenants remembered");
    let limits = RateLimit::builder(5, Duration::from_secs(60)).name("api").burst(5).build_keyed(10_000)?;
    for tenant in ["acme", "globex"] {
        for _ in 0..5 {
            call(limits.for_key(&tenant)).await?;
        }
        println!("  {}", call(limits.for_key(&tenant)).await.unwrap_err());
    }
    println!("  {} limiters", limits.len());
    Ok(())
}
