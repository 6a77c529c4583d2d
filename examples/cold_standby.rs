//! A standby that does not run until it is needed: started once for all callers, used when its probe has passed, stopped again.
//!
//! `cargo run --example cold_standby`
// Sleeps itself: it plays a machine that takes time to boot.
#![allow(clippy::disallowed_methods)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use steadfast::{
    failover::{Cold, Endpoint, Failback, Failover, FailoverEvent, Meta, probe},
    telemetry::Received,
};
use tower::ServiceExt;

const MS: Duration = Duration::from_millis(1);

/// A database: whether it is up, and where.
#[derive(Clone)]
struct Database(&'static str, Arc<AtomicBool>);

impl tower::Service<u32> for Database {
    type Response = &'static str;
    type Error = steadfast::Error<&'static str>;
    type Future = std::future::Ready<Result<&'static str, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        let outcome = if self.1.load(Relaxed) { Ok(self.0) } else { Err(steadfast::Error::Inner("gone")) };
        std::future::ready(outcome)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let up = Arc::new(AtomicBool::new(true));

    let restore = Cold::start(|| async {
        println!("     ... restoring the backup of last night");
        tokio::time::sleep(700 * MS).await;
        Ok::<_, std::io::Error>(Database("restored", Arc::new(AtomicBool::new(true))))
    })
    .after(300 * MS)
    .idle(1000 * MS, || async {
        println!("     ... stopping it");
        Ok::<_, std::io::Error>(())
    });

    // Any asynchronous function is a probe.
    let probe = probe::from_fn(|_: Meta, database: Option<Database>| async move {
        let answers = database.is_some_and(|database| database.1.load(Relaxed));
        if answers { Ok(()) } else { Err("no answer") }
    });
    let (client, handle) = Failover::builder()
        .name("orders")
        .endpoint(Endpoint::new("main", Database("main", Arc::clone(&up))))
        .endpoint(Endpoint::cold("backup", restore).tier(1))
        .probe(probe)
        .with(|settings| {
            // Short times, for a short example. The default hold is 30 s.
            settings.failback = Failback::After(500 * MS);
            settings.check = settings.check.every(100 * MS).fast(50 * MS);
        })
        .build()?;

    let mut events = handle.subscribe();
    let told = tokio::spawn(async move {
        let mut kinds = Vec::new();
        while let Some(Received::Event(event)) = events.recv().await {
            println!("     {event:?}");
            kinds.push(event);
        }
        kinds
    });

    let mut answers = Vec::new();
    for tenth in 0..60 {
        if tenth == 5 {
            println!("the main database is gone");
            up.store(false, Relaxed);
        } else if tenth == 30 {
            println!("it is back");
            up.store(true, Relaxed);
        }
        match client.clone().oneshot(tenth).await {
            Ok(answer) => {
                if answers.last() != Some(&answer) {
                    println!("{:.1} s: answered by {answer}", f64::from(tenth) / 10.0);
                    answers.push(answer);
                }
            }
            Err(error) => println!("{:.1} s: {error}", f64::from(tenth) / 10.0),
        }
        tokio::time::sleep(100 * MS).await;
    }
    assert_eq!(answers, ["main", "restored", "main"]);

    println!("{}", handle.snapshot().endpoint("backup").expect("it is one of the endpoints").state);
    drop((client, handle));
    let events = told.await?;
    assert_eq!(events.iter().filter(|event| matches!(event, FailoverEvent::Activated { .. })).count(), 1);
    Ok(())
}
