//! What the ends of calls do to the limit.

use std::time::Duration;

use steadfast::{
    RejectedKind,
    adaptive_limit::{AdaptiveLimitEvent, AdaptiveLimitSettings, Algorithm, Cause},
    telemetry::Received,
    timeout::Timeout,
};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{
    DEADLINE, End, MS, WINDOW, Work, all, builder, is_idle, limit, look, pass, settle, start, window,
};

const SLOW: Duration = Duration::from_millis(501);
const FAST: Duration = Duration::from_millis(500);

#[tokio::test(start_paused = true)]
async fn slow_answers_lower_it_and_answers_in_good_time_do_not() {
    let layer = limit();
    assert_eq!(window(&layer, (FAST, End::Answer)).await, 100);
    let cut = window(&layer, (SLOW, End::Answer)).await;
    assert!((30..=80).contains(&cut), "{cut}");
    assert!(layer.handle().snapshot().lowered == 1 && layer.handle().snapshot().raised == 1);
}

#[tokio::test(start_paused = true)]
async fn calls_that_say_too_much_lower_it_however_fast() {
    let layer = limit();
    assert!(window(&layer, (MS, End::Overload)).await < 50);
    assert!(layer.handle().is_cutting());
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_dropped_late_lower_it_and_those_dropped_early_say_nothing() {
    for (after, lowers) in [(SLOW, true), (FAST, false)] {
        let (layer, work) = (limit(), Work::default());
        let calls: Vec<_> = (0..40).map(|_| start(&layer, &work, (100 * SLOW, End::Answer))).collect();
        settle().await;
        pass(after).await;
        calls.iter().for_each(tokio::task::JoinHandle::abort);
        settle().await;
        // One that was answered, so it is no outage.
        all(&layer, 1, (SLOW, End::Answer)).await;
        let limit = look(&layer).await;
        assert_eq!(limit < 50, lowers, "dropped after {after:?}: {limit}");
        assert!(is_idle(&layer.handle()));
    }
}

#[tokio::test(start_paused = true)]
async fn failures_that_come_late_lower_it() {
    for (takes, lowers) in [(SLOW, true), (FAST, false)] {
        let layer = limit();
        all(&layer, 1, (takes, End::Answer)).await;
        all(&layer, 40, (takes, End::Failure)).await;
        let limit = look(&layer).await;
        assert_eq!(limit < 50, lowers, "failed after {takes:?}: {limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_lowers_it_however_short_above_it_and_below() {
    let above = limit();
    let stack = ServiceBuilder::new().layer(Timeout::builder(100 * MS).build().unwrap()).layer(above.clone());
    let (below, short) = (limit(), Timeout::builder(100 * MS).build().unwrap());
    let (hangs, work) = ((100 * SLOW, End::Answer), Work::default());
    all(&above, 1, (MS, End::Answer)).await;
    all(&below, 1, (MS, End::Answer)).await;
    let calls: Vec<_> = (0..40).map(|_| tokio::spawn(stack.service(work.clone()).oneshot(hangs))).collect();
    let others: Vec<_> = (0..40).map(|_| tokio::spawn(below.layer(short.layer(work.clone())).oneshot(hangs))).collect();
    for outcome in futures::future::join_all(calls.into_iter().chain(others)).await {
        assert_eq!(outcome.unwrap().unwrap_err().rejected().unwrap().kind(), RejectedKind::TimedOut);
    }
    let limits = [look(&above).await, look(&below).await];
    assert!(limits.iter().all(|limit| *limit < 50), "{limits:?}");
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_about_the_service_says_nothing_about_the_load_however_slow() {
    fn neutral(_: Result<&(), &steadfast::Error<crate::support::Fault>>) -> steadfast::Verdict {
        steadfast::Verdict::Neutral
    }
    let layer = builder().classify(neutral as _).build().unwrap();
    for takes in [SLOW, MS] {
        for _ in 0..3 {
            assert_eq!(window(&layer, (takes, End::Answer)).await, 50);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_503s_it_comes_back_under_a_load_that_it_cannot_serve_at_first() {
    for takes in [10 * MS, 300 * MS] {
        let (layer, work) = (limit(), Work::default());
        for _ in 0..100 {
            all(&layer, 20, (2 * MS, End::Overload)).await;
            pass(48 * MS).await;
        }
        assert!(layer.handle().limit() <= 2, "{}", layer.handle().limit());
        // 100 a second, for a minute.
        for _ in 0..600 {
            for _ in 0..10 {
                start(&layer, &work, (takes, End::Answer));
            }
            pass(100 * MS).await;
        }
        let refused = layer.handle().snapshot().refused_waited;
        for _ in 0..50 {
            start(&layer, &work, (takes, End::Answer));
            pass(10 * MS).await;
        }
        let snapshot = layer.handle().snapshot();
        assert_eq!((snapshot.refused_waited, snapshot.cutting), (refused, false), "{takes:?}: {snapshot:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_slow_by_itself_is_called_as_often_as_before_most_of_the_time() {
    let (layer, work) = (limit(), Work::default());
    // 40 a second, each 600 ms of a second: 24 in progress.
    let mut lower = 0;
    for _ in 0..2400 {
        start(&layer, &work, (600 * MS, End::Answer));
        pass(25 * MS).await;
        lower += u32::from(layer.handle().limit() < 24);
    }
    assert!(lower < 400, "{lower} of 2,400 times the limit was lower than what it takes");
    assert!(work.began() > 2000, "{} of 2,400 calls", work.began());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_changed_is_judged_by_at_once() {
    let layer = builder().settings(AdaptiveLimitSettings::new(Duration::MAX)).build().unwrap();
    layer.handle().change(|settings| settings.deadline = DEADLINE).unwrap();
    assert!(window(&layer, (SLOW, End::Answer)).await < 50);
}

#[tokio::test(start_paused = true)]
async fn a_window_is_a_quarter_of_the_deadline() {
    let layer = limit();
    all(&layer, 50, (WINDOW - 3 * MS, End::Overload)).await;
    all(&layer, 1, (MS, End::Overload)).await;
    assert_eq!(layer.handle().limit(), 50);
    all(&layer, 1, (2 * MS, End::Overload)).await;
    assert!(layer.handle().limit() < 50);
}

#[tokio::test(start_paused = true)]
async fn panics_that_come_late_lower_it_and_their_places_are_free_again() {
    let layer = limit();
    all(&layer, 1, (SLOW, End::Answer)).await;
    all(&layer, 40, (SLOW, End::Panic)).await;
    let limit = look(&layer).await;
    assert!(limit < 50, "{limit}");
    assert!(is_idle(&layer.handle()));
}

#[tokio::test(start_paused = true)]
async fn failures_in_good_time_say_nothing_next_to_answers_and_alone_are_an_outage() {
    let layer = limit();
    all(&layer, 1, (MS, End::Answer)).await;
    all(&layer, 40, (MS, End::Failure)).await;
    assert_eq!(look(&layer).await, 50);
    let mut events = layer.handle().subscribe();
    all(&layer, 40, (MS, End::Failure)).await;
    pass(WINDOW + MS).await;
    all(&layer, 1, (MS, End::Failure)).await;
    let Some(Received::Event(event)) = events.try_recv() else { panic!("no event") };
    assert_eq!(event, AdaptiveLimitEvent::LimitChanged { from: 50, to: 5, cause: Cause::Outage });
    assert!(!layer.handle().is_cutting());
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_it_doubles_up_to_what_was_in_progress_before() {
    let layer = limit();
    assert_eq!(window(&layer, (FAST, End::Answer)).await, 100);
    all(&layer, 80, (MS, End::Failure)).await;
    pass(WINDOW + MS).await;
    all(&layer, 1, (MS, End::Failure)).await;
    assert_eq!(layer.handle().limit(), 5);
    let mut limits = Vec::new();
    for _ in 0..6 {
        limits.push(window(&layer, (MS, End::Answer)).await);
    }
    assert_eq!(limits, [10, 20, 40, 50, 55, 60]);
}

#[tokio::test(start_paused = true)]
async fn refusals_by_layers_below_say_nothing() {
    let layer = limit();
    all(&layer, 1, (SLOW, End::Answer)).await;
    all(&layer, 50, (SLOW, End::Refusal)).await;
    all(&layer, 9, (MS, End::Answer)).await;
    assert_eq!(look(&layer).await, 50);
}

#[tokio::test(start_paused = true)]
async fn calls_that_are_ready_at_once_are_good_and_keep_it_where_it_is() {
    let layer = limit();
    let work = Work::default();
    all(&layer, 30, (SLOW, End::Answer)).await;
    // Next to these the slow ones are no overload.
    for _ in 0..1000 {
        layer.layer(work.clone()).oneshot((Duration::ZERO, End::Answer)).await.unwrap();
    }
    assert_eq!(look(&layer).await, 50);
}

#[tokio::test(start_paused = true)]
async fn an_idle_limit_stays_where_it_is() {
    let layer = limit();
    window(&layer, (SLOW, End::Answer)).await;
    let low = layer.handle().limit();
    for _ in 0..100 {
        assert_eq!(look(&layer).await, low);
    }
    pass(1_000_000 * WINDOW).await;
    assert_eq!(look(&layer).await, low);
}

#[tokio::test(start_paused = true)]
async fn aimd_moves_by_its_own_steps() {
    let layer = builder().algorithm(Algorithm::AIMD).build().unwrap();
    assert_eq!(window(&layer, (SLOW, End::Answer)).await, 45);
    assert_eq!(window(&layer, (MS, End::Answer)).await, 46);
    layer.handle().change(|settings| settings.algorithm = Algorithm::Aimd { increase: 10.0, decrease: 0.5 }).unwrap();
    assert_eq!(window(&layer, (MS, End::Answer)).await, 56);
    assert_eq!(window(&layer, (SLOW, End::Answer)).await, 28);
}

#[tokio::test(start_paused = true)]
async fn each_change_is_an_event_with_its_cause() {
    let layer = limit();
    let mut events = layer.handle().subscribe();
    window(&layer, (MS, End::Answer)).await;
    let low = window(&layer, (SLOW, End::Answer)).await;
    layer.handle().change(|settings| (settings.min, settings.max) = (7, 7)).unwrap();
    let mut seen = Vec::new();
    while let Some(Received::Event(event)) = events.try_recv() {
        seen.push(event);
    }
    let changed = |from, to, cause| AdaptiveLimitEvent::LimitChanged { from, to, cause };
    let expected = [
        changed(50, 100, Cause::Growth),
        changed(100, low, Cause::Overload),
        changed(low, 7, Cause::Settings),
        AdaptiveLimitEvent::SettingsChanged,
    ];
    assert_eq!(seen, expected);
    assert_eq!(layer.handle().limit(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_limit_and_reaches_nothing() {
    let layer = builder().initial(1).max_waiting(0).build().unwrap();
    let work = Work::default();
    let first = start(&layer, &work, (MS, End::Answer));
    settle().await;
    let refused = layer.layer(work.clone()).oneshot((MS, End::Answer)).await.unwrap_err();
    let rejected = refused.rejected().unwrap();
    assert_eq!((rejected.kind(), rejected.reached_service()), (RejectedKind::LimitReached, false));
    assert_eq!(rejected.to_string(), "adaptive limit `inventory` is reached");
    first.await.unwrap().unwrap();
    assert_eq!((work.began(), layer.handle().snapshot().refused_full), (1, 1));
}
