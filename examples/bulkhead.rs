//! What a bulkhead is good for, in about a second.
//!
//! `cargo run --example bulkhead`
// Sleeps itself: it plays a service that hangs, in real time.
#![allow(clippy::disallowed_methods)]

use std::{sync::mpsc, time::Duration};

use steadfast::{
    Error, Rejected, Run,
    bulkhead::{Bulkhead, BulkheadLayer},
    timeout::Timeout,
};
use tower::ServiceBuilder;

const MS: Duration = Duration::from_millis(1);

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    places().await?;
    queue().await?;
    resize().await?;
    blocking().await
}

/// A call that takes so long, in a place of `bulkhead`.
async fn call(bulkhead: BulkheadLayer, takes: Duration) -> std::result::Result<(), Rejected> {
    let operation = || async move {
        tokio::time::sleep(takes).await;
        Ok::<_, Rejected>(())
    };
    bulkhead.run(operation).await.map_err(Error::flatten)
}

async fn places() -> Result {
    println!("# 10 calls for 3 places, no queue: the others know at once, and can do something else");
    let bulkhead = Bulkhead::builder(3).name("recommendations").build()?;
    let calls = (0..10).map(|_| tokio::spawn(call(bulkhead.clone(), 100 * MS)));
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        match call.await? {
            Ok(()) => println!("  call {number}: done"),
            Err(refused) => println!("  call {number}: {refused}"),
        }
    }
    Ok(())
}

async fn queue() -> Result {
    println!("# A queue under a deadline of 250 ms, three times too many calls: what would be late is refused at once");
    let bulkhead = Bulkhead::builder(3).name("recommendations").max_waiting(100).max_wait(140 * MS).build()?;
    let deadline = Timeout::builder(250 * MS).name("page").build()?;
    let stack = ServiceBuilder::new().layer(deadline).layer(bulkhead.clone());
    let mut calls = Vec::new();
    for _ in 0..100 {
        let stack = stack.clone();
        calls.push(tokio::spawn(async move {
            let operation = || async {
                tokio::time::sleep(100 * MS).await;
                Ok::<_, Rejected>(())
            };
            stack.run(operation).await.map_err(Error::flatten)
        }));
        tokio::time::sleep(10 * MS).await;
    }
    let mut done = 0;
    for call in calls {
        done += u32::from(call.await?.is_ok());
    }
    let at_once = bulkhead.handle().snapshot().refused_hopeless;
    println!("  {done} of 100 done, {at_once} refused at once, the others when their time was over");
    Ok(())
}

async fn resize() -> Result {
    println!("# A limit is changed while calls run and wait; nobody blocks, nobody is put out");
    let bulkhead = Bulkhead::builder(4).max_waiting(10).build()?;
    let handle = bulkhead.handle();
    let calls: Vec<_> = (0..6).map(|_| tokio::spawn(call(bulkhead.clone(), 50 * MS))).collect();
    tokio::time::sleep(10 * MS).await;
    handle.change(|settings| settings.max_concurrent = 1)?;
    println!("  at once 4 -> 1:   {} run, {} wait", handle.snapshot().running, handle.snapshot().waiting);
    tokio::time::sleep(60 * MS).await;
    println!("  60 ms later:      {} run, {} wait", handle.snapshot().running, handle.snapshot().waiting);
    for call in calls {
        call.await??;
    }
    println!("  a limit of 0:     {}", handle.change(|settings| settings.max_concurrent = 0).unwrap_err());
    Ok(())
}

async fn blocking() -> Result {
    println!("# Blocking work whose caller gives up keeps its place until it has really ended");
    let bulkhead = Bulkhead::builder(1).name("disk").build()?.blocking();
    let (end, ends) = mpsc::channel::<()>();
    let work = bulkhead.run(move || ends.recv());
    println!("  given up:         {}", tokio::time::timeout(20 * MS, work).await.is_err());
    println!("  another, now:     {}", bulkhead.run(|| 7).await.unwrap_err());
    end.send(())?;
    while bulkhead.handle().snapshot().running > 0 {
        tokio::time::sleep(MS).await;
    }
    println!("  and after its end: {}", bulkhead.run(|| 7).await?);
    Ok(())
}
