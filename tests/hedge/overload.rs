//! No backups while the service says that it is overloaded.

use std::time::Duration;

use steadfast::{hedge::Hedge, retry::RetryEvent, telemetry::Received};
use tower::{Layer, ServiceExt};

use crate::support::{End::*, MS, Scripted, retry, timed, won};

#[tokio::test(start_paused = true)]
async fn an_overloaded_service_or_a_layer_below_that_refuses_puts_all_backups_of_the_layer_on_hold() {
    for says in [Overloaded, Refused] {
        let hedge = Hedge::after(50 * MS).soft_timeout(100 * MS);
        let layer = retry().max_attempts(2).hedge(hedge).build().unwrap();
        let handle = layer.handle().hedge().unwrap();
        let slow = || Scripted::new(&[(300, Ok), (20, Ok)]);
        assert_eq!(timed(layer.layer(slow()).oneshot(())).await, (won(2), 70));

        let mut events = layer.handle().subscribe();
        let refused = retry().max_attempts(1).build().unwrap();
        let _ = refused.layer(layer.layer(Scripted::new(&[(0, says)]))).oneshot(()).await;
        assert!(handle.snapshot().on_hold, "{says:?}");
        let held = std::iter::from_fn(|| events.try_recv())
            .filter(|told| *told == Received::Event(RetryEvent::BackupsHeld))
            .count();
        assert_eq!(held, 1);
        assert_eq!(timed(layer.layer(slow()).oneshot(())).await, (won(1), 300));
        assert_eq!(handle.snapshot().held, 2, "one of each kind");

        // A second after the last time that it was said.
        tokio::time::advance(1000 * MS).await;
        assert!(!handle.snapshot().on_hold);
        assert_eq!(timed(layer.layer(slow()).oneshot(())).await, (won(2), 70));
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_on_hold_waits_for_its_back_off() {
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    let service = Scripted::new(&[(5, Overloaded), (5, Fails), (5, Ok)]);
    let (outcome, took) = timed(layer.layer(service).oneshot(())).await;
    assert_eq!((outcome, took), (won(3), 215));
    let service = Scripted::new(&[(5, Fails), (5, Ok)]);
    assert_eq!(timed(layer.layer(service).oneshot(())).await, (won(2), 110));
}

#[tokio::test(start_paused = true)]
async fn without_a_hold_they_go_on() {
    let layer = retry().max_attempts(1).hedge(Hedge::after(50 * MS).overload_hold(Duration::ZERO)).build().unwrap();
    layer.layer(Scripted::new(&[(0, Overloaded)])).oneshot(()).await.unwrap_err();
    assert!(!layer.handle().hedge().unwrap().snapshot().on_hold);
}
