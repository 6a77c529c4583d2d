//! The call context: seen below a `Buffer`, carried into spawned tasks, and gone outside of the call.

use steadfast::{
    BoxError, Rejected, backoff::Backoff, boundary::BoundaryLayer, context, retry::Retry, timeout::Timeout,
};
use tower::{Layer, ServiceBuilder, ServiceExt, buffer::BufferLayer, service_fn};

use crate::support::{MS, Mode, SEC, Upstream, now};

#[tokio::test(start_paused = true)]
async fn the_deadline_is_kept_by_a_retry_below_a_buffer() {
    let retry = Retry::builder().backoff(Backoff::fixed(2 * SEC)).build().unwrap();
    // The retry is called in the buffer's own task, and polled in the caller's.
    let service = ServiceBuilder::new()
        .layer(Timeout::builder(SEC).build().unwrap())
        .layer(BufferLayer::new(4))
        .layer(retry.clone())
        .service(Upstream::new(Mode::Fail));
    let began = now();
    let error = service.oneshot(()).await.unwrap_err();
    assert_eq!(now(), began, "the wait would end after the deadline, so it is not begun: {error}");
    assert_eq!(retry.handle().retries(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_seen_below_and_not_outside_of_the_call() {
    let began = now();
    let timeout = Timeout::builder(SEC).build().unwrap();
    let seen = timeout.layer(service_fn(|()| async { Ok::<_, Rejected>(context::deadline()) })).oneshot(()).await;
    assert_eq!(seen, Ok(Some(began + SEC)));
    assert_eq!(context::deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn a_spawned_task_sees_the_deadline_only_if_it_is_carried_there() {
    let began = now();
    let timeout = Timeout::builder(SEC).build().unwrap();
    let spawns = service_fn(|()| async {
        let see = async { context::deadline() };
        let without = tokio::spawn(see).await.unwrap();
        let with = tokio::spawn(context::scope(context::current(), async { context::deadline() })).await.unwrap();
        Ok::<_, BoxError>((without, with))
    });
    let (without, with) = timeout.layer(spawns).oneshot(()).await.unwrap();
    assert_eq!((without, with), (None, Some(began + SEC)));
}

#[tokio::test(start_paused = true)]
async fn the_number_of_the_attempt_is_seen_below_and_begins_anew_behind_a_boundary() {
    for (boundary, expected) in [(false, vec![1, 2, 3]), (true, vec![1, 1, 1])] {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let log = seen.clone();
        let inner = service_fn(move |()| {
            log.lock().unwrap().push(context::attempt());
            std::future::ready(Err::<(), BoxError>("down".into()))
        });
        let retry = Retry::builder().backoff(Backoff::fixed(MS)).build().unwrap();
        let _ = match boundary {
            true => retry.layer(BoundaryLayer.layer(inner)).oneshot(()).await,
            false => retry.layer(inner).oneshot(()).await,
        };
        assert_eq!(*seen.lock().unwrap(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_panics_leaves_no_context_behind() {
    let timeout = Timeout::builder(SEC).build().unwrap();
    let service = timeout.layer(Upstream::new(Mode::PanicInPoll));
    let mut call = Box::pin(service.oneshot(()));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| crate::support::poll_once(&mut call)));
    assert!(panicked.is_err());
    assert_eq!((context::deadline(), context::attempt()), (None, 1));
}
