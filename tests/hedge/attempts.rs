//! Two attempts at a time: which answer counts, and what becomes of the other.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use steadfast::{
    Error, context,
    hedge::Hedge,
    retry::{CloneRequest, Retry, RetryEvent, only_unsent_unless},
    telemetry::Received,
};
use tower::{Layer, Service, ServiceExt};

use crate::support::{End::*, MS, NEVER, Scripted, judge, retry, timed, won};

#[tokio::test(start_paused = true)]
async fn a_slow_call_has_a_backup_after_the_delay_and_the_first_success_wins() {
    let service = Scripted::new(&[(900, Ok), (20, Ok)]);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    let mut events = layer.handle().subscribe();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(2), 70));
    let seen = service.seen();
    assert_eq!(service.came(), [0, 50]);
    assert_eq!(seen[0].gone, Some(70 * MS), "the loser is dropped at once");
    assert_eq!((seen[0].attempt, seen[0].repeated, seen[1].attempt, seen[1].repeated), (1, false, 2, true));
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).collect();
    let expected = [RetryEvent::Hedging { attempt: 2 }, RetryEvent::BackupWon { attempt: 2 }];
    assert_eq!(told, expected.map(Received::Event));
    let snapshot = layer.handle().hedge().unwrap().snapshot();
    assert_eq!((snapshot.hedges, snapshot.hedges_won, snapshot.soft_timeouts), (1, 1, 0));
    assert_eq!(snapshot.delay, Some(50 * MS));
    assert_eq!((layer.handle().retries(), layer.handle().gave_up()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_first_attempt_wins_if_it_is_the_first_to_succeed() {
    let service = Scripted::new(&[(60, Ok), (20, Ok)]);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(1), 60));
    assert_eq!(service.seen()[1].gone, Some(60 * MS));
    let snapshot = layer.handle().hedge().unwrap().snapshot();
    assert_eq!((snapshot.hedges, snapshot.hedges_won), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_quick_call_has_none() {
    let service = Scripted::new(&[(49, Ok)]);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(1), 49));
    assert_eq!(service.came(), [0]);
}

#[tokio::test(start_paused = true)]
async fn losers_are_dropped_although_the_response_future_is_kept() {
    let service = Scripted::new(&[(900, Ok), (20, Ok)]);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    let mut hedged = layer.layer(service.clone());
    let mut call = Box::pin(ServiceExt::<()>::ready(&mut hedged).await.unwrap().call(()));
    call.as_mut().await.unwrap();
    assert_eq!(service.under_way(), 0);
    drop(call);
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_the_other_is_out_waits_for_it_and_is_tried_again_meanwhile_if_the_policy_says_so() {
    // The first fails at 80 ms, with the hedge out since 50 ms: its retry comes after the usual wait.
    let service = Scripted::new(&[(80, Fails), (NEVER.as_millis() as u64, Ok), (10, Ok)]);
    let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(3), 190));
    assert_eq!(service.came(), [0, 50, 180]);

    // Out of attempts, it waits for the hedge.
    let service = Scripted::new(&[(80, Fails), (100, Ok)]);
    let layer = retry().max_attempts(2).hedge(Hedge::after(50 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(2), 150));
    assert_eq!(layer.handle().gave_up(), 0);
}

#[tokio::test(start_paused = true)]
async fn when_all_fail_the_last_outcome_is_returned_untouched() {
    let service = Scripted::new(&[(80, Fails), (100, Fails)]);
    let layer = retry().max_attempts(2).hedge(Hedge::after(50 * MS)).build().unwrap();
    let (outcome, took) = timed(layer.layer(service.clone()).oneshot(())).await;
    assert_eq!((outcome, took), (Err(Error::Inner((Fails, 2))), 150));
    assert_eq!(layer.handle().gave_up(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_another_try_would_not_change_ends_the_call() {
    for end in [Neutral, Permanent] {
        for script in [[(80, end), (900, Ok)], [(900, Ok), (30, end)]] {
            let service = Scripted::new(&script);
            let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
            let (outcome, took) = timed(layer.layer(service.clone()).oneshot(())).await;
            assert_eq!((outcome.unwrap().0, took), (end, 80), "{script:?}");
            assert_eq!(service.under_way(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_is_refused_is_let_go_and_its_token_comes_back() {
    let service = Scripted::new(&[(200, Ok), (0, Refused)]);
    let layer = retry().hedge(Hedge::after(50 * MS).budget(0.0, 3)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(1), 200));
    assert_eq!(service.came(), [0, 50]);
    assert_eq!(layer.handle().hedge().unwrap().snapshot().tokens, 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_end_does_not_hide_that_the_first_attempt_was_seen() {
    let service = Scripted::new(&[(80, Fails), (100, Refused)]);
    let layer = retry().max_attempts(2).hedge(Hedge::after(50 * MS)).build().unwrap();
    let outcome = layer.layer(service.clone()).oneshot(()).await;
    let Err(Error::Rejected(rejected)) = outcome else { panic!("{outcome:?}") };
    assert!(rejected.reached_service());
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_sent_twice_is_not_hedged() {
    let service = Scripted::new(&[(900, Ok), (20, Ok)]);
    let hedge = Hedge::after(50 * MS).soft_timeout(100 * MS);
    let get = |method: &&str| *method == "GET";
    let layer = retry().replay(only_unsent_unless(CloneRequest, get)).hedge(hedge).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot("POST")).await, (won(1), 900));
    let layer = retry().replay(|_: &&str| None).hedge(hedge).build().unwrap();
    service.becomes(&[(900, Ok), (20, Ok)]);
    assert_eq!(timed(layer.layer(service.clone()).oneshot("POST")).await, (won(1), 900));
    assert_eq!(service.came().len(), 1);
    let layer = retry().replay(only_unsent_unless(CloneRequest, get)).hedge(hedge).build().unwrap();
    service.becomes(&[(900, Ok), (20, Ok)]);
    assert_eq!(timed(layer.layer(service.clone()).oneshot("GET")).await, (won(2), 70));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_either_attempt_passes_through_and_drops_the_other() {
    for script in [[(80, Panics), (900, Ok)], [(900, Ok), (30, Panics)]] {
        let service = Scripted::new(&script);
        let layer = retry().hedge(Hedge::after(50 * MS)).build().unwrap();
        let call = AssertUnwindSafe(layer.layer(service.clone()).oneshot(()));
        call.catch_unwind().await.unwrap_err();
        assert_eq!((service.under_way(), context::attempt()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_drops_both_attempts_and_gives_back_the_token_of_what_was_not_sent() {
    let service = Scripted::new(&[(900, Ok)]).unready(500 * MS);
    let layer = retry().hedge(Hedge::after(50 * MS).budget(0.0, 3)).build().unwrap();
    let tokens = || layer.handle().hedge().unwrap().snapshot().tokens;
    let call = layer.layer(service.clone()).oneshot(());
    tokio::time::timeout(100 * MS, call).await.unwrap_err();
    assert_eq!((service.came().len(), tokens()), (1, 3.0), "the service was not ready for it");
    let call = layer.layer(service.clone()).oneshot(());
    tokio::time::timeout(700 * MS, call).await.unwrap_err();
    assert_eq!((service.under_way(), tokens()), (0, 2.0), "sent");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_once_over_a_hedge_and_a_retry_below_it() {
    for allowed in 2..6 {
        let service = Scripted::new(&[(60, Fails)]);
        let below = retry().max_attempts(10).budget(None).build().unwrap();
        let layer = retry().max_attempts(allowed).budget(None).hedge(Hedge::after(50 * MS)).build().unwrap();
        layer.layer(below.layer(service.clone())).oneshot(()).await.unwrap_err();
        assert_eq!(service.came().len(), allowed as usize, "{:?}", service.seen());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_alone_sends_one_backup_at_once_after_a_failure_and_none_after_that() {
    let layer = Hedge::after(50 * MS).alone().classify(judge as crate::support::Judge).build().unwrap();
    assert_eq!(layer.handle().name().as_str(), "hedge");
    let service = Scripted::new(&[(10, Fails), (10, Fails), (10, Ok)]);
    let (outcome, took) = timed(layer.layer(service.clone()).oneshot(())).await;
    assert_eq!((outcome, took), (Err(Error::Inner((Fails, 2))), 20));
    assert_eq!(service.came(), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_without_a_hedge_has_nothing_of_it() {
    assert!(Retry::builder().build().unwrap().handle().hedge().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_failure_whose_back_off_never_ends_waits_for_the_other_attempt() {
    let service = Scripted::new(&[(80, Fails), (100, Ok)]);
    let never = steadfast::backoff::Backoff::fixed(std::time::Duration::MAX);
    let layer = retry().backoff(never).hedge(Hedge::after(50 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service).oneshot(())).await, (won(2), 150));
    assert_eq!((layer.handle().retries(), layer.handle().budget().unwrap().tokens()), (0, 50.0));
}
