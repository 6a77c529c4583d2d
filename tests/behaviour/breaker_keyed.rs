//! One breaker for each key, in bounded memory.

use steadfast::circuit_breaker::{CircuitBreaker, CircuitBreakers, State};
use tower::{Layer, ServiceExt};

use crate::support::{Mode, Upstream, call_times};

fn breakers(capacity: usize) -> CircuitBreakers<u32> {
    CircuitBreaker::builder().name("tenant").consecutive_failures(1).build_keyed(capacity).unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_key_has_a_breaker_of_its_own_which_is_the_same_each_time() {
    let breakers = breakers(10);
    call_times(&breakers.for_key(&1).layer(Upstream::new(Mode::Fail)), 1).await;
    assert_eq!(breakers.for_key(&1).handle().state(), State::Open);
    assert_eq!(breakers.for_key(&2).handle().state(), State::Closed);
    let error = breakers.for_key(&1).layer(Upstream::new(Mode::Succeed)).oneshot(()).await.unwrap_err();
    assert_eq!(error.rejected().unwrap().name().as_str(), "tenant/1");
}

#[test]
fn idle_breakers_are_forgotten_beyond_the_capacity() {
    let breakers = breakers(8);
    for key in 0..1_000 {
        breakers.for_key(&key).handle().open();
    }
    assert!(breakers.len() <= 8, "{}", breakers.len());
    let remembered = (0..1_000).filter(|key| breakers.for_key(key).handle().state() == State::Open).count();
    assert!(remembered <= 8, "{remembered}");
}

#[test]
fn a_change_of_all_keys_reaches_those_there_and_those_to_come() {
    let breakers = breakers(4);
    let (present, special) = (breakers.for_key(&1).handle(), breakers.for_key(&2).handle());
    special.change(|settings| settings.failure_rate = 0.9).unwrap();
    breakers.change(|settings| settings.minimum_calls = 7).unwrap();
    assert_eq!([1, 2, 3].map(|key| breakers.for_key(&key).handle().settings().minimum_calls), [7; 3]);
    assert_eq!((present.settings().failure_rate, special.settings().failure_rate), (0.5, 0.9));
    assert_eq!(breakers.change(|settings| settings.failure_rate = 2.0).unwrap_err().field(), "failure_rate");
    assert_eq!(breakers.settings().failure_rate, 0.5);
}

#[test]
fn a_breaker_that_somebody_holds_is_never_forgotten() {
    let breakers = breakers(4);
    let held: Vec<_> = (0..10).map(|key| breakers.for_key(&key).handle()).collect();
    held.iter().for_each(|handle| handle.open());
    for key in 10..1_000 {
        let _ = breakers.for_key(&key);
    }
    for key in 0..10 {
        assert_eq!(breakers.for_key(&key).handle().state(), State::Open, "key {key} got a second breaker");
    }
    drop(held);
    for key in 1_000..2_000 {
        let _ = breakers.for_key(&key);
    }
    assert!(breakers.len() <= 10, "{} are held though nobody uses them", breakers.len());
}
