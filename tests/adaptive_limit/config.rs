//! Settings that make no sense.

use std::time::Duration;

use steadfast::{
    adaptive_limit::{AdaptiveLimit, AdaptiveLimitBuilder, AdaptiveLimitSettings, Algorithm},
    bulkhead::Order,
};

use crate::support::{End, MS, builder, limit, window};

#[test]
fn the_defaults_are_these() {
    let settings = AdaptiveLimit::builder(Duration::from_secs(3)).build().unwrap().handle().settings();
    assert_eq!(settings, AdaptiveLimitSettings::new(Duration::from_secs(3)));
    assert_eq!((settings.deadline, settings.algorithm), (Duration::from_secs(3), Algorithm::Deadline));
    assert_eq!((settings.slow_after, settings.initial, settings.min, settings.max), (0.5, 50, 1, 10_000));
    assert_eq!((settings.max_waiting, settings.max_wait, settings.order), (1000, 0.6, Order::Lifo));
    assert_eq!(Algorithm::AIMD, Algorithm::Aimd { increase: 1.0, decrease: 0.9 });
}

#[test]
fn fault_17_each_setter_is_checked() {
    type Setter = fn(AdaptiveLimitBuilder) -> AdaptiveLimitBuilder;
    let aimd = |increase, decrease| Algorithm::Aimd { increase, decrease };
    let refused = |builder: AdaptiveLimitBuilder| builder.build().unwrap_err().to_string();
    let table: [(Setter, &str); 12] = [
        (|b| b.slow_after(0.0), "slow_after is 0.0; allowed: over 0, at most 1"),
        (|b| b.slow_after(f64::NAN), "slow_after is NaN; allowed: over 0, at most 1"),
        (|b| b.slow_after(1.01), "slow_after is 1.01; allowed: over 0, at most 1"),
        (|b| b.initial(0), "initial is 0; allowed: 1 to 1,000,000"),
        (|b| b.initial(1_000_001), "initial is 1000001; allowed: 1 to 1,000,000"),
        (|b| b.min(0), "min is 0; allowed: 1 to `max`"),
        (|b| b.min(10_001), "min is 10001; allowed: 1 to `max`"),
        (|b| b.max(0), "max is 0; allowed: 1 to 1,000,000"),
        (|b| b.max(u32::MAX), "max is 4294967295; allowed: 1 to 1,000,000"),
        (|b| b.max_waiting(1_000_001), "max_waiting is 1000001; allowed: at most 1,000,000"),
        (|b| b.max_wait(0.0), "max_wait is 0.0; allowed: over 0, at most 1"),
        (|b| b.max_wait(f64::INFINITY), "max_wait is inf; allowed: over 0, at most 1"),
    ];
    for (setter, expected) in table {
        let error = refused(setter(AdaptiveLimit::builder(Duration::from_secs(1)).name("inventory")));
        assert_eq!(error, format!("`inventory`: {expected}"));
    }
    for (deadline, is) in [(Duration::ZERO, "0ns"), (Duration::from_nanos(3), "3ns")] {
        let error = refused(AdaptiveLimit::builder(deadline));
        assert_eq!(error, format!("`adaptive_limit`: deadline is {is}; allowed: 4 ns or more"));
    }
    for (algorithm, field) in [
        (aimd(0.0, 0.5), "increase"),
        (aimd(f64::NAN, 0.5), "increase"),
        (aimd(1.0, 0.0), "decrease"),
        (aimd(1.0, 1.0), "decrease"),
    ] {
        assert_eq!(builder().algorithm(algorithm).build().unwrap_err().field(), field);
    }
    assert_eq!(builder().build_keyed::<u8>(0).unwrap_err().field(), "capacity");
    assert_eq!(builder().min(0).build_keyed::<u8>(1).unwrap_err().field(), "min");
}

#[tokio::test(start_paused = true)]
async fn fault_17_extremes_that_are_allowed_do_not_panic() {
    for deadline in [Duration::from_nanos(4), Duration::MAX] {
        for share in [f64::MIN_POSITIVE, 1.0] {
            for algorithm in
                [Algorithm::Deadline, Algorithm::Aimd { increase: 1_000_000.0, decrease: f64::MIN_POSITIVE }]
            {
                let mut settings = AdaptiveLimitSettings::new(deadline);
                (settings.slow_after, settings.max_wait, settings.algorithm) = (share, share, algorithm);
                (settings.initial, settings.max, settings.max_waiting) = (1_000_000, 1_000_000, 1_000_000);
                let layer = builder().settings(settings).build().unwrap();
                layer.handle().change(|settings| settings.max = 20).unwrap();
                window(&layer, (MS, End::Answer)).await;
                window(&layer, (MS, End::Overload)).await;
                assert!((1..=20).contains(&layer.handle().limit()));
            }
        }
    }
}

#[test]
fn a_change_that_makes_no_sense_changes_nothing() {
    let layer = limit();
    let error = layer.handle().change(|settings| (settings.max, settings.min) = (5, 6)).unwrap_err();
    assert_eq!((error.field(), error.component().as_str()), ("min", "inventory"));
    assert_eq!((layer.handle().limit(), layer.handle().settings().max), (50, 10_000));
}
