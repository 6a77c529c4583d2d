//! A rehearsal: does the page still answer when the service behind it does not? Chaos is switched on and off while calls
//! come, and the layers above are watched.
//!
//! `cargo run --example chaos`

#![allow(clippy::disallowed_methods)]

use std::{io, time::Duration};

use steadfast::{
    Error, chaos::Chaos, circuit_breaker::CircuitBreaker, fallback::Fallback, retry::Retry, timeout::Timeout,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chaos = Chaos::builder()
        .failures(0.6, |_: &u32| Err(io::Error::other("rehearsed")))
        .delays(0.3, 5 * MS..=20 * MS)
        .hangs(0.1)
        .enabled(false)
        .seed(1)
        .build()?;
    let breaker = CircuitBreaker::builder().wait_open(steadfast::backoff::Backoff::fixed(100 * MS)).build()?;
    let (rehearsal, state) = (chaos.handle(), breaker.handle());

    let mut recommendations = ServiceBuilder::new()
        .layer(Fallback::value("bestsellers").build())
        .layer(Timeout::builder(60 * MS).build()?)
        .layer(Retry::builder().build()?)
        .layer(breaker)
        .map_err(Error::Inner)
        .layer(chaos)
        .service(service_fn(|_: u32| async { Ok::<_, io::Error>("just for you") }));

    for (act, calls) in [("quiet", 20), ("rehearsal", 60), ("quiet again", 40)] {
        match act {
            "rehearsal" => rehearsal.enable(),
            _ => rehearsal.disable(),
        }
        let (mut own, mut instead) = (0, 0);
        for call in 0..calls {
            match recommendations.ready().await?.call(call).await? {
                "just for you" => own += 1,
                _ => instead += 1,
            }
            tokio::time::sleep(5 * MS).await;
        }
        println!("{act:12} {calls} calls: {own:2} answered, {instead:2} with bestsellers instead; {}", state.state());
    }
    let done = rehearsal.snapshot();
    println!("chaos: {} failures, {} delays, {} hangs", done.failures, done.delays, done.hangs);
    Ok(())
}
