//! Calls that come, wait, and are dropped at any time, early or long after their turn: the bounds hold.

use std::time::Duration;

use proptest::prelude::*;
use steadfast::rate_limit::{Mode, RateLimit, RateLimitLayer};
use tower::{Layer, ServiceExt};

use crate::support::{EVER, Log, settle, sleep, start};

#[derive(Clone, Debug)]
enum Step {
    Calls(u32),
    /// A call without a task of its own: nobody asks again whether its turn has come.
    Held,
    DropHeld(usize),
    Abort(usize),
    Try(u32),
    Sleep(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u32..6).prop_map(Step::Calls),
        2 => Just(Step::Held),
        3 => any::<usize>().prop_map(Step::DropHeld),
        2 => any::<usize>().prop_map(Step::Abort),
        2 => (1_u32..20).prop_map(Step::Try),
        4 => (0_u64..30_000).prop_map(Step::Sleep),
    ];
    prop::collection::vec(step, 1..80)
}

const PERIOD: Duration = Duration::from_millis(100);

async fn run(layer: &RateLimitLayer, log: &Log, steps: Vec<Step>) {
    let (mut tasks, mut held) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Calls(calls) => {
                for _ in 0..calls {
                    tasks.push(start(layer, log, 1).await);
                }
            }
            Step::Held => {
                let mut call = Box::pin(layer.layer(log.clone()).oneshot(2));
                if futures::poll!(call.as_mut()).is_pending() {
                    held.push(call);
                }
            }
            Step::DropHeld(which) if !held.is_empty() => drop(held.remove(which % held.len())),
            Step::Abort(which) if !tasks.is_empty() => tasks[which % tasks.len()].abort(),
            Step::Try(times) => {
                for _ in 0..times {
                    if layer.handle().try_acquire().is_ok() {
                        log.note(3);
                    }
                }
            }
            Step::Sleep(micros) => sleep(Duration::from_micros(micros)).await,
            Step::DropHeld(_) | Step::Abort(_) => {}
        }
        settle().await;
    }
    drop(held);
    // Everybody who is left goes in the end: nobody waits for ever.
    sleep(EVER / 100).await;
    assert_eq!(layer.handle().snapshot().waiting, 0);
    assert!(tasks.iter().all(tokio::task::JoinHandle::is_finished));
}

fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(future)
}

fn limiter(limit: u32, burst: u32, mode: Mode) -> RateLimitLayer {
    RateLimit::builder(limit, PERIOD).burst(burst).max_wait(EVER).mode(mode).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn at_most_limit_and_burst_in_any_period(limit in 1_u32..12, burst in 1_u32..6, steps in steps()) {
        in_paused_time(async {
            let (layer, log) = (limiter(limit, burst, Mode::Smooth), Log::new());
            run(&layer, &log, steps).await;
            log.is_within((limit + burst) as usize, PERIOD);
        });
    }

    #[test]
    fn at_most_the_limit_in_each_of_the_fixed_periods(limit in 1_u32..12, steps in steps()) {
        in_paused_time(async {
            let (layer, log) = (limiter(limit, 1, Mode::Cycles), Log::new());
            run(&layer, &log, steps).await;
            let mut in_each = std::collections::BTreeMap::new();
            log.millis().into_iter().for_each(|at| *in_each.entry(at / PERIOD.as_millis()).or_insert(0) += 1);
            assert!(in_each.values().all(|calls| *calls <= limit), "{limit} per period: {in_each:?}");
        });
    }

    #[test]
    fn a_caller_that_is_refused_and_comes_when_it_was_told_is_let_through(
        limit in 1_u32..2000,
        burst in 1_u32..20,
        gaps in prop::collection::vec(0_u64..3_000, 1..60),
    ) {
        in_paused_time(async {
            let layer = limiter(limit, burst, Mode::Smooth);
            for gap in gaps {
                crate::support::advance(Duration::from_micros(gap)).await;
                if let Err(rejected) = layer.handle().try_acquire() {
                    let wait = rejected.retry_after().unwrap();
                    assert!(wait > std::time::Duration::ZERO && wait <= PERIOD);
                    crate::support::advance(wait).await;
                    layer.handle().try_acquire().unwrap();
                }
            }
        });
    }
}
