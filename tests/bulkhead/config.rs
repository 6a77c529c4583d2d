//! Settings that make no sense.

use std::time::Duration;

use steadfast::bulkhead::{Bulkhead, BulkheadLayer, BulkheadSettings, Order};

#[test]
fn the_defaults_are_these() {
    let settings = BulkheadSettings::default();
    assert_eq!((settings.max_concurrent, settings.max_waiting, settings.order), (25, 0, Order::Fifo));
    assert_eq!(settings.max_wait, Duration::from_secs(1));
    assert_eq!(Bulkhead::builder(25).build().unwrap().handle().settings(), settings);
    assert_eq!(BulkheadLayer::default().handle().settings(), settings);
}

#[test]
fn fault_17_each_setter_is_checked_and_nothing_that_is_allowed_panics() {
    let field = |builder: steadfast::bulkhead::BulkheadBuilder| builder.build().err().map(|error| error.field());
    assert_eq!(field(Bulkhead::builder(0)), Some("max_concurrent"));
    assert_eq!(field(Bulkhead::builder(1 << 31)), Some("max_concurrent"));
    assert_eq!(field(Bulkhead::builder(u32::MAX)), Some("max_concurrent"));
    assert_eq!(field(Bulkhead::builder(1).max_waiting(1_000_001)), Some("max_waiting"));
    assert_eq!(field(Bulkhead::builder(1).max_wait(Duration::ZERO)), Some("max_wait"));
    let all = BulkheadSettings::default();
    assert_eq!(field(Bulkhead::builder(0).settings(all)), None, "the settings are all of them");
    assert_eq!(Bulkhead::builder(1).build_keyed::<u8>(0).unwrap_err().field(), "capacity");
    assert_eq!(Bulkhead::builder(0).build_keyed::<u8>(1).unwrap_err().field(), "max_concurrent");
    let error = Bulkhead::builder(0).name("printer").build().unwrap_err();
    assert_eq!(error.to_string(), "`printer`: max_concurrent is 0; allowed: 1 to 2,147,483,647");
}

#[tokio::test(start_paused = true)]
async fn fault_17_nor_does_the_most_that_is_allowed() {
    use tower::{Layer, ServiceExt};
    let most = Bulkhead::builder((1 << 31) - 1).max_waiting(1_000_000).max_wait(Duration::MAX).build().unwrap();
    most.layer(tower::service_fn(|()| async { Ok::<_, std::convert::Infallible>(()) })).oneshot(()).await.unwrap();
    most.handle().change(|settings| settings.max_concurrent = 1).unwrap();
    let permit = most.handle().try_acquire().unwrap();
    let mut waits =
        Box::pin(most.layer(tower::service_fn(|()| async { Ok::<_, std::convert::Infallible>(()) })).oneshot(()));
    assert!(futures::poll!(waits.as_mut()).is_pending());
    most.handle().change(|settings| settings.max_concurrent = (1 << 31) - 1).unwrap();
    drop(permit);
    waits.await.unwrap();
    assert_eq!(most.handle().snapshot().running, 0);
}
