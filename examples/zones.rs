//! Zones and regions: calls stay in their own zone, spill over to the next one as that gets too small, and leave the region
//! (a lower tier) only when it cannot take them.
//!
//! `cargo run --example zones`

#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use steadfast::{
    Error,
    failover::{Endpoint, Failover, TierPolicy},
};
use tower::{Service, ServiceExt, service_fn};

type Name = &'static str;

/// How many of a thousand calls go to which zone.
async fn shares<S>(client: &S) -> BTreeMap<Name, u32>
where
    S: Service<u32, Response = Name, Error = Error<std::io::Error>> + Clone,
{
    let mut shares = BTreeMap::new();
    for id in 0..1000 {
        let zone = client.clone().oneshot(id).await.expect("an answer");
        *shares.entry(zone).or_default() += 1;
    }
    shares
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = |key: Name, zone: Name| {
        let service = service_fn(move |_: u32| async move { Ok::<_, Error<std::io::Error>>(zone) });
        Endpoint::new(key, service).zone(zone)
    };
    // Our region first, the other one as the second tier.
    let (client, handle) = Failover::builder()
        .endpoints([server("near-1", "near"), server("near-2", "near")])
        .endpoints([server("next-1", "next"), server("next-2", "next")])
        .endpoints([server("far-1", "far"), server("far-2", "far")].map(|endpoint| endpoint.tier(1)))
        .with(|settings| {
            settings.zone = Some("near".into());
            settings.tiers = TierPolicy::spillover();
        })
        .build()?;
    let show = |what: &str, shares: BTreeMap<Name, u32>| {
        let of = |zone: Name| shares.get(zone).copied().unwrap_or(0);
        let [near, next, far] = [of("near"), of("next"), of("far")];
        println!("{what:34} near {near:>4}  next {next:>4}  far {far:>4}");
        [near, next, far]
    };
    // A zone or a region takes as much as 1.4 times its healthy endpoints can.
    let about = |counted: u32, expected: u32| counted.abs_diff(expected) < 60;
    assert_eq!(show("all are there:", shares(&client).await), [1000, 0, 0]);
    handle.drain("near-1").await?;
    let [near, next, far] = show("one of our zone is gone:", shares(&client).await);
    assert!(about(near, 700) && about(next, 300) && far == 0);
    handle.drain("near-2").await?;
    let [near, next, far] = show("our zone is gone:", shares(&client).await);
    assert!(near == 0 && about(next, 700) && about(far, 300));
    handle.drain("next-1").await?;
    let [_, next, far] = show("three of the four of our region:", shares(&client).await);
    assert!(about(next, 350) && about(far, 650));
    handle.drain("next-2").await?;
    assert_eq!(show("our region is gone:", shares(&client).await), [0, 0, 1000]);
    Ok(())
}
