//! Over real services: permits, boxed errors, threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use steadfast::{
    BoxError, LayerError, Rejected, RejectedKind,
    coalesce::{self, Coalesce, SharedFailure},
};
use tower::{Layer as _, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit, service_fn};

use crate::support::{Upstream, key_of, request};

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_call_holds_no_place_below() {
    let upstream = Upstream::default();
    let coalesce = Coalesce::builder(key_of).build();
    let service = coalesce.layer(ConcurrencyLimit::new(upstream.clone(), 2));
    let same: Vec<_> = (0..10).map(|_| tokio::spawn(service.clone().oneshot(request(1)))).collect();
    let other = tokio::spawn(service.clone().oneshot(request(2)));
    tokio::task::yield_now().await;
    assert_eq!(upstream.made(), 2, "one of each key");
    upstream.answer(2);
    assert_eq!(other.await.unwrap(), Ok(2));
    upstream.answer(1);
    for call in same {
        assert_eq!(call.await.unwrap(), Ok(1));
    }
}

#[tokio::test(start_paused = true)]
async fn callers_join_a_call_that_waits_for_a_place_below() {
    let upstream = Upstream::default();
    let coalesce = Coalesce::builder(key_of).build();
    let service = coalesce.layer(ConcurrencyLimit::new(upstream.clone(), 1));
    let holder = tokio::spawn(service.clone().oneshot(request(1)));
    tokio::task::yield_now().await;
    let first = tokio::spawn(service.clone().oneshot(request(2)));
    tokio::task::yield_now().await;
    let second = tokio::spawn(service.clone().oneshot(request(2)));
    tokio::task::yield_now().await;
    // The place in line goes along too.
    first.abort();
    assert!(first.await.is_err());
    upstream.answer(1);
    holder.await.unwrap().unwrap();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    upstream.answer(2);
    assert_eq!(second.await.unwrap(), Ok(2));
    assert_eq!(coalesce.handle().snapshot().handed_on, 1);
}

#[tokio::test(start_paused = true)]
async fn of_a_boxed_error_the_others_get_the_words_and_of_a_rejection_all_of_it() {
    let failing = |fail: fn() -> BoxError| {
        let service = service_fn(move |(): ()| async move {
            tokio::task::yield_now().await;
            Err::<u32, BoxError>(fail())
        });
        Coalesce::builder(|(): &()| Some(())).share(coalesce::boxed).build().layer(service)
    };
    let service = failing(|| "no such shop".into());
    let (first, second) = tokio::join!(service.clone().oneshot(()), service.oneshot(()));
    assert!(!first.unwrap_err().is::<SharedFailure>());
    let second = second.unwrap_err();
    assert_eq!((second.is::<SharedFailure>(), second.to_string().as_str()), (true, "no such shop"));

    let service = failing(|| Rejected::new(RejectedKind::RateLimited, "shop").with_retry_after(Duration::MAX).into());
    let (first, second) = tokio::join!(service.clone().oneshot(()), service.oneshot(()));
    assert_eq!(first.unwrap_err().as_rejected().cloned(), second.unwrap_err().as_rejected().cloned());
}

/// Real threads, real time: callers come, give up and are answered in whatever order.
#[test]
fn on_many_threads_every_caller_that_stays_is_answered_and_no_two_calls_of_a_key_overlap() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    runtime.block_on(async {
        let running: Arc<[AtomicU32; 3]> = Arc::default();
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let inner = service_fn(move |key: usize| {
            let (running, calls) = (Arc::clone(&running), Arc::clone(&counted));
            async move {
                struct Running(Arc<[AtomicU32; 3]>, usize);
                impl Drop for Running {
                    fn drop(&mut self) {
                        self.0[self.1].fetch_sub(1, SeqCst);
                    }
                }
                let others = running[key].fetch_add(1, SeqCst);
                let running = Running(running, key);
                let number = calls.fetch_add(1, SeqCst);
                for _ in 0..number % 5 {
                    tokio::task::yield_now().await;
                }
                drop(running);
                Ok::<_, BoxError>((key, others))
            }
        });
        let coalesce = Coalesce::builder(|key: &usize| Some(*key)).share(coalesce::boxed).build();
        let handle = coalesce.handle();
        let service = ServiceBuilder::new().layer(coalesce).service(inner);
        let callers: Vec<_> = (0..20_000_usize)
            .map(|n| {
                let call = tokio::spawn(service.clone().oneshot(n % 3));
                if n % 7 == 0 {
                    call.abort();
                }
                call
            })
            .collect();
        for (n, call) in callers.into_iter().enumerate() {
            match call.await {
                Ok(answer) => assert_eq!(answer.unwrap(), (n % 3, 0)),
                Err(gone) => assert!(gone.is_cancelled() && n % 7 == 0),
            }
        }
        let snapshot = handle.snapshot();
        assert_eq!((snapshot.calls, snapshot.waiting), (0, 0));
        assert!(snapshot.joined > 0 && calls.load(SeqCst) < 20_000, "{snapshot:?}");
    });
}
