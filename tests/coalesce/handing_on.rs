//! Who has made a call is gone: somebody else goes on with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use steadfast::{
    Error, RejectedKind,
    coalesce::{Coalesce, CoalesceEvent},
    context,
    telemetry::Received,
    timeout::Timeout,
};
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Broken, Caller, Layer, Upstream, key_of, request, run};

const MS: Duration = Duration::from_millis(1);

fn layer() -> Layer {
    Coalesce::builder(key_of as fn(&_) -> _).build()
}

fn callers(
    layer: &Layer,
    upstream: &Upstream,
    count: usize,
) -> Vec<Caller<impl Future<Output = Result<u32, Error<Broken>>> + use<>>> {
    let mut callers: Vec<_> = (0..count).map(|_| Caller::new(layer.layer(upstream.clone()).call(request(7)))).collect();
    run(&mut callers);
    callers
}

#[tokio::test(start_paused = true)]
async fn ten_wait_for_a_slow_query_and_the_first_gives_up_just_before_its_end() {
    let calls = Arc::new(AtomicU32::new(0));
    let query = service_fn({
        let calls = Arc::clone(&calls);
        move |id: u32| {
            let number = calls.fetch_add(1, SeqCst);
            async move {
                tokio::time::sleep(5000 * MS).await;
                Ok::<_, Error<Broken>>((id, number))
            }
        }
    });
    let coalesce = Coalesce::builder(|id: &u32| Some(*id)).build();
    let handle = coalesce.handle();
    let timeout =
        Timeout::builder(Duration::from_secs(60)).per_request(|call: &(u32, bool)| call.1.then_some(4900 * MS));
    let service = ServiceBuilder::new()
        .layer(timeout.build().unwrap())
        .map_request(|(id, _): (u32, bool)| id)
        .layer(coalesce)
        .service(query);
    let started = tokio::time::Instant::now();
    let first = tokio::spawn(service.clone().oneshot((7, true)));
    tokio::task::yield_now().await;
    let others: Vec<_> = (0..9).map(|_| tokio::spawn(service.clone().oneshot((7, false)))).collect();
    let Err(Error::Rejected(rejected)) = first.await.unwrap() else { panic!("it should have given up") };
    assert_eq!(rejected.kind(), RejectedKind::TimedOut);
    for other in others {
        assert_eq!(other.await.unwrap(), Ok((7, 0)));
    }
    assert_eq!((started.elapsed(), calls.load(SeqCst)), (5000 * MS, 1), "it did not begin again");
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.made, snapshot.joined, snapshot.handed_on, snapshot.begun_anew), (1, 9, 1, 0));
    assert_eq!((snapshot.calls, snapshot.waiting), (0, 0));
}

#[test]
fn who_goes_on_with_a_call_is_woken_by_it_though_it_knew_another_waker() {
    let (layer, upstream) = (layer(), Upstream::default());
    let mut callers = callers(&layer, &upstream, 3);
    callers[0].call = None;
    assert_eq!((callers[1].woken(), callers[2].woken()), (1, 0), "the next in line, and nobody else");
    run(&mut callers);
    upstream.answer(7);
    assert_eq!((callers[1].woken(), callers[2].woken()), (1, 0));
    run(&mut callers);
    assert_eq!((callers[1].output.clone(), callers[2].output.clone()), (Some(Ok(1)), Some(Ok(1))));
    assert_eq!((callers[1].polls, callers[2].polls), (3, 2));
}

#[test]
fn a_call_that_has_ended_when_its_maker_goes_unpolled_is_fetched_by_the_next() {
    let (layer, upstream) = (layer(), Upstream::default());
    let mut callers = callers(&layer, &upstream, 3);
    upstream.answer(7);
    // The wake-up is lost with the first.
    callers[0].call = None;
    run(&mut callers);
    assert_eq!((callers[1].output.clone(), callers[2].output.clone()), (Some(Ok(1)), Some(Ok(1))));
    assert_eq!(upstream.made(), 1);
}

#[test]
fn it_goes_on_through_all_that_give_up_until_one_stays() {
    let (layer, upstream) = (layer(), Upstream::default());
    let mut callers = callers(&layer, &upstream, 6);
    let mut events = layer.handle().subscribe();
    // Some have fetched the work, some have only been told.
    for (gone, fetched) in [(0, true), (1, false), (2, true), (3, false)] {
        if fetched {
            run(&mut callers);
        }
        callers[gone].call = None;
        assert_eq!((upstream.in_flight(), layer.handle().snapshot().calls), (1, 1));
    }
    // Not the next in line.
    callers[5].call = None;
    run(&mut callers);
    upstream.answer(7);
    run(&mut callers);
    assert_eq!((callers[4].output.clone(), upstream.made()), (Some(Ok(1)), 1));
    assert_eq!(layer.handle().snapshot().handed_on, 2, "by those who had it");
    assert_eq!(events.try_recv(), Some(Received::Event(CoalesceEvent::HandedOn)));
}

#[test]
fn a_call_that_nobody_waits_for_any_more_is_dropped_and_its_key_is_free() {
    let (layer, upstream) = (layer(), Upstream::default());
    for told in [false, true] {
        let mut gone = callers(&layer, &upstream, 3);
        gone[2].call = None;
        gone[0].call = None;
        if !told {
            run(&mut gone);
        }
        gone[1].call = None;
        assert_eq!(
            (upstream.in_flight(), layer.handle().snapshot().calls, layer.handle().snapshot().waiting),
            (0, 0, 0)
        );
    }
    let mut next = callers(&layer, &upstream, 2);
    assert_eq!(upstream.made(), 3);
    upstream.answer(7);
    run(&mut next);
    assert_eq!((next[0].output.clone(), next[1].output.clone()), (Some(Ok(3)), Some(Ok(3))));
}

#[test]
fn who_has_left_is_passed_over() {
    let (layer, upstream) = (layer(), Upstream::default());
    let mut callers = callers(&layer, &upstream, 4);
    callers[1].call = None;
    callers[0].call = None;
    assert_eq!((callers[2].woken(), callers[3].woken()), (1, 0));
    run(&mut callers);
    upstream.answer(7);
    run(&mut callers);
    assert_eq!((callers[2].output.clone(), callers[3].output.clone()), (Some(Ok(1)), Some(Ok(1))));
}

#[tokio::test(start_paused = true)]
async fn a_call_sees_the_deadline_of_who_goes_on_with_it() {
    let seen = service_fn(|_: u32| async {
        let mut deadlines = vec![context::deadline()];
        tokio::time::sleep(100 * MS).await;
        deadlines.push(context::deadline());
        Ok::<_, Error<Broken>>(deadlines)
    });
    let service = Coalesce::builder(|id: &u32| Some(*id)).build().layer(seen);
    let now = tokio::time::Instant::now();
    let of = |wait| context::current().with_deadline(now + wait);
    let mut first = Box::pin(context::scope(of(50 * MS), service.clone().oneshot(7)));
    let mut second = Box::pin(context::scope(of(500 * MS), service.clone().oneshot(7)));
    assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(second.await.unwrap(), [Some(now + 50 * MS), Some(now + 500 * MS)]);
}
