//! One limiter for each key.

use super::*;

fn limits(capacity: usize) -> SharedRateLimits<u32, Open> {
    RateLimit::builder(100, SECOND).name("tenants").store(Open, 2).build_keyed(capacity).unwrap()
}

#[test]
fn those_in_use_are_kept_and_of_the_others_no_more_than_the_capacity() {
    let limits = limits(2);
    let held: Vec<_> = (0..10).map(|key| limits.for_key(&key).handle()).collect();
    assert!(limits.len() >= 10);
    for (key, handle) in (0..10).zip(&held) {
        assert!(Arc::ptr_eq(&limits.for_key(&key).state, &handle.state), "key {key} has a second limiter");
        assert_eq!(handle.name().as_str(), format!("tenants/{key}"));
    }
    drop(held);
    for key in 10..50 {
        limits.for_key(&key);
    }
    assert!((1..=2).contains(&limits.len()), "{}", limits.len());
    assert!(!limits.is_empty());
}

#[test]
fn a_change_is_for_all_keys_and_those_to_come() {
    let limits = limits(10);
    let (alone, other) = (limits.for_key(&1).handle(), limits.for_key(&2).handle());
    alone.change(|settings| settings.rate.burst = 50).unwrap();
    limits.change(|settings| settings.rate.limit = 200).unwrap();
    let of = |handle: &SharedRateLimitHandle<Open>| (handle.settings().rate.limit, handle.settings().rate.burst);
    assert_eq!((of(&alone), of(&other), of(&limits.for_key(&3).handle())), ((200, 50), (200, 10), (200, 10)));
    assert_eq!(other.state.local.core.settings(), other.settings().share());
    assert_eq!(limits.change(|settings| settings.processes = 0).unwrap_err().field(), "processes");
    assert_eq!((limits.settings().processes, limits.settings().rate.limit), (2, 200));
}

#[test]
fn nonsense_is_refused() {
    let builder = || RateLimit::builder(100, SECOND).name("tenants").store(Open, 1);
    assert_eq!(builder().build_keyed::<u32>(0).unwrap_err().field(), "capacity");
    assert_eq!(builder().store_timeout(Duration::ZERO).build_keyed::<u32>(1).unwrap_err().field(), "store_timeout");
    let unnamed = RateLimit::builder(100, SECOND).store(Open, 1).build_keyed::<u32>(1).unwrap_err();
    assert_eq!(unnamed.field(), "name");
}
