//! Faults seen in other libraries, by number in the list of them, and settings.
#![allow(clippy::disallowed_methods)]

use std::{
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Context,
    time::Duration,
};

use futures::task::ArcWake;
use steadfast::{
    Priority,
    context::CallContext,
    shed::{Cause, Shed, ShedBuilder, ShedSettings},
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};

use crate::support::{Call, MS, Work, counts, is_shed, one, pass, settle, start, start_in};

#[tokio::test(start_paused = true)]
async fn a_call_that_got_a_place_in_its_first_poll_or_later_leaves_none_behind_wherever_it_is_dropped() {
    for polls in 0..6 {
        let (layer, work) = (one(), Work::default());
        let handle = layer.handle();
        let mut permit = (polls < 4).then(|| handle.try_acquire().unwrap());
        let mut call = Box::pin(layer.layer(work).oneshot((1, 2 * MS)));
        for _ in 0..polls {
            let _ = futures::poll!(call.as_mut());
        }
        assert_eq!(counts(&handle).1, usize::from((1..4).contains(&polls)), "after {polls} polls");
        if polls == 3 {
            // Its place is given to it, and it is dropped before it knows.
            permit = None;
            assert_eq!(counts(&handle), (1, 0));
        }
        drop(call);
        assert_eq!(counts(&handle), (u32::from(permit.is_some()), 0), "after {polls} polls");
        assert_eq!(
            handle.snapshot().ended(Cause::Cancelled),
            u64::from((1..3).contains(&polls)),
            "after {polls} polls"
        );
        drop(permit);
        drop(handle.try_acquire().expect("a place was lost"));
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl ArcWake for Woken {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(start_paused = true)]
async fn fault_10_a_waiting_call_is_woken_for_its_end_only() {
    let layer = one();
    let permit = layer.handle().try_acquire().unwrap();
    let woken = Arc::<Woken>::default();
    let waker = futures::task::waker(Arc::clone(&woken));
    let mut call = Box::pin(layer.layer(Work::default()).oneshot((1, MS)));
    assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    pass(90 * MS).await;
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    drop(permit);
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn fault_9_a_waiting_call_that_moves_to_another_task_is_woken_there() {
    let layer = one();
    let permit = layer.handle().try_acquire().unwrap();
    let [here, there] = [(); 2].map(|()| Arc::<Woken>::default());
    let mut call = Box::pin(layer.layer(Work::default()).oneshot((1, MS)));
    for woken in [&here, &there] {
        let waker = futures::task::waker(Arc::clone(woken));
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(permit);
    assert_eq!([here, there].map(|woken| woken.0.load(Ordering::Relaxed)), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_and_is_not_polled_holds_nobody_up() {
    let (layer, work) = (one(), Work::default());
    let first = start(&layer, &work, (1, 110 * MS)).await;
    let mut asleep = Box::pin(layer.layer(work.clone()).oneshot((2, MS)));
    assert!(futures::poll!(asleep.as_mut()).is_pending());
    pass(108 * MS).await;
    let third = start(&layer, &work, (3, MS)).await;
    assert_eq!((first.await.unwrap(), third.await.unwrap()), (Ok(1), Ok(3)));
    is_shed(asleep.await);
}

#[tokio::test(start_paused = true)]
async fn fault_20_a_full_line_is_not_reported_as_a_timeout() {
    let (layer, work) = (Shed::builder(1).max_waiting(0).build().unwrap(), Work::default());
    let permit = layer.handle().try_acquire().unwrap();
    let began = Instant::now();
    is_shed(start(&layer, &work, (1, MS)).await.await.unwrap());
    is_shed(layer.handle().try_acquire().map(|_| 0));
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(layer.handle().snapshot().ended(Cause::Full), 2);
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn fault_22_a_lower_limit_blocks_nobody_and_a_higher_one_lets_in_who_waits() {
    let (layer, work) = (Shed::builder(3).build().unwrap(), Work::default());
    let handle = layer.handle();
    let permits: Vec<_> = (0..3).map(|_| handle.try_acquire().unwrap()).collect();
    handle.change(|settings| settings.max_concurrent = 1).unwrap();
    assert_eq!((counts(&handle), handle.snapshot().max_concurrent), ((3, 0), 1));
    let calls = [start(&layer, &work, (1, 50 * MS)).await, start(&layer, &work, (2, 50 * MS)).await];
    drop(permits);
    assert_eq!((counts(&handle), work.began()), ((1, 1), vec![]));
    settle().await;
    assert_eq!((counts(&handle), work.began()), ((1, 1), vec![1]));
    handle.change(|settings| settings.max_concurrent = 2).unwrap();
    settle().await;
    assert_eq!((counts(&handle), work.began()), ((2, 0), vec![1, 2]));
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(counts(&handle), (0, 0));
    let error = handle.change(|settings| settings.max_concurrent = 0).unwrap_err();
    assert_eq!((error.field(), handle.settings().max_concurrent), ("max_concurrent", 2));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_key_or_of_the_priority_leaves_all_as_it_was() {
    let layer = Shed::builder(1).fair_by(|call: &Call| assert_ne!(call.0, 7)).build().unwrap();
    let permit = layer.handle().try_acquire().unwrap();
    let panics = start_in(CallContext::default(), &layer, &Work::default(), (7, MS)).await;
    assert!(panics.await.unwrap_err().is_panic());
    assert_eq!(counts(&layer.handle()), (1, 0));
    drop(permit);
    let fine = start_in(CallContext::default(), &layer, &Work::default(), (8, MS)).await;
    assert_eq!(fine.await.unwrap(), Ok(8));
}

#[test]
fn settings_that_make_no_sense_are_refused_by_name() {
    let refused = |builder: ShedBuilder| builder.build().unwrap_err().to_string();
    assert_eq!(refused(Shed::builder(0)), "`shed`: max_concurrent is 0; allowed: 1 to 2,147,483,647");
    let many = Shed::builder(1).name("api").max_waiting(1_000_001);
    assert_eq!(refused(many), "`api`: max_waiting is 1000001; allowed: at most 1,000,000");
    let none = Shed::builder(1).interval(Duration::ZERO);
    assert_eq!(refused(none), "`shed`: interval is 0ns; allowed: over 0");
    for target in [Duration::ZERO, 101 * MS] {
        let error = refused(Shed::builder(1).target(target));
        assert_eq!(error, format!("`shed`: target is {target:?}; allowed: over 0, at most `interval`"));
    }
    let settings = ShedSettings::default();
    assert_eq!(Shed::builder(3).settings(settings).build().unwrap().handle().settings(), settings);
}

/// Extremes that are allowed: they saturate, and no call panics.
#[tokio::test(start_paused = true)]
async fn fault_17_extreme_settings_answer_without_a_panic() {
    let least = Duration::from_nanos(1);
    for (target, interval) in [(least, least), (least, Duration::MAX), (Duration::MAX, Duration::MAX)] {
        for (places, waiting) in [(1, 0), (1, 1_000_000), (u32::MAX >> 1, 1_000_000)] {
            let builder = Shed::builder(places).max_waiting(waiting).target(target).interval(interval);
            let (layer, work) = (builder.build().unwrap(), Work::default());
            let forever = CallContext::default().with_deadline(Instant::now() + Duration::from_secs(1 << 40));
            let mut calls = Vec::new();
            for (number, priority) in Priority::ALL.into_iter().cycle().take(12).enumerate() {
                let context = forever.with_priority(priority);
                calls.push(start_in(context, &layer, &work, (number as u32, 10_000 * MS)).await);
            }
            let mut events = layer.handle().subscribe();
            tokio::select! { _ = events.recv() => {} () = pass(MS) => {} () = pending() => {} }
            assert!((0.0..=1.0).contains(&layer.handle().pressure()));
            let mut ended = 0;
            for call in calls {
                ended += u32::from(call.await.is_ok());
            }
            assert_eq!((ended, counts(&layer.handle())), (12, (0, 0)));
        }
    }
}
