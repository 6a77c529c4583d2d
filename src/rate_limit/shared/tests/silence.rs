//! A store that does not answer, or late, and callers that cannot wait for it.

use super::*;

/// Waits for a turn, for 10 ms at most.
async fn impatient(handle: &SharedRateLimitHandle<Scripted>) -> Option<Result<(), Rejected>> {
    let patience = Box::pin(sleep(MS * 10));
    match futures::future::select(Box::pin(handle.acquire()), patience).await {
        futures::future::Either::Left((outcome, _)) => Some(outcome),
        futures::future::Either::Right(_) => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_found_to_be_away_by_callers_that_give_up_before_the_timeout() {
    let (store, handle) = limit(SECOND);
    let mut events = handle.subscribe();
    store.answers(None);
    let start = time::now();
    let mut gave_up = 0;
    while gave_up < 10 && impatient(&handle).await.is_none() {
        gave_up += 1;
    }
    assert_eq!((gave_up, store.asked()), (5, 5));
    assert!(time::now() - start < MS * 60);
    assert_eq!(events.try_recv(), Some(Received::Event(RateLimitEvent::StoreAway { why: StoreFailure::TimedOut })));
    let snapshot = handle.snapshot();
    assert_eq!((snapshot.store_away, snapshot.local_calls, snapshot.waiting), (true, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_at_the_same_time_have_waited_once() {
    let (store, handle) = limit(SECOND);
    store.answers(None);
    for _ in 0..4 {
        let outcomes = futures::future::join_all((0..30).map(|_| impatient(&handle))).await;
        assert!(outcomes.iter().all(Option::is_none));
        assert!(!handle.snapshot().store_away);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_between_shows_that_it_is_there() {
    let (store, handle) = limit(SECOND);
    for _ in 0..20 {
        store.answers(None);
        for _ in 0..4 {
            assert_eq!(impatient(&handle).await, None);
        }
        store.answers(Ok(Decision::admitted()));
        assert_eq!(impatient(&handle).await, Some(Ok(())));
    }
    assert_eq!((handle.snapshot().went_away, handle.snapshot().local_calls), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_call_with_a_deadline_gives_the_store_half_of_its_time_and_then_takes_the_share() {
    let (store, handle) = limit(SECOND);
    handle.change(|settings| settings.rate.burst = 100).unwrap();
    store.answers(None);
    for call in 1..=4 {
        let start = time::now();
        within(MS * 30, &handle).await.unwrap();
        assert_eq!(time::now() - start, MS * 15);
        let snapshot = handle.snapshot();
        assert_eq!((snapshot.local_calls, snapshot.store_away), (call, call == 4), "60 ms in vain are too many");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reserved_turn_never_ends_after_the_deadline() {
    let (store, handle) = limit(SECOND);
    let start = time::now();
    within(MS * 20, &handle).await.unwrap();
    within(MS * 300, &handle).await.unwrap();
    assert_eq!(store.waits(), [MS * 10, MS * 250]);
    // The answer takes as long as it may, and the wait is the longest that was asked for.
    store.answers_after(MS * 49, Ok(Decision::admitted_after(MS * 250)));
    within(MS * 300, &handle).await.unwrap();
    assert_eq!((time::now() - start, handle.snapshot().local_calls), (MS * 299, 0));
    handle.acquire().await.unwrap();
    assert_eq!(store.waits()[3], SECOND, "without a deadline all of `max_wait`");
}

#[tokio::test(start_paused = true)]
async fn nothing_admits_a_call_whose_deadline_is_over() {
    let (store, handle) = limit(SECOND);
    let rejected = within(Duration::ZERO, &handle).await.unwrap_err();
    assert_eq!((rejected.kind(), rejected.retry_after()), (RejectedKind::RateLimited, Some(Duration::ZERO)));
    assert_eq!((store.asked(), handle.snapshot().refused), (0, 1));
    // Polled again only after the deadline.
    store.answers(None);
    let mut late = Box::pin(within(MS * 30, &handle));
    assert!(futures::poll!(&mut late).is_pending());
    sleep(MS * 40).await;
    assert_eq!(late.await.unwrap_err().kind(), RejectedKind::RateLimited);
    assert_eq!((handle.snapshot().refused, handle.snapshot().waiting), (2, 0));
    // Nor does a share that has turns.
    store.answers(broken());
    handle.acquire().await.unwrap();
    sleep(MS * 100).await;
    within(Duration::ZERO, &handle).await.unwrap_err();
    within(MS, &handle).await.unwrap();
}
