//! Who is served, who waits, who is shed.
#![allow(clippy::disallowed_methods)]

use std::time::Duration;

use steadfast::{
    Priority::{Critical, Normal, Sheddable},
    context::{self, CallContext},
    shed::{Cause, FromContext, KeyOf, PriorityOf, Shed, ShedBuilder, ShedEvent},
    telemetry::Received,
};
use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, ServiceExt};

use crate::support::{Call, MS, Outcome, Work, counts, is_shed, one, pass, start, start_in};

#[tokio::test(start_paused = true)]
async fn calls_wait_for_a_place_and_are_shed_when_a_queue_stands() {
    let (layer, work) = (one(), Work::default());
    let handle = layer.handle();
    let first = start(&layer, &work, (1, 150 * MS)).await;
    let second = start(&layer, &work, (2, MS)).await;
    assert_eq!(counts(&handle), (1, 1));
    pass(99 * MS).await;
    assert!(!second.is_finished());
    let third = start(&layer, &work, (3, MS)).await;
    pass(MS).await;
    is_shed(second.await.unwrap());
    // Nobody but the third waits, for half an interval.
    assert_eq!(third.await.unwrap(), Ok(3));
    assert_eq!((first.await.unwrap(), work.began()), (Ok(1), vec![1, 3]));
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.shed(), snapshot.ended_of(Cause::Stood, Normal), snapshot.overloaded), (1, 1, true));
    assert_eq!(counts(&handle), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_deadline_comes_while_it_waits_never_reaches_the_service() {
    let (layer, work) = (one(), Work::default());
    let by = |wait: Duration| CallContext::default().with_deadline(Instant::now() + wait);
    let _first = start(&layer, &work, (1, 50 * MS)).await;
    let began = Instant::now();
    let waits = start_in(by(20 * MS), &layer, &work, (2, MS)).await;
    is_shed(waits.await.unwrap());
    assert_eq!(began.elapsed(), 20 * MS);
    // One whose deadline is over is not even put in line.
    is_shed(start_in(by(Duration::ZERO), &layer, &work, (3, MS)).await.await.unwrap());
    assert_eq!(began.elapsed(), 20 * MS);
    pass(100 * MS).await;
    assert_eq!(work.began(), [1]);
    let snapshot = layer.handle().snapshot();
    assert_eq!((snapshot.ended(Cause::Expired), snapshot.ended(Cause::Hopeless)), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_seen_after_the_deadline_is_somebody_elses() {
    let (layer, work) = (one(), Work::default());
    let permit = layer.handle().try_acquire().unwrap();
    let by = CallContext::default().with_deadline(Instant::now() + 20 * MS);
    let mut late = Box::pin(context::scope(by, layer.layer(work.clone()).oneshot((1, MS))));
    assert!(futures::poll!(late.as_mut()).is_pending());
    drop(permit);
    pass(30 * MS).await;
    is_shed(late.await);
    assert_eq!((work.began(), counts(&layer.handle())), (vec![], (0, 0)));
    assert_eq!(layer.handle().snapshot().ended(Cause::Expired), 1);
}

/// Ten wait for one place, made by `builder`; who began, in order.
async fn order<P, K>(builder: ShedBuilder<P, K>, contexts: [CallContext; 5]) -> Vec<u32>
where
    P: PriorityOf<Call> + Clone + Send + 'static,
    K: KeyOf<Call> + Clone + Send + 'static,
{
    let (layer, work) = (builder.build().unwrap(), Work::default());
    let permit = layer.handle().try_acquire().unwrap();
    let mut calls = Vec::new();
    for (number, context) in contexts.into_iter().enumerate() {
        calls.push(start_in(context, &layer, &work, (number as u32, MS)).await);
    }
    drop(permit);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    work.began()
}

#[tokio::test(start_paused = true)]
async fn places_go_to_the_most_important_and_to_first_attempts_before_later_ones() {
    let of = |priority, repeated| CallContext::default().with_priority(priority).with_repeated(repeated);
    let contexts = [of(Sheddable, false), of(Normal, true), of(Normal, false), of(Critical, true), of(Critical, false)];
    assert_eq!(order(Shed::builder(1), contexts).await, [4, 3, 2, 1, 0]);
    let by_number = |call: &Call| if call.0 == 3 { Critical } else { Normal };
    assert_eq!(order(Shed::builder(1).priority(by_number), contexts).await, [3, 0, 2, 4, 1]);
}

#[tokio::test(start_paused = true)]
async fn places_go_to_keys_in_turn() {
    let key = |call: &Call| if call.0 < 3 { "a" } else { "b" };
    assert_eq!(order(Shed::builder(1).seed(1).fair_by(key), [CallContext::default(); 5]).await, [0, 3, 1, 4, 2]);
    assert_eq!(order(Shed::builder(1), [CallContext::default(); 5]).await, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_critical_call_takes_the_place_in_line_of_one_that_is_sheddable() {
    let (layer, work) = (Shed::builder(1).max_waiting(1).build().unwrap(), Work::default());
    let of = |priority| CallContext::default().with_priority(priority);
    let _permit = layer.handle().try_acquire().unwrap();
    let sheddable = start_in(of(Sheddable), &layer, &work, (1, MS)).await;
    let critical = start_in(of(Critical), &layer, &work, (2, MS)).await;
    is_shed(sheddable.await.unwrap());
    is_shed(start_in(of(Normal), &layer, &work, (3, MS)).await.await.unwrap());
    assert!(!critical.is_finished());
    let snapshot = layer.handle().snapshot();
    assert_eq!([1, 1, 0], [Sheddable, Normal, Critical].map(|priority| snapshot.shed_of(priority)));
    assert_eq!([0, 0, 1], [Sheddable, Normal, Critical].map(|priority| snapshot.waiting_of(priority)));
}

/// Two keys for five seconds: one sends ten times its fair share, the other just its own. The share of calls of each that
/// are answered.
async fn two_keys<K: KeyOf<Call> + Clone + Send + 'static>(builder: ShedBuilder<FromContext, K>) -> [f64; 2] {
    let (layer, work) = (builder.build().unwrap(), Work::default());
    let mut calls: [Vec<JoinHandle<Outcome>>; 2] = Default::default();
    // Four places and 20 ms a call: 200 a second, so a fair share is one in 10 ms.
    for ms in 0..5000_u32 {
        let key = usize::from(ms % 10 == 0);
        let call = layer.layer(work.clone()).oneshot((key as u32, 20 * MS));
        calls[key].push(tokio::spawn(call));
        if key == 1 {
            calls[0].push(tokio::spawn(layer.layer(work.clone()).oneshot((0, 20 * MS))));
        }
        tokio::time::sleep(MS).await;
    }
    let mut shares = [0.0; 2];
    for (share, calls) in shares.iter_mut().zip(calls) {
        let sent = calls.len() as f64;
        for call in calls {
            *share += f64::from(u8::from(call.await.unwrap().is_ok())) / sent;
        }
    }
    shares
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_key_does_not_shed_what_another_sends_within_its_share() {
    let builder = || Shed::builder(4).seed(1);
    let [flood, fair] = two_keys(builder().fair_by(|call: &Call| call.0)).await;
    assert!(fair >= 0.95, "{fair:.3} of the fair one's, {flood:.3} of the other's");
    assert!(flood >= 0.09, "what is left is the other's: {flood:.3}");
    let [_, without] = two_keys(builder()).await;
    assert!(without < 0.5, "{without:.3} without");
}

#[tokio::test(start_paused = true)]
async fn overload_is_told_when_it_begins_and_when_it_is_over_without_any_traffic() {
    let (layer, work) = (Shed::builder(1).max_waiting(0).build().unwrap(), Work::default());
    let handle = layer.handle();
    let mut events = handle.subscribe();
    let permit = handle.try_acquire().unwrap();
    for number in 0..3 {
        is_shed(start(&layer, &work, (number, MS)).await.await.unwrap());
        pass(500 * MS).await;
    }
    assert_eq!(events.recv().await, Some(Received::Event(ShedEvent::OverloadBegan)));
    assert!(handle.snapshot().overloaded);
    let ended = ShedEvent::OverloadEnded { lasted: 2000 * MS, shed: 3 };
    let waited = Instant::now();
    assert_eq!(events.recv().await, Some(Received::Event(ended)));
    assert!(waited.elapsed() <= 501 * MS, "{:?}", waited.elapsed());
    assert!(!handle.snapshot().overloaded);
    handle.change(|settings| settings.max_waiting = 5).unwrap();
    assert_eq!(events.recv().await, Some(Received::Event(ShedEvent::SettingsChanged)));
    drop(permit);
}

#[tokio::test(start_paused = true)]
async fn pressure_rises_with_places_taken_with_the_time_that_calls_wait_and_is_full_while_some_are_shed() {
    let (layer, work) = (Shed::builder(4).build().unwrap(), Work::default());
    let handle = layer.handle();
    assert_eq!(handle.pressure(), 0.0);
    let permits: Vec<_> = (0..4)
        .map(|taken| {
            assert_eq!(handle.pressure(), f64::from(taken) / 8.0);
            handle.try_acquire().unwrap()
        })
        .collect();
    assert_eq!(handle.pressure(), 0.5);
    let waits = start(&layer, &work, (1, MS)).await;
    pass(50 * MS).await;
    assert_eq!((handle.pressure(), handle.snapshot().pressure), (0.75, 0.75));
    is_shed(waits.await.unwrap());
    assert_eq!(handle.pressure(), 1.0);
    pass(99 * MS).await;
    assert_eq!(handle.pressure(), 1.0);
    pass(MS).await;
    assert_eq!(handle.pressure(), 0.5);
    drop(permits);
    assert_eq!(handle.pressure(), 0.0);
}

#[tokio::test(start_paused = true)]
async fn long_calls_of_little_importance_do_not_make_short_critical_ones_hopeless() {
    let (layer, work) = (Shed::builder(2).build().unwrap(), Work::default());
    let (mut critical, mut answered) = (Vec::new(), 0.0);
    for ms in 0..20_000_u32 {
        if ms % 125 == 0 {
            // Twice as many as can be served, and each holds its place for longer than a critical call has time.
            let batch = CallContext::default().with_priority(Sheddable);
            tokio::spawn(context::scope(batch, layer.layer(work.clone()).oneshot((0, 500 * MS))));
        }
        if ms % 100 == 7 {
            let by = CallContext::default().with_priority(Critical).with_deadline(Instant::now() + 400 * MS);
            critical.push(tokio::spawn(context::scope(by, layer.layer(work.clone()).oneshot((1, 5 * MS)))));
        }
        tokio::time::sleep(MS).await;
    }
    let sent = critical.len() as f64;
    for call in critical {
        answered += f64::from(u8::from(call.await.unwrap().is_ok())) / sent;
    }
    // The rest comes when both places have just been taken for 500 ms.
    assert!(answered >= 0.75, "{answered:.3}: {:?}", layer.handle().snapshot());
    assert!(layer.handle().snapshot().ended_of(Cause::Hopeless, Critical) < 10);
}
