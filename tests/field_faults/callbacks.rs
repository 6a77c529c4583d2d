//! Fault 11: a callback that is run under the lock deadlocks when it reads the state.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use futures::task::{ArcWake, waker};
use steadfast::{
    Error, Verdict,
    backoff::Backoff,
    circuit_breaker::{CircuitBreaker, CircuitBreakerHandle, State},
    fallback::{Fallback, Trigger},
    retry::Retry,
    timeout::Timeout,
};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::support::{Down, Mode, SEC, Upstream, ends};

/// A subscriber of the worst kind: it is run in the middle of whatever woke it, and looks at everything.
struct ReadsWhenWoken {
    handle: CircuitBreakerHandle,
    woken: AtomicU32,
}

impl ArcWake for ReadsWhenWoken {
    fn wake_by_ref(this: &Arc<Self>) {
        let handle = &this.handle;
        let _ = (handle.state(), handle.snapshot(), handle.settings(), handle.acquire().is_ok());
        this.woken.fetch_add(1, SeqCst);
    }
}

// 11
#[test]
fn a_subscriber_that_reads_the_state_while_it_is_told_does_not_deadlock() {
    ends(|| async {
        let breaker = CircuitBreaker::builder().consecutive_failures(1).build().unwrap();
        let handle = breaker.handle();
        let reads = Arc::new(ReadsWhenWoken { handle: handle.clone(), woken: AtomicU32::new(0) });
        let waker = waker(reads.clone());
        let mut events = handle.subscribe();
        let service = breaker.layer(Upstream::new(Mode::Fail));
        let acts: [&dyn Fn(); 5] = [
            &|| handle.force_open(),
            &|| handle.close(),
            &|| drop(futures::executor::block_on(service.clone().oneshot(()))),
            &|| assert!(handle.half_open()),
            &|| handle.change(|settings| settings.minimum_calls = 7).unwrap(),
        ];
        for (number, act) in acts.iter().enumerate() {
            {
                let mut next = Box::pin(events.recv());
                let mut cx = std::task::Context::from_waker(&waker);
                assert!(next.as_mut().poll(&mut cx).is_pending());
                act();
            }
            while events.try_recv().is_some() {}
            assert!(reads.woken.load(SeqCst) > number as u32, "act {number} told nobody");
        }
    });
}

// 11
#[test]
fn classifiers_and_callbacks_that_read_and_move_the_state_do_not_deadlock() {
    ends(|| async {
        let breaker = CircuitBreaker::builder().consecutive_failures(2).build().unwrap();
        let retry = Retry::builder().backoff(Backoff::none()).build().unwrap();
        let timeout = Timeout::builder(SEC).build().unwrap();
        let handles = (breaker.handle(), retry.handle(), timeout.handle());
        let look = {
            let handles = handles.clone();
            move || {
                let (breaker, retry, timeout) = &handles;
                breaker.change(|settings| settings.minimum_calls = breaker.snapshot().attempt.max(1)).unwrap();
                retry.change(|settings| settings.max_attempts = retry.settings().max_attempts).unwrap();
                timeout.change(timeout.limit()).unwrap();
                drop(breaker.acquire());
            }
        };
        let judge = |look: &dyn Fn()| {
            look();
            Verdict::TRANSIENT
        };
        let calls = Arc::new(AtomicU32::new(0));
        // The same state, seen through layers whose callbacks look at it.
        let (one, two, three, four, five) = (look.clone(), look.clone(), look.clone(), look.clone(), look.clone());
        let counted = calls.clone();
        let looking_retry = Retry::builder()
            .backoff(Backoff::none())
            .classify(move |_: Result<&u32, &Error<Down>>| judge(&one))
            .replay(move |(): &()| {
                two();
                Some(())
            })
            .build()
            .unwrap();
        let looking_fallback = Fallback::from_outcome(move |_: Result<u32, Error<Down>>| {
            three();
            counted.fetch_add(1, SeqCst);
            Ok(0)
        })
        .when(move |_: Trigger<'_>| {
            four();
            true
        })
        .build();
        let per_request = Timeout::builder(SEC)
            .per_request(move |_: &()| {
                five();
                None
            })
            .build()
            .unwrap();
        let service = ServiceBuilder::new()
            .layer(looking_fallback)
            .layer(per_request)
            .layer(looking_retry)
            .layer(timeout)
            .layer(retry)
            .layer(breaker)
            .service(Upstream::new(Mode::Fail));
        for _ in 0..5 {
            assert_eq!(service.clone().oneshot(()).await, Ok(0));
        }
        assert_eq!(calls.load(SeqCst), 5);
        handles.0.close();
    });
}

// 11
#[test]
fn a_classifier_of_the_breaker_itself_that_reads_and_moves_it_does_not_deadlock() {
    ends(|| async {
        let slot: Arc<std::sync::OnceLock<CircuitBreakerHandle>> = Arc::default();
        let own = slot.clone();
        let breaker = CircuitBreaker::builder()
            .classify(move |_: Result<&u32, &Error<Down>>| {
                let handle = own.get().unwrap();
                assert_eq!(handle.state(), State::Closed);
                handle.force_open();
                Verdict::TRANSIENT
            })
            .build()
            .unwrap();
        slot.set(breaker.handle()).unwrap();
        breaker.layer(Upstream::new(Mode::Fail)).oneshot(()).await.unwrap_err();
        assert_eq!((breaker.handle().state(), breaker.handle().snapshot().late), (State::ForcedOpen, 1));
    });
}
