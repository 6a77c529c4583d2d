//! A limit of 20 calls a second that all processes share which run this. Stop the server meanwhile: each process goes on
//! with its share, a quarter, and shares again when the server is back.
//!
//! `cargo run --release --features redis --example shared_rate_limit -- [URL [SECONDS]]`

#![allow(clippy::disallowed_methods)]

use std::{env, process::ExitCode, time::Duration};

use steadfast::{
    BoxError, Run,
    rate_limit::{RateLimit, redis::RedisStore},
};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1/".into());
    let seconds: u64 = arguments.next().map_or(Ok(10), |seconds| seconds.parse())?;

    let store = RedisStore::new(&url)?;
    if let Err(error) = store.connect().await {
        eprintln!("no Redis server at the URL given: {error}");
        return Ok(ExitCode::from(2));
    }
    let limit = RateLimit::builder(20, SECOND).name("example").max_wait(SECOND * 2).store(store, 4).build()?;
    let handle = limit.handle();

    println!("20 calls a second, shared by all who run this; 5 for each of four without the server");
    for second in 1..=seconds {
        let (mut calls, mut refused) = (0, 0);
        let one_second = async {
            loop {
                match limit.run(|| async { Ok::<_, std::io::Error>(()) }).await {
                    Ok(()) => calls += 1,
                    Err(_) => refused += 1,
                }
            }
        };
        let _ = tokio::time::timeout(SECOND, one_second).await;
        let server = if handle.snapshot().store_away { "away: the local share" } else { "there" };
        println!("second {second}: {calls} calls, {refused} refused; the server is {server}");
    }
    Ok(ExitCode::SUCCESS)
}
