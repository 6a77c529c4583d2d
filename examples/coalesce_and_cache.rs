//! A slow page that a hundred want at once, and that its service loses later: one call for all of them, handed on when the
//! first leaves; then stored, renewed behind the callers' backs, and still there when the service is not.
//!
//! `cargo run --features cache --example coalesce_and_cache`

#![allow(clippy::disallowed_methods)]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use steadfast::{
    BoxError,
    cache::{Cache, Given},
    coalesce::{self, Coalesce},
    retry::Retry,
    timeout::Timeout,
};
use tower::{ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (calls, down) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let upstream = {
        let (calls, down) = (Arc::clone(&calls), Arc::clone(&down));
        service_fn(move |page: &'static str| {
            let (number, down) = (calls.fetch_add(1, Relaxed) + 1, down.load(Relaxed));
            async move {
                tokio::time::sleep(100 * MS).await;
                if down { Err(io::Error::other("down")) } else { Ok(format!("{page}, edition {number}")) }
            }
        })
    };
    let cache = Cache::builder(150 * MS, |page: &&'static str| Some(*page))
        .stale_while_revalidate(150 * MS)
        .stale_if_error(Duration::from_secs(60))
        .mark(|page: &mut String, given: Given, age: Duration| {
            if given != Given::Fresh {
                page.push_str(&format!(" ({} ms old)", age.as_millis()));
            }
        })
        .build()?;
    // The error of this stack is boxed, so the others get its words.
    let coalesce = Coalesce::builder(|page: &&'static str| Some(*page)).share(coalesce::boxed).build();
    let (stored, joined) = (cache.handle(), coalesce.handle());
    let pages = ServiceBuilder::new()
        .layer(cache)
        .layer(Timeout::builder(500 * MS).build()?)
        .layer(coalesce)
        .layer(Retry::builder().build()?)
        .map_err(BoxError::from)
        .service(upstream);
    let ask = || pages.clone().oneshot("news");

    let mut readers: Vec<_> = (0..100).map(|_| tokio::spawn(ask())).collect();
    tokio::time::sleep(90 * MS).await;
    readers.remove(0).abort(); // the one that has made the call
    let begun = tokio::time::Instant::now();
    for reader in readers {
        reader.await??;
    }
    println!("99 readers answered {} ms after the first had left", begun.elapsed().as_millis());
    println!("{} call, {:?}", calls.load(Relaxed), joined.snapshot());

    for wait in [0, 200, 120] {
        tokio::time::sleep(wait * MS).await;
        println!("{wait:3} ms later: {}", ask().await?);
    }
    down.store(true, Relaxed);
    tokio::time::sleep(400 * MS).await;
    println!("the service is down: {}", ask().await?);
    println!("{:?}", stored.snapshot());
    Ok(())
}
