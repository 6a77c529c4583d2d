//! A page of one necessary query and two optional ones, under more visitors than the database bears. It asks before
//! optional work; then the necessary goes on.
//!
//! `cargo run --example degradation`

#![allow(clippy::disallowed_methods)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use steadfast::{
    Error, Rejected, Run,
    bulkhead::{Bulkhead, BulkheadLayer},
    degradation::{Degradation, DegradationEvent},
    telemetry::Received,
};

const MS: Duration = Duration::from_millis(1);

/// What became of the visitors.
#[derive(Default)]
struct Counts {
    whole: AtomicU32,
    partly: AtomicU32,
    none: AtomicU32,
}

/// A query of 20 ms, of which the database bears 200 a second.
async fn query(database: &BulkheadLayer) -> Result<(), Rejected> {
    let work = || async {
        tokio::time::sleep(20 * MS).await;
        Ok::<_, Rejected>(())
    };
    database.run(work).await.map_err(Error::flatten)
}

/// The product, and what else there is time for: how many parts there are.
async fn page(database: &BulkheadLayer, shop: &Degradation) -> Result<u32, Rejected> {
    query(database).await?;
    let mut parts = 1;
    for part in ["recommendations", "reviews"] {
        if shop.allows(part) {
            query(database).await?;
            parts += 1;
        }
    }
    Ok(parts)
}

async fn visitors(per_second: u32, seconds: u32, database: &BulkheadLayer, shop: &Degradation) -> Arc<Counts> {
    let counts = Arc::<Counts>::default();
    let mut ticks = tokio::time::interval(1000 * MS / per_second);
    for _ in 0..per_second * seconds {
        ticks.tick().await;
        let (database, shop, counts) = (database.clone(), shop.clone(), Arc::clone(&counts));
        tokio::spawn(async move {
            let became = match page(&database, &shop).await {
                Ok(3) => &counts.whole,
                Ok(_) => &counts.partly,
                Err(_) => &counts.none,
            };
            became.fetch_add(1, Ordering::Relaxed);
        });
    }
    counts
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    for (title, level) in [("nothing is ever left out", Some(0)), ("degrading", None)] {
        println!("{title}");
        let database = Bulkhead::builder(4).name("database").max_waiting(20).build()?;
        let shop = Degradation::builder()
            .name("shop")
            .feature("recommendations", 1)
            .feature("reviews", 2)
            .source("database", database.handle())
            .rise(0.8, 200 * MS)
            .fall(0.4, 600 * MS)
            .build()?;
        if let Some(level) = level {
            shop.force(level);
        }
        let mut events = shop.subscribe();
        let watcher = tokio::spawn(async move {
            while let Some(Received::Event(DegradationEvent::LevelChanged(change))) = events.recv().await {
                println!("    {change}");
            }
        });
        for (act, per_second, seconds) in [("quiet", 40, 1), ("a sale", 120, 3), ("quiet again", 40, 2)] {
            let counts = visitors(per_second, seconds, &database, &shop).await;
            let [whole, partly, none] =
                [&counts.whole, &counts.partly, &counts.none].map(|count| count.load(Ordering::Relaxed));
            println!("  {act:12} {whole:3} whole pages, {partly:3} without something, {none:3} none at all");
        }
        watcher.abort();
    }
    Ok(())
}
