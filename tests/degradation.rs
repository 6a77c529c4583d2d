//! Degradation: the level follows the pressure, and what is asked for follows the level.
#![allow(clippy::disallowed_methods)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use steadfast::{
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitLayer},
    bulkhead::Bulkhead,
    circuit_breaker::CircuitBreaker,
    degradation::{Degradation, DegradationBuilder, DegradationEvent, DegradationSettings, Pressure},
    shed::Shed,
    stall,
    telemetry::Received,
};
use tokio::time::{Instant, advance, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A gauge in percent, and how often it has been read.
#[derive(Clone, Default)]
struct Gauge {
    percent: Arc<AtomicU32>,
    reads: Arc<AtomicU32>,
}

impl Gauge {
    fn set(&self, percent: u32) {
        self.percent.store(percent, Ordering::Relaxed);
    }

    fn reads(&self) -> u32 {
        self.reads.load(Ordering::Relaxed)
    }
}

impl Pressure for Gauge {
    fn pressure(&self) -> f64 {
        self.reads.fetch_add(1, Ordering::Relaxed);
        f64::from(self.percent.load(Ordering::Relaxed)) / 100.0
    }
}

fn shop() -> DegradationBuilder {
    Degradation::builder().name("shop").feature("reviews", 2).feature("recommendations", 1).feature("badges", 2)
}

/// Asks ten times a second, as traffic does, for so long.
async fn traffic(shop: &Degradation, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        shop.level();
        advance(100 * MS).await;
    }
    shop.level();
}

#[tokio::test(start_paused = true)]
async fn features_go_by_rank_as_pressure_stays_and_come_back_later() {
    let gauge = Gauge::default();
    let shop = shop().source("queue", gauge.clone()).build().unwrap();
    let allowed = || ["recommendations", "reviews", "badges"].map(|feature| shop.allows(feature));
    traffic(&shop, 60 * SECOND).await;
    assert_eq!(allowed(), [true; 3]);
    gauge.set(90);
    traffic(&shop, 900 * MS).await;
    assert_eq!(allowed(), [true; 3]);
    traffic(&shop, 200 * MS).await;
    assert_eq!((shop.level(), allowed()), (1, [false, true, true]));
    traffic(&shop, SECOND).await;
    assert_eq!((shop.level(), allowed()), (2, [false; 3]));
    traffic(&shop, 60 * SECOND).await;
    assert_eq!(shop.level(), 2, "there is no level over the highest rank");
    gauge.set(60);
    traffic(&shop, 60 * SECOND).await;
    assert_eq!(shop.level(), 2, "neither high nor low");
    gauge.set(0);
    traffic(&shop, 4900 * MS).await;
    assert_eq!(shop.level(), 2);
    traffic(&shop, 200 * MS).await;
    assert_eq!((shop.level(), allowed()), (1, [false, true, true]));
    traffic(&shop, 5 * SECOND).await;
    assert_eq!((shop.level(), allowed()), (0, [true; 3]));
}

#[tokio::test(start_paused = true)]
async fn a_feature_that_is_kept_follows_and_one_that_there_is_not_is_none() {
    let shop = shop().build().unwrap();
    let reviews = shop.feature("reviews").unwrap();
    assert!(shop.feature("review").is_none());
    shop.force(2);
    assert!(!reviews.is_allowed());
    assert!(shop.allows("review"), "there is nothing to be left out");
    assert_eq!(shop.snapshot().left_out, 1);
}

#[tokio::test(start_paused = true)]
async fn the_pressure_is_read_when_somebody_asks_and_not_more_often_than_every_so_often() {
    let gauge = Gauge::default();
    let shop = shop().source("queue", gauge.clone()).every(200 * MS).build().unwrap();
    assert_eq!(gauge.reads(), 0);
    for _ in 0..10 {
        shop.allows("reviews");
        shop.level();
    }
    assert_eq!(gauge.reads(), 1);
    advance(199 * MS).await;
    shop.allows("reviews");
    assert_eq!(gauge.reads(), 1);
    advance(MS).await;
    shop.allows("reviews");
    shop.snapshot();
    assert_eq!(gauge.reads(), 2);
    advance(3600 * SECOND).await;
    assert_eq!(gauge.reads(), 2, "nobody has asked");
    shop.change(|settings| settings.every = 3600 * SECOND).unwrap();
    shop.level();
    assert_eq!(gauge.reads(), 3);
    advance(MS).await;
    shop.change(|settings| settings.every = MS).unwrap();
    shop.level();
    assert_eq!(gauge.reads(), 4, "what has been changed holds from now on");
    advance(MS).await;
    shop.level();
    assert_eq!(gauge.reads(), 5);
}

#[tokio::test(start_paused = true)]
async fn by_hand_goes_before_pressure_until_it_is_released() {
    let gauge = Gauge::default();
    let shop = shop().source("queue", gauge.clone()).build().unwrap();
    gauge.set(100);
    shop.force(0);
    traffic(&shop, 10 * SECOND).await;
    assert_eq!((shop.level(), shop.snapshot().by_hand), (0, Some(0)));
    shop.release();
    assert_eq!((shop.level(), shop.snapshot().by_hand), (2, None), "the pressure was there all the time");
    shop.force(u8::MAX);
    assert_eq!(shop.level(), 2);
    gauge.set(0);
    traffic(&shop, 20 * SECOND).await;
    shop.force(1);
    shop.release();
    assert_eq!(shop.level(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_hears_each_change_and_why_without_anybody_asking() {
    let (gauge, idle) = (Gauge::default(), Gauge::default());
    let shop = shop().source("idle", idle).source("queue", gauge.clone()).build().unwrap();
    let mut events = shop.subscribe();
    let mut next = async || match timeout(60 * SECOND, events.recv()).await.expect("an event") {
        Some(Received::Event(DegradationEvent::LevelChanged(change))) => change,
        other => panic!("{other:?}"),
    };
    let start = Instant::now();
    gauge.set(90);
    let change = next().await;
    assert_eq!(change.to_string(), "level 0 -> 1 (pressure 0.90 of `queue`)");
    assert_eq!((change.source.as_deref(), change.by_hand), (Some("queue"), false));
    assert!(start.elapsed() <= 1200 * MS, "{:?}", start.elapsed());
    gauge.set(0);
    assert_eq!(next().await.to_string(), "level 1 -> 0 (pressure 0.00)");
    assert!((6 * SECOND..7 * SECOND).contains(&start.elapsed()), "{:?}", start.elapsed());
    shop.force(2);
    assert_eq!(next().await.to_string(), "level 0 -> 2 (by hand)");
    shop.release();
    assert_eq!(next().await.to_string(), "level 2 -> 0 (by hand)");
    shop.change(|settings| settings.rise_at = 0.6).unwrap();
    assert_eq!(events.try_recv(), Some(Received::Event(DegradationEvent::SettingsChanged)));
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_tells_the_level_and_what_it_is_because_of() {
    let gauge = Gauge::default();
    let shop = shop().source("idle", || 0.1).source("queue", gauge.clone()).build().unwrap();
    gauge.set(90);
    traffic(&shop, 1500 * MS).await;
    let snapshot = shop.snapshot();
    assert_eq!((snapshot.level, snapshot.highest, snapshot.changes), (1, 2, 1));
    assert_eq!((snapshot.pressure, snapshot.source.as_deref()), (0.9, Some("queue")));
    assert!((300 * MS..600 * MS).contains(&snapshot.since), "{snapshot:?}");
    let pressures: Vec<_> = shop.pressures().into_iter().map(|(name, value)| (name.to_string(), value)).collect();
    assert_eq!(pressures, [("idle".to_owned(), 0.1), ("queue".to_owned(), 0.9)]);
}

#[tokio::test(start_paused = true)]
async fn a_source_may_ask_for_the_level_and_may_return_anything() {
    for (value, pressure) in [(f64::NAN, 0.0), (f64::INFINITY, 1.0), (-3.0, 0.0), (7.0, 1.0), (0.25, 0.25)] {
        let shop = Arc::new(std::sync::OnceLock::<Degradation>::new());
        let own = Arc::clone(&shop);
        let source = move || {
            let _ = own.get().map(Degradation::level);
            value
        };
        shop.set(self::shop().source("odd", source).build().unwrap()).unwrap();
        let shop = shop.get().unwrap();
        assert_eq!(shop.snapshot().pressure, pressure, "{value}");
        assert_eq!(shop.pressures()[0].1, pressure, "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn bulkheads_press_by_what_is_taken_and_breakers_when_they_are_open() {
    let alone = Bulkhead::builder(4).build().unwrap().handle();
    let queue = Bulkhead::builder(2).max_waiting(2).build().unwrap().handle();
    assert_eq!((alone.pressure(), queue.pressure()), (0.0, 0.0));
    let mut places = vec![alone.try_acquire().unwrap()];
    assert_eq!(alone.pressure(), 0.25);
    places.extend([queue.try_acquire().unwrap(), queue.try_acquire().unwrap()]);
    assert_eq!(queue.pressure(), 0.5);
    let breaker = CircuitBreaker::builder().build().unwrap().handle();
    assert_eq!(breaker.pressure(), 0.0);
    breaker.open();
    assert_eq!(breaker.pressure(), 1.0);
    breaker.half_open();
    assert_eq!(breaker.pressure(), 0.5);
    breaker.force_open();
    assert_eq!(breaker.pressure(), 1.0);
    breaker.disable();
    assert_eq!(breaker.pressure(), 0.0);
    assert_eq!(stall::pressure.pressure(), stall::pressure());
}

#[tokio::test(start_paused = true)]
async fn limits_press_by_what_is_in_use_and_waits_and_fully_while_they_are_lowered() {
    let limit = AdaptiveLimit::builder(SECOND).initial(4).max(4).build().unwrap();
    let handle = limit.handle();
    assert_eq!(handle.pressure(), 0.0);
    let call = |limit: &AdaptiveLimitLayer| {
        let limit = limit.clone();
        let slow = || async {
            sleep(SECOND * 3 / 4).await;
            Ok::<_, steadfast::Rejected>(())
        };
        tokio::spawn(async move { steadfast::Run::run(&limit, slow).await })
    };
    let mut calls: Vec<_> = (0..2).map(|_| call(&limit)).collect();
    sleep(MS).await;
    assert_eq!(handle.pressure(), 0.25);
    calls.extend((0..4).map(|_| call(&limit)));
    sleep(MS).await;
    assert_eq!((handle.snapshot().running, handle.snapshot().waiting, handle.pressure()), (4, 2, 0.75));
    calls.extend((0..10).map(|_| call(&limit)));
    sleep(MS).await;
    assert_eq!(handle.pressure(), 1.0);
    for call in calls {
        let _ = call.await;
    }
    handle.change(|settings| (settings.min, settings.max) = (20, 20)).unwrap();
    handle.change(|settings| settings.min = 1).unwrap();
    for _ in 0..2 {
        let calls: Vec<_> = (0..20).map(|_| call(&limit)).collect();
        for call in calls {
            let _ = call.await;
        }
    }
    assert_eq!((handle.is_cutting(), handle.snapshot().running, handle.pressure()), (true, 0, 1.0));
    // Two deadlines after the window nobody knows: what is left out because of it would else be left out for ever.
    sleep(3 * SECOND).await;
    assert_eq!((handle.is_cutting(), handle.snapshot().cutting, handle.pressure()), (false, false, 0.0));
    let shed = Shed::builder(4).build().unwrap().handle();
    let _place = shed.try_acquire().unwrap();
    assert_eq!(Pressure::pressure(&shed), 0.125);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_only_a_feature_calls_stays_open_while_that_is_left_out() {
    let breaker = CircuitBreaker::builder().build().unwrap().handle();
    let shop = shop().source("recommendations", breaker.clone()).build().unwrap();
    breaker.open();
    traffic(&shop, 3600 * SECOND).await;
    assert!(!shop.allows("recommendations"), "{:?}", shop.snapshot());
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_fills_up_presses_and_its_waiting_calls_count() {
    let bulkhead = Bulkhead::builder(1).max_waiting(4).max_wait(3600 * SECOND).build().unwrap();
    let _place = bulkhead.handle().try_acquire().unwrap();
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let bulkhead = bulkhead.clone();
            tokio::spawn(
                async move { steadfast::Run::run(&bulkhead, || async { Ok::<_, steadfast::Rejected>(()) }).await },
            )
        })
        .collect();
    sleep(MS).await;
    assert_eq!(bulkhead.handle().pressure(), 0.8);
    calls.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn all_clones_are_one_and_only_one_of_those_who_ask_reads() {
    let gauge = Gauge::default();
    gauge.set(100);
    let shop = shop().source("queue", gauge.clone()).build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..1000).for_each(|_| assert!(shop.clone().allows("reviews"))));
        }
    });
    // Those threads are not under the paused clock: they have a little time of their own.
    assert!(gauge.reads() < 20, "{}", gauge.reads());
}

#[test]
fn what_makes_no_sense_is_an_error_that_names_it() {
    let refused = |builder: DegradationBuilder, expected: &str| {
        assert_eq!(builder.build().unwrap_err().to_string(), format!("`shop`: {expected}"));
    };
    refused(Degradation::builder().name("shop"), "features is 0; allowed: at least 1");
    refused(shop().feature("prices", 0), "rank is 0; allowed: 1 to 255");
    refused(shop().feature("reviews", 1), "feature is \"reviews\"; allowed: each name once");
    refused(shop().rise(0.0, SECOND), "rise_at is 0.0; allowed: over 0, at most 1");
    refused(shop().rise(1.1, SECOND), "rise_at is 1.1; allowed: over 0, at most 1");
    refused(shop().rise(f64::NAN, SECOND), "rise_at is NaN; allowed: over 0, at most 1");
    refused(shop().fall(0.8, SECOND), "fall_at is 0.8; allowed: over 0, under `rise_at`");
    refused(shop().fall(0.0, SECOND), "fall_at is 0.0; allowed: over 0, under `rise_at`");
    refused(shop().fall(f64::NAN, SECOND), "fall_at is NaN; allowed: over 0, under `rise_at`");
    refused(shop().fall(0.5, Duration::ZERO), "fall_after is 0ns; allowed: over 0");
    refused(shop().every(MS - Duration::from_nanos(1)), "every is 999.999µs; allowed: 1 ms or more");
    let shop = shop().build().unwrap();
    assert!(shop.change(|settings| settings.fall_at = 0.9).is_err());
    assert_eq!(shop.settings(), DegradationSettings::default());
}

#[test]
fn the_defaults_are_pinned() {
    let pinned = "DegradationSettings { rise_at: 0.8, rise_after: 1s, fall_at: 0.5, fall_after: 5s, every: 100ms }";
    assert_eq!(format!("{:?}", DegradationSettings::default()), pinned);
    assert_eq!(Degradation::builder().feature("reviews", 1).build().unwrap().name().as_str(), "degradation");
}

#[tokio::test(start_paused = true)]
async fn extremes_saturate() {
    let extremes: [fn(DegradationBuilder) -> DegradationBuilder; 5] = [
        |b| b.every(Duration::MAX).rise(1.0, Duration::MAX).fall(f64::MIN_POSITIVE, Duration::MAX),
        |b| b.every(MS).rise(1.0, Duration::ZERO).fall(0.5, Duration::from_nanos(1)),
        |b| b.rise(f64::MIN_POSITIVE, Duration::ZERO).fall(f64::from_bits(1), Duration::from_nanos(1)),
        |b| b.feature("all", u8::MAX).rise(1.0, Duration::ZERO),
        |b| b.rise(1.0, Duration::MAX),
    ];
    for (number, extreme) in extremes.into_iter().enumerate() {
        let gauge = Gauge::default();
        let shop = extreme(shop().source("queue", gauge.clone())).build().unwrap();
        let _events = shop.subscribe();
        for percent in [0, 100, 0, 100] {
            gauge.set(percent);
            for wait in [Duration::ZERO, Duration::from_nanos(1), SECOND, 100_000 * 3600 * SECOND] {
                advance(wait).await;
                assert!(shop.level() <= shop.snapshot().highest, "{number}");
            }
        }
        shop.force(u8::MAX);
        shop.release();
    }
}
