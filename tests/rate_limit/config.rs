//! Settings that make no sense.

use std::time::Duration;

use steadfast::rate_limit::{Mode, RateLimit, RateLimitBuilder, RateLimitSettings};
use tower::{Layer, ServiceExt};

use crate::support::{Log, SECOND, retry_after};

#[test]
fn the_defaults_are_these() {
    let settings = RateLimit::builder(100, SECOND).build().unwrap().handle().settings();
    assert_eq!(settings, RateLimitSettings::new(100, SECOND));
    assert_eq!((settings.limit, settings.period, settings.burst), (100, SECOND, 10));
    assert_eq!((settings.max_wait, settings.max_waiting, settings.mode), (Duration::ZERO, 1024, Mode::Smooth));
    assert_eq!(RateLimitSettings::new(9, SECOND).burst, 1);
}

#[test]
fn fault_17_each_setter_is_checked() {
    let field = |builder: RateLimitBuilder| builder.build().err().map(|error| error.field());
    let some = || RateLimit::builder(1, SECOND);
    assert_eq!(field(some()), None);
    assert_eq!(field(RateLimit::builder(0, SECOND)), Some("limit"));
    assert_eq!(field(RateLimit::builder(1, Duration::ZERO)), Some("period"));
    assert_eq!(field(RateLimit::builder(1, Duration::from_nanos(999))), Some("period"));
    assert_eq!(field(RateLimit::builder(1, Duration::from_nanos(86_400_000_000_001))), Some("period"));
    assert_eq!(field(RateLimit::builder(1, Duration::MAX)), Some("period"));
    assert_eq!(field(some().burst(0)), Some("burst"));
    assert_eq!(field(some().burst(1_000_000_001)), Some("burst"));
    assert_eq!(field(some().max_waiting(1_000_001)), Some("max_waiting"));
    assert_eq!(field(RateLimit::builder(0, SECOND).settings(RateLimitSettings::new(1, SECOND))), None);
    assert_eq!(some().build_keyed::<u8>(0).unwrap_err().field(), "capacity");
    assert_eq!(some().burst(0).build_keyed::<u8>(1).unwrap_err().field(), "burst");
    let error = RateLimit::builder(0, SECOND).name("api").build().unwrap_err();
    assert_eq!(error.to_string(), "`api`: limit is 0; allowed: at least 1");
}

#[tokio::test(start_paused = true)]
async fn fault_17_the_most_and_the_least_that_is_allowed_do_not_panic() {
    const DAY: Duration = Duration::from_secs(86_400);
    for mode in [Mode::Smooth, Mode::Cycles] {
        for (limit, period, burst) in [
            (u32::MAX, Duration::from_micros(1), 1_000_000_000),
            (u32::MAX, DAY, 1_000_000_000),
            (1, DAY, 1_000_000_000),
            (1, DAY, 1),
            (1, Duration::from_micros(1), 1),
        ] {
            let builder = RateLimit::builder(limit, period).burst(burst).mode(mode).max_waiting(1_000_000);
            let layer = builder.max_wait(Duration::MAX).build().unwrap();
            layer.layer(Log::new()).oneshot(1).await.unwrap();
            layer.handle().snapshot();
            layer.handle().change(|settings| (settings.limit, settings.period) = (1, DAY)).unwrap();
            layer.handle().change(|settings| settings.burst = 1).unwrap();
            if mode == Mode::Cycles {
                // What there was of this period stays.
                continue;
            }
            while layer.handle().try_acquire().is_ok() {}
            assert!(retry_after(layer.handle().try_acquire()) <= DAY);
            let mut waits = Box::pin(layer.layer(Log::new()).oneshot(2));
            assert!(futures::poll!(waits.as_mut()).is_pending());
        }
    }
}
