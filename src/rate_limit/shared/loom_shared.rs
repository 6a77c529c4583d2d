//! Every interleaving of a few threads over the shipped parts of a limiter over a store, up to three preemptions.
//!
//! ```text
//! RUSTFLAGS="--cfg steadfast_loom" cargo test --release --lib loom_
//! ```
//!
//! 1. No more wait than may, and when all have gone, by an answer or because they gave up, nobody does.
//! 2. The store goes away and comes back in turn, each change is told once, and one call in an interval probes.
//! 3. Each turn that is reserved is told once when the store goes away, or is charged when it comes too late.
//! 4. Of two concurrent changes the same one is the later for the store and for the share.

use std::{
    future::{Future, Pending, Ready, pending, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::future::Either;
use loom::thread;

use super::{
    super::{Decision, Question, RateLimit, Store, StoreError},
    SharedRateLimitHandle,
    presence::{Heard, Presence},
    waiting::Waiting,
};
use crate::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_millis(50);

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn loom_no_more_have_a_place_than_may() {
    explore(|| {
        let shared = Arc::new((Waiting::default(), AtomicU32::new(0)));
        let waits = |(waiting, inside): &(Waiting, AtomicU32)| {
            if waiting.enter(1) {
                assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two in one place");
                inside.fetch_sub(1, Ordering::Relaxed);
                waiting.leave();
            }
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || waits(&shared))
            })
            .collect();
        waits(&shared);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(shared.0.count(), 0);
        assert!(shared.0.enter(1), "the place is there again");
    });
}

/// Refuses, or hangs.
struct Refuses(bool);

impl Store for Refuses {
    type Take = Either<Ready<Result<Decision, StoreError>>, Pending<Result<Decision, StoreError>>>;

    fn take(&self, question: Question) -> Self::Take {
        // Who has no place asks for a turn now.
        assert!(question.max_wait.is_zero() || question.max_wait == SECOND);
        if self.0 { Either::Left(ready(Ok(Decision::refused(SECOND)))) } else { Either::Right(pending()) }
    }
}

fn limit(answers: bool) -> SharedRateLimitHandle<Refuses> {
    let builder = RateLimit::builder(10, SECOND).name("partner").max_wait(SECOND).max_waiting(1);
    builder.store(Refuses(answers), 2).build().unwrap().handle()
}

#[test]
fn loom_calls_that_end_leave_no_place_taken() {
    explore(|| {
        let handle = limit(true);
        let call = |handle: &SharedRateLimitHandle<Refuses>| {
            let mut call = pin!(handle.acquire());
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Err(_))));
        };
        let threads = [handle.clone(), handle.clone()].map(|handle| thread::spawn(move || call(&handle)));
        assert!(handle.snapshot().waiting <= 1);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let snapshot = handle.snapshot();
        assert_eq!((snapshot.waiting, snapshot.refused), (0, 2));
    });
}

#[test]
fn loom_the_store_goes_and_comes_in_turn_and_each_change_is_told_once() {
    explore(|| {
        let presence = Arc::new(Mutex::new(Presence::default()));
        // How often it was told that the store went away, and came back.
        let two_calls = |presence: &Mutex<Presence>, first_fails: bool| {
            let (mut went, mut came) = (0, 0);
            for (now, fails) in [(SECOND, first_fails), (SECOND * 2, !first_fails)] {
                let asked = presence.lock().ask(now, SECOND);
                match asked {
                    Some(asked) if fails => went += u64::from(presence.lock().failed(asked, now, SECOND).is_some()),
                    Some(asked) => {
                        let heard = presence.lock().answered(asked, now);
                        came += u64::from(matches!(heard, Heard::Back { .. }));
                    }
                    None => {}
                }
            }
            (went, came)
        };
        let other = {
            let presence = Arc::clone(&presence);
            thread::spawn(move || two_calls(&presence, false))
        };
        let (went, came) = two_calls(&presence, true);
        let (others_went, others_came) = other.join().unwrap();
        let presence = presence.lock();
        assert_eq!(presence.changes(), (went + others_went, came + others_came));
        assert_eq!(u64::from(presence.is_away()), presence.changes().0 - presence.changes().1);
    });
}

#[test]
fn loom_one_call_probes() {
    explore(|| {
        let presence = Arc::new(Mutex::new(Presence::default()));
        let asked = presence.lock().ask(SECOND, SECOND).unwrap();
        presence.lock().failed(asked, SECOND, SECOND).unwrap();
        let threads = [(); 2].map(|()| {
            let presence = Arc::clone(&presence);
            thread::spawn(move || presence.lock().ask(SECOND * 2, SECOND).is_some())
        });
        let probes = threads.into_iter().map(|thread| thread.join().unwrap()).filter(|probe| *probe);
        assert_eq!(probes.count(), 1);
    });
}

#[test]
fn loom_each_reserved_turn_is_charged_once() {
    explore(|| {
        let presence = Arc::new(Mutex::new(Presence::default()));
        let asked = presence.lock().ask(SECOND, SECOND).unwrap();
        let reserving = [(); 2].map(|()| {
            let presence = Arc::clone(&presence);
            thread::spawn(move || {
                let heard = presence.lock().reserved(asked, SECOND);
                u64::from(heard == Heard::StillAway)
            })
        });
        let told = presence.lock().unanswered(asked, SECOND * 2, TIMEOUT, SECOND);
        // An answer that came before is one; else it is away.
        let charged: u64 = reserving.into_iter().map(|thread| thread.join().unwrap()).sum();
        let told = told.or_else(|| {
            assert_eq!(charged, 0, "it is there");
            let asked = presence.lock().ask(SECOND * 2, SECOND).unwrap();
            presence.lock().failed(asked, SECOND * 2, SECOND)
        });
        assert_eq!(told.unwrap() + charged, 2);
    });
}

#[test]
fn loom_two_changes_leave_the_same_settings_for_the_store_and_for_the_share() {
    explore(|| {
        let handle = limit(true);
        let threads = [20, 30].map(|limit| {
            let handle = handle.clone();
            thread::spawn(move || handle.change(|settings| settings.rate.limit = limit).unwrap())
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(handle.state.local.core.settings(), handle.settings().share());
    });
}
