//! The soft timeout of an attempt: it is not cancelled, another one is sent.

use std::{sync::Arc, time::Duration};

use steadfast::{
    hedge::Hedge,
    retry::{Budget, BudgetMode, RetryEvent},
    telemetry::Received,
};
use tower::{Layer, ServiceExt};

use crate::support::{End::*, MS, NEVER, Scripted, retry, timed, won};

const HANGS: u64 = NEVER.as_millis() as u64;

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_over_its_soft_timeout_goes_on_and_another_one_is_sent() {
    for (script, winner, took) in [([(400, Ok), (HANGS, Ok)], 1, 400), ([(HANGS, Ok), (400, Ok)], 2, 650)] {
        let service = Scripted::new(&script);
        let layer = retry().max_attempts(2).soft_timeout(250 * MS).build().unwrap();
        let mut events = layer.handle().subscribe();
        assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(winner), took));
        assert_eq!(service.came(), [0, 250]);
        assert_eq!(events.try_recv(), Some(Received::Event(RetryEvent::SoftTimeout { attempt: 2 })));
        let snapshot = layer.handle().hedge().unwrap().snapshot();
        assert_eq!((snapshot.soft_timeouts, snapshot.hedges, snapshot.tokens), (1, 0, 3.0));
        assert_eq!(snapshot.soft_timeouts_won, u64::from(winner - 1));
        assert_eq!(layer.handle().budget().unwrap().tokens(), 49.0);
    }
}

#[tokio::test(start_paused = true)]
async fn when_both_are_over_it_the_older_makes_room_for_a_third() {
    let service = Scripted::new(&[(HANGS, Ok), (HANGS, Ok), (20, Ok)]);
    let layer = retry().soft_timeout(250 * MS).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(3), 520));
    let gone: Vec<_> = service.seen().iter().map(|seen| seen.gone.unwrap().as_millis()).collect();
    assert_eq!((service.came(), gone), (vec![0, 250, 500], vec![500, 520, 520]));
}

#[tokio::test(start_paused = true)]
async fn it_comes_out_of_the_retry_budget_and_a_token_comes_back_only_if_the_backup_succeeds() {
    let run = |mode, script: [(u64, _); 2]| async move {
        let budget = Arc::new(Budget::new(mode, 5).unwrap());
        let layer = retry().budget(budget.clone()).max_attempts(2).soft_timeout(250 * MS).build().unwrap();
        for _ in 0..10 {
            layer.layer(Scripted::new(&script)).oneshot(()).await.unwrap();
        }
        (layer.handle().hedge().unwrap().snapshot().soft_timeouts, budget.tokens())
    };
    let (first_wins, backup_wins) = ([(400, Ok), (HANGS, Ok)], [(900, Ok), (20, Ok)]);
    assert_eq!(run(BudgetMode::Ratio(0.0), backup_wins).await, (5, 0.0));
    assert_eq!(run(BudgetMode::Refund(0.0), backup_wins).await, (10, 5.0));
    assert_eq!(run(BudgetMode::Refund(0.0), first_wins).await, (5, 0.0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_has_a_soft_timeout_too() {
    let service = Scripted::new(&[(10, Fails), (HANGS, Ok), (20, Ok)]);
    let layer = retry().soft_timeout(250 * MS).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(3), 10 + 100 + 250 + 20));
}

#[tokio::test(start_paused = true)]
async fn hedge_and_soft_timeout_go_together_whichever_is_said_first() {
    for swap in [false, true] {
        let (hedge, soft) = (Hedge::after(50 * MS), 250 * MS);
        let layer =
            if swap { retry().soft_timeout(soft).hedge(hedge) } else { retry().hedge(hedge).soft_timeout(soft) };
        let layer = layer.build().unwrap();
        let service = Scripted::new(&[(HANGS, Ok), (HANGS, Ok), (20, Ok)]);
        assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(3), 320));
        assert_eq!(service.came(), [0, 50, 300], "the hedge is over it at 300 ms");
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_left_alone_and_over_it_already_has_its_backup_at_once() {
    // The hedge has used the second lane up to 300 ms; then the first attempt's soft timeout, of 250 ms, has its say.
    let service = Scripted::new(&[(HANGS, Ok), (250, Refused), (20, Ok)]);
    let hedge = Hedge::after(50 * MS).overload_hold(Duration::ZERO).soft_timeout(260 * MS);
    let layer = retry().hedge(hedge).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(3), 320));
}
