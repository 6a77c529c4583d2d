//! One run: upstreams, shop, load and faults, all on real sockets of this process.

use std::{io, sync::Arc, time::Duration};

use steadfast::circuit_breaker::CircuitBreakerHandle;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{
    load::{self, PATIENCE, Samples},
    report::{self, Outcome, UPSTREAMS},
    script::{self, ACTS, TICKS},
    shop::{self, Shop},
    stacks::Calls,
    upstream::{self, Fault, Upstream},
};

/// Both runs see the same arrivals and the same luck.
const SEED: u64 = 20_261_121;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Starts the upstreams, and makes the shop that calls them.
pub(crate) fn shop(protected: bool) -> Result<Arc<Shop>> {
    // The same client for both: the layers are the only difference.
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
    let contents = [upstream::inventory, upstream::prices, upstream::recommendations];
    let start = |number: usize| Upstream::start(UPSTREAMS[number], SEED + number as u64, contents[number]);
    let upstreams = [start(0)?, start(1)?, start(2)?];
    let calls = if protected { Calls::protected(&client)? } else { Calls::unprotected(&client) };
    Ok(Arc::new(Shop { calls, upstreams }))
}

/// Plays the script.
pub(crate) async fn run(protected: bool, tick: Duration) -> Result<Outcome> {
    let shop = shop(protected)?;
    let address = shop::open(Arc::clone(&shop)).await?;
    let arrivals = script::arrivals(SEED, tick);
    let samples = Samples::of(&arrivals);
    let start = Instant::now() + Duration::from_millis(50);

    report::print_head(protected);
    let faults = play(Arc::clone(&shop), start, tick);
    let lines = print_lines(&shop, &samples, start, tick);
    let load = tokio::spawn(load::generate(address, arrivals, start, samples.clone()));
    tokio::join!(faults, lines, async { load.await.map_err(io::Error::other) }).2?;
    let received = shop.upstreams.each_ref().map(Upstream::received);
    Ok(Outcome { samples: samples.now(), received, tick })
}

/// Breaks and repairs the upstreams.
async fn play(shop: Arc<Shop>, start: Instant, tick: Duration) {
    for act in &ACTS {
        sleep_until(start + tick * act.ticks.start).await;
        shop.upstreams[act.upstream].set(act.fault);
        sleep_until(start + tick * act.ticks.end).await;
        shop.upstreams[act.upstream].set(Fault::Fine);
    }
}

/// Prints a line per tick, as soon as it is known which of its requests were answered in time.
async fn print_lines(shop: &Shop, samples: &Samples, start: Instant, tick: Duration) {
    let mut refused_before = vec![0; shop.calls.breakers.len()];
    let mut lines = JoinSet::new();
    for number in 0..TICKS {
        // Just before the tick ends: the next one may begin or end a fault.
        sleep_until(start + tick * number + tick * 19 / 20).await;
        let breakers: Vec<_> = shop.calls.breakers.iter().zip(&mut refused_before).map(look).collect();
        let samples = samples.clone();
        lines.spawn(async move {
            sleep_until(start + tick * (number + 1) + PATIENCE).await;
            report::print_tick(&samples.now(), tick, number, &breakers);
        });
    }
    lines.join_all().await;
}

/// The state of a breaker, and how many calls it has refused since the last look.
fn look((breaker, refused_before): (&CircuitBreakerHandle, &mut u64)) -> String {
    let refused_in_all = breaker.snapshot().refused_in_all;
    match refused_in_all - std::mem::replace(refused_before, refused_in_all) {
        0 => breaker.state().to_string(),
        refused => format!("{} {refused}", breaker.state()),
    }
}
