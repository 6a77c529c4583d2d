//! What bounds hedges: their own bucket, the number of attempts, the deadline.

use std::{future::Future, time::Duration};

use proptest::prelude::*;
use steadfast::{hedge::Hedge, timeout::Timeout};
use tower::{Layer, ServiceExt};

use crate::support::{End, End::*, MS, Scripted, retry, timed, won};

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn hedges_are_at_most_the_burst_and_the_share_of_calls_over_any_history(
        calls in prop::collection::vec((0..200_u64, any::<bool>(), 0..200_u64, 0..50_u64), 1..150),
        share in 0.0..0.5_f64, burst in 1..5_u32, soft: bool,
    ) {
        let sent = paused(async {
            let hedge = Hedge::after(50 * MS).budget(share, burst);
            let hedge = if soft { hedge.soft_timeout(120 * MS) } else { hedge };
            let layer = retry().hedge(hedge).build().unwrap();
            let mut tasks = Vec::new();
            for (takes, fails, second, pause) in &calls {
                let service = Scripted::new(&[(*takes, if *fails { Fails } else { Ok }), (*second, Ok)]);
                tasks.push(tokio::spawn(layer.layer(service).oneshot(())));
                tokio::time::advance(Duration::from_millis(*pause)).await;
            }
            for task in tasks {
                let _ = task.await.unwrap();
            }
            layer.handle().hedge().unwrap().snapshot().hedges
        });
        prop_assert!(sent as f64 <= f64::from(burst) + share * calls.len() as f64 + 1e-9, "{} hedges", sent);
    }

    #[test]
    fn a_call_has_no_more_attempts_than_it_may_and_two_at_a_time(
        script in prop::collection::vec((0..300_u64, 0..4_usize), 1..8), max_attempts in 1..6_u32, delay in 0..200_u64, soft in 1..200_u64, unready in 0..150_u64,
    ) {
        const ENDS: [End; 4] = [Ok, Fails, Overloaded, Refused];
        let script: Vec<_> = script.into_iter().map(|(takes, end)| (takes, ENDS[end])).collect();
        let (seen, outcome) = paused(async {
            let service = Scripted::new(&script).unready(Duration::from_millis(unready));
            let hedge = Hedge::after(Duration::from_millis(delay)).soft_timeout(Duration::from_millis(soft));
            let layer = retry().max_attempts(max_attempts).hedge(hedge.overload_hold(Duration::ZERO)).build().unwrap();
            let outcome = layer.layer(service.clone()).oneshot(()).await;
            (service.seen(), outcome)
        });
        prop_assert!((1..=max_attempts as usize).contains(&seen.len()));
        prop_assert_eq!(seen[0].attempt, 1);
        for one in &seen {
            let together = seen.iter().filter(|other| other.at <= one.at && other.gone.unwrap() > one.at).count();
            prop_assert!(together <= 2, "{seen:?}");
        }
        // A success that was seen is the answer.
        let success = (0..seen.len()).any(|index| {
            let (takes, end) = script[index.min(script.len() - 1)];
            end == Ok && seen[index].gone.unwrap() >= seen[index].at + Duration::from_millis(takes)
        });
        prop_assert_eq!(outcome.is_ok(), success, "{:?}", seen);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_token_there_is_no_hedge() {
    let layer = retry().hedge(Hedge::after(50 * MS).budget(0.1, 1)).build().unwrap();
    let mut took = Vec::new();
    for _ in 0..21 {
        let service = Scripted::new(&[(100, Ok), (20, Ok)]);
        took.push(timed(layer.layer(service).oneshot(())).await.1);
    }
    let hedged: Vec<_> = (0..21).filter(|call| took[*call] == 70).collect();
    assert_eq!(hedged, [0, 10, 20], "a full bucket, and one token of ten calls");
    let snapshot = layer.handle().hedge().unwrap().snapshot();
    assert_eq!((snapshot.hedges, snapshot.without_token), (3, 18));
}

#[tokio::test(start_paused = true)]
async fn there_is_none_for_which_the_deadline_leaves_no_time() {
    let layer = retry().hedge(Hedge::after(50 * MS).soft_timeout(70 * MS)).build().unwrap();
    for (limit, attempts) in [(50, 1), (51, 2), (120, 2), (121, 3)] {
        let service = Scripted::new(&[(900, Ok)]);
        let deadline = Timeout::builder(Duration::from_millis(limit)).build().unwrap();
        deadline.layer(layer.layer(service.clone())).oneshot(()).await.unwrap_err();
        assert_eq!(service.came().len(), attempts, "within {limit} ms");
    }
    // By percentile it is known how long the backup would take: 20 ms here, after three times as much.
    let layer = retry().hedge(Hedge::percentile(0.95)).build().unwrap();
    for _ in 0..100 {
        layer.layer(Scripted::new(&[(20, Ok)])).oneshot(()).await.unwrap();
    }
    for (limit, attempts) in [(75, 1), (90, 2)] {
        let service = Scripted::new(&[(900, Ok)]);
        let deadline = Timeout::builder(Duration::from_millis(limit)).build().unwrap();
        deadline.layer(layer.layer(service.clone())).oneshot(()).await.unwrap_err();
        assert_eq!(service.came().len(), attempts, "within {limit} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_attempt_has_none() {
    let service = Scripted::new(&[(900, Ok)]);
    let layer = retry().max_attempts(1).hedge(Hedge::after(50 * MS).soft_timeout(70 * MS)).build().unwrap();
    assert_eq!(timed(layer.layer(service.clone()).oneshot(())).await, (won(1), 900));
    assert_eq!(service.came(), [0]);
}
