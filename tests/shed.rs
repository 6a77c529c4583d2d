//! Load shedding with a service, in paused time.
#![allow(clippy::disallowed_methods)]

use std::{
    convert::Infallible,
    future::{Future, pending},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::{future::BoxFuture, task::ArcWake};
use steadfast::{
    Priority::{self, Critical, Normal, Sheddable},
    Rejected, RejectedKind,
    context::{self, CallContext},
    shed::{Cause, KeyOf, PriorityOf, Shed, ShedBuilder, ShedEvent, ShedHandle, ShedLayer, ShedSettings},
    telemetry::Received,
};
use tokio::{task::JoinHandle, time::Instant};
use tower::{Layer, Service, ServiceExt};

const MS: Duration = Duration::from_millis(1);

/// A call: which one, and how long it takes.
type Call = (u32, Duration);

/// A service whose calls take as long as they say.
#[derive(Clone, Default)]
struct Work {
    began: Arc<Mutex<Vec<u32>>>,
}

impl Work {
    fn began(&self) -> Vec<u32> {
        self.began.lock().unwrap().clone()
    }
}

impl Service<Call> for Work {
    type Response = u32;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (number, takes): Call) -> Self::Future {
        self.began.lock().unwrap().push(number);
        Box::pin(async move {
            tokio::time::sleep(takes).await;
            Ok(number)
        })
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}

type Outcome = Result<u32, Rejected>;

/// A call in a task of its own, in a context, which has run as far as it can.
async fn start_in<P, K>(context: CallContext, layer: &ShedLayer<P, K>, work: &Work, call: Call) -> JoinHandle<Outcome>
where
    P: PriorityOf<Call> + Clone + Send + 'static,
    K: KeyOf<Call> + Clone + Send + 'static,
{
    let task = tokio::spawn(context::scope(context, layer.layer(work.clone()).oneshot(call)));
    settle().await;
    task
}

async fn start(layer: &ShedLayer, work: &Work, call: Call) -> JoinHandle<Outcome> {
    start_in(CallContext::default(), layer, work, call).await
}

fn is_shed(outcome: Outcome) {
    let rejected = outcome.unwrap_err();
    assert_eq!((rejected.kind(), rejected.name().as_str()), (RejectedKind::Shed, "shed"));
    assert!(!rejected.reached_service(), "it may be sent elsewhere");
}

fn one() -> ShedLayer {
    Shed::builder(1).build().unwrap()
}

/// Running and waiting.
fn counts(handle: &ShedHandle) -> (u32, usize) {
    let snapshot = handle.snapshot();
    (snapshot.running, snapshot.waiting)
}

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
    assert_eq!(order(Shed::builder(1).fair_by(key), [CallContext::default(); 5]).await, [0, 3, 1, 4, 2]);
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
async fn two_keys<K: KeyOf<Call> + Clone + Send + 'static>(
    builder: ShedBuilder<steadfast::shed::FromContext, K>,
) -> [f64; 2] {
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
    let builder = || Shed::builder(4);
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
