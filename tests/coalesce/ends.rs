//! How calls end: with an answer, an error or a panic, for all that wait.

use std::{
    cell::Cell,
    hash::{Hash, Hasher},
    rc::Rc,
};

use steadfast::{
    Error, Rejected, RejectedKind,
    coalesce::{Coalesce, CoalesceEvent},
    telemetry::Received,
};
use tower::{Layer as _, Service, ServiceExt, service_fn};

use crate::support::{Broken, Caller, End, Layer, Outcome, Request, Upstream, key_of, request, run};

fn layer() -> Layer {
    Coalesce::builder(key_of as fn(&_) -> _).build()
}

#[test]
fn all_that_wait_get_the_outcome_whatever_it_is() {
    for (end, outcome) in [(End::Answer, Ok(1)), (End::Fail, Err(Error::Inner(Broken)))] {
        let (layer, upstream) = (layer(), Upstream::default());
        let service = layer.layer(upstream.clone());
        let mut callers: Vec<_> = (0..50).map(|_| Caller::new(service.clone().call(request(7)))).collect();
        run(&mut callers);
        assert_eq!((layer.handle().snapshot().waiting, upstream.made()), (49, 1));
        upstream.end(1, end);
        run(&mut callers);
        assert!(callers.iter().all(|caller| caller.output == Some(outcome.clone()) && caller.polls == 2));
        let snapshot = layer.handle().snapshot();
        assert_eq!((snapshot.calls, snapshot.waiting, snapshot.made, snapshot.joined), (0, 0, 1, 49));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_layer_below_is_shared_too() {
    let refusing = service_fn(|(): ()| async {
        tokio::task::yield_now().await;
        Err::<(), _>(Rejected::new(RejectedKind::CircuitOpen, "prices"))
    });
    let service = Coalesce::builder(|(): &()| Some(())).build().layer(refusing);
    let (first, second) = tokio::join!(service.clone().oneshot(()), service.oneshot(()));
    assert_eq!(first.unwrap_err(), second.unwrap_err());
}

#[test]
fn an_outcome_is_not_kept() {
    let (layer, upstream) = (layer(), Upstream::default());
    for number in 1..4 {
        let mut callers = [Caller::new(layer.layer(upstream.clone()).call(request(7)))];
        run(&mut callers);
        upstream.answer(7);
        run(&mut callers);
        assert_eq!(callers[0].output, Some(Ok(number)));
    }
}

#[test]
fn who_comes_after_the_end_makes_a_new_call_though_others_have_not_fetched_theirs() {
    let (layer, upstream) = (layer(), Upstream::default());
    let mut callers: Vec<_> = (0..3).map(|_| Caller::new(layer.layer(upstream.clone()).call(request(7)))).collect();
    run(&mut callers);
    upstream.answer(7);
    assert!(callers[0].poll());
    callers.push(Caller::new(layer.layer(upstream.clone()).call(request(7))));
    assert!(!callers[3].poll());
    run(&mut callers);
    upstream.answer(7);
    run(&mut callers);
    let outputs: Vec<_> = callers.into_iter().map(|caller| caller.output).collect();
    assert_eq!(outputs, [Some(Ok(1)), Some(Ok(1)), Some(Ok(1)), Some(Ok(2))]);
}

#[test]
fn a_panic_is_its_makers_own_and_the_next_in_line_makes_the_call_anew() {
    let (layer, upstream) = (layer(), Upstream::default());
    let mut events = layer.handle().subscribe();
    let mut callers: Vec<_> = (0..3).map(|_| Caller::new(layer.layer(upstream.clone()).call(request(7)))).collect();
    run(&mut callers);
    upstream.end(1, End::Panic);
    // The future that has panicked is held on to.
    assert!(callers[0].poll() && callers[0].panicked && callers[0].call.is_some());
    assert_eq!((callers[1].woken(), callers[2].woken()), (1, 0));
    run(&mut callers);
    upstream.end(2, End::Answer);
    run(&mut callers);
    assert_eq!((callers[1].output.clone(), callers[2].output.clone()), (Some(Ok(2)), Some(Ok(2))));
    assert_eq!(layer.handle().snapshot().begun_anew, 1);
    assert_eq!(events.try_recv(), Some(Received::Event(CoalesceEvent::BegunAnew)));
    drop(callers);
    assert_eq!((upstream.in_flight(), layer.handle().snapshot().calls), (0, 0));
}

#[test]
fn an_outcome_that_cannot_be_shared_is_its_makers_alone() {
    let answers = |outcome: &Outcome| outcome.as_ref().ok().map(|answer| Ok(*answer));
    let layer: Layer<_> = Coalesce::builder(key_of as fn(&_) -> _).share(answers).build();
    let upstream = Upstream::default();
    let mut callers: Vec<_> = (0..4).map(|_| Caller::new(layer.layer(upstream.clone()).call(request(7)))).collect();
    run(&mut callers);
    upstream.end(1, End::Fail);
    run(&mut callers);
    assert_eq!((upstream.made(), upstream.most(), layer.handle().snapshot().waiting), (2, 1, 2));
    // Who comes now joins.
    callers.push(Caller::new(layer.layer(upstream.clone()).call(request(7))));
    run(&mut callers);
    upstream.end(2, End::Answer);
    run(&mut callers);
    assert_eq!(callers[0].output, Some(Err(Error::Inner(Broken))));
    assert!(callers[1..].iter().all(|caller| caller.output == Some(Ok(2))));
}

#[test]
fn copies_that_run_out_leave_nobody_behind() {
    // Two copies, then none, or a panic.
    for panics in [false, true] {
        let left = Rc::new(Cell::new(2));
        let share = move |outcome: &Outcome| {
            left.set(left.get() - 1);
            assert!(!panics || left.get() >= 0, "the copy panics");
            (left.get() >= 0).then(|| outcome.clone())
        };
        let layer: Layer<_> = Coalesce::builder(key_of as fn(&_) -> _).share(share).build();
        let upstream = Upstream::default();
        let mut callers: Vec<_> = (0..5).map(|_| Caller::new(layer.layer(upstream.clone()).call(request(7)))).collect();
        run(&mut callers);
        for _ in 0..5 {
            if let Some(number) = upstream.running(7) {
                upstream.end(number, End::Answer);
            }
            run(&mut callers);
        }
        assert!(callers.iter().all(Caller::is_over), "panics: {panics}");
        assert_eq!((upstream.most(), layer.handle().snapshot().waiting, layer.handle().snapshot().calls), (1, 0, 0));
    }
}

#[test]
fn what_has_no_key_and_what_comes_while_it_is_off_is_not_coalesced() {
    let (layer, upstream) = (layer(), Upstream::default());
    let call = |key| Caller::new(layer.layer(upstream.clone()).call(Request { key }));
    let mut callers = vec![call(None), call(None), call(Some(7))];
    run(&mut callers);
    let mut events = layer.handle().subscribe();
    layer.handle().disable();
    callers.extend([call(Some(7)), call(Some(7))]);
    run(&mut callers);
    assert_eq!((upstream.made(), layer.handle().is_enabled()), (5, false));
    layer.handle().enable();
    callers.push(call(Some(7)));
    run(&mut callers);
    assert_eq!((upstream.made(), layer.handle().snapshot().joined), (5, 1), "it joins the one from before");
    for expected in [CoalesceEvent::Disabled, CoalesceEvent::Enabled] {
        assert_eq!(events.try_recv(), Some(Received::Event(expected)));
    }
    (1..=5).for_each(|number| upstream.end(number, End::Answer));
    run(&mut callers);
    assert_eq!(callers[5].output, Some(Ok(3)));
}

#[test]
fn a_call_that_is_held_without_having_been_polled_is_waited_for_by_nobody() {
    let (layer, upstream) = (layer(), Upstream::default());
    let _held = layer.layer(upstream.clone()).call(request(7));
    let mut callers = [Caller::new(layer.layer(upstream.clone()).call(request(7)))];
    run(&mut callers);
    upstream.answer(7);
    run(&mut callers);
    assert_eq!(callers[0].output, Some(Ok(1)));
}

/// Keys that differ and have the same hash.
#[derive(PartialEq, Eq)]
struct SameHash(u32);

impl Hash for SameHash {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[test]
fn keys_are_told_apart_by_what_they_are_and_not_by_their_hash() {
    let layer = Coalesce::builder(|request: &Request| request.key.map(SameHash)).build();
    let upstream = Upstream::default();
    let service = layer.layer(upstream.clone());
    let mut callers: Vec<_> = (0..200).map(|n| Caller::new(service.clone().call(request(n % 100)))).collect();
    run(&mut callers);
    assert_eq!((upstream.made(), layer.handle().snapshot().calls), (100, 100));
    for key in (0..100).rev() {
        upstream.answer(key);
        run(&mut callers);
    }
    assert!((0..200).all(|n| callers[n].output == Some(Ok(n as u32 % 100 + 1))));
    assert_eq!((layer.handle().snapshot().calls, layer.handle().snapshot().waiting), (0, 0));
}
