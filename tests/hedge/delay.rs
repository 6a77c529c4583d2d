//! When a hedge is due.

use std::time::Duration;

use steadfast::{
    hedge::{Hedge, HedgeDelay},
    retry::RetryLayer,
};
use tower::{Layer, ServiceExt};

use crate::support::{End::*, Judge, MS, Scripted, retry, timed, won};
use steadfast::retry::{Backup, CloneRequest};

async fn calls(layer: &RetryLayer<Judge, CloneRequest, Backup>, times: usize, takes: u64) {
    for _ in 0..times {
        layer.layer(Scripted::new(&[(takes, Ok)])).oneshot(()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn by_percentile_nothing_is_hedged_before_enough_has_been_seen() {
    let layer = retry().hedge(Hedge::percentile(0.95)).build().unwrap();
    let delay = || layer.handle().hedge().unwrap().snapshot().delay;
    calls(&layer, 19, 10).await;
    assert_eq!(delay(), None);
    let service = Scripted::new(&[(900, Ok), (20, Ok)]);
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(1), 900));
    // The twentieth was that one.
    assert!(delay().is_some());
}

#[tokio::test(start_paused = true)]
async fn by_percentile_the_delay_is_the_percentile_or_three_medians() {
    let layer = retry().hedge(Hedge::percentile(0.95)).build().unwrap();
    let handle = layer.handle().hedge().unwrap();
    let delay = || handle.snapshot().delay.unwrap().as_millis();
    calls(&layer, 100, 20).await;
    assert!((60..=64).contains(&delay()), "{} ms of three medians", delay());
    handle.change(|settings| settings.delay = HedgeDelay::Percentile { share: 0.95, medians: 0.0 }).unwrap();
    assert!((20..=21).contains(&delay()), "{} ms", delay());
    handle.change(|settings| settings.overload_hold = Duration::ZERO).unwrap();
    calls(&layer, 20, 300).await;
    tokio::time::advance(200 * MS).await;
    assert!((300..=320).contains(&delay()), "{} ms: a sixth takes so long", delay());
    handle.change(|settings| settings.delay = HedgeDelay::Percentile { share: 0.5, medians: 0.0 }).unwrap();
    assert!((20..=21).contains(&delay()), "{} ms, at once", delay());
}

#[tokio::test(start_paused = true)]
async fn what_is_hedged_counts_as_at_least_as_long_as_it_took() {
    let layer = retry().hedge(Hedge::percentile(0.95).medians(0.0).budget(1.0, 100)).build().unwrap();
    let handle = layer.handle().hedge().unwrap();
    calls(&layer, 30, 20).await;
    assert!(handle.snapshot().delay.unwrap() <= 21 * MS);
    // A tenth straggles, is hedged, and loses.
    for call in 0..200 {
        let first = if call % 10 == 0 { 900 } else { 20 };
        layer.layer(Scripted::new(&[(first, Ok), (20, Ok)])).oneshot(()).await.unwrap();
    }
    let snapshot = handle.snapshot();
    assert!(snapshot.hedges_won >= 10);
    // Were only winners counted, the delay would stay at the 20 ms that those take.
    assert!(snapshot.delay.unwrap() > 35 * MS, "{snapshot:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_does_not_have_to_wait_says_nothing_of_how_long_one_waits() {
    let layer = retry().hedge(Hedge::percentile(0.95)).build().unwrap();
    calls(&layer, 1000, 0).await;
    assert_eq!(layer.handle().hedge().unwrap().snapshot().delay, None);
}

#[tokio::test(start_paused = true)]
async fn failures_are_not_what_is_compared_with() {
    let layer = retry().max_attempts(1).hedge(Hedge::percentile(0.95)).build().unwrap();
    for _ in 0..100 {
        layer.layer(Scripted::new(&[(1, Fails)])).oneshot(()).await.unwrap_err();
    }
    assert_eq!(layer.handle().hedge().unwrap().snapshot().delay, None);
}

#[tokio::test(start_paused = true)]
async fn the_delay_is_changed_while_running_and_so_is_the_bucket() {
    let layer = retry().hedge(Hedge::never()).build().unwrap();
    let handle = layer.handle().hedge().unwrap();
    let service = Scripted::new(&[(900, Ok), (20, Ok)]);
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(1), 900));
    handle.change(|settings| (settings.delay, settings.burst) = (HedgeDelay::After(Duration::ZERO), 1)).unwrap();
    assert_eq!(handle.snapshot().tokens, 1.0);
    service.becomes(&[(900, Ok), (20, Ok)]);
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(2), 20), "at once, without a timer");
    assert_eq!(handle.settings().burst, 1);
    handle.change(|settings| settings.share = 2.0).unwrap_err();
    assert_eq!(handle.settings().share, 0.05);
}
