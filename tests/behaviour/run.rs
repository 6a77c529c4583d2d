//! Code without a service: `run`, `run_once` and permits.

use std::cell::Cell;

use futures::executor::block_on;
use steadfast::{
    Error, RejectedKind, Run,
    backoff::Backoff,
    circuit_breaker::{CircuitBreaker, State},
    retry::Retry,
    timeout::Timeout,
};
use tower::ServiceBuilder;

use crate::support::{Down, SEC};

#[tokio::test(start_paused = true)]
async fn a_stack_runs_a_piece_of_code_again_and_again() {
    let breaker = CircuitBreaker::builder().consecutive_failures(6).build().unwrap();
    let stack = ServiceBuilder::new()
        .layer(Timeout::builder(SEC / 10).build().unwrap())
        .layer(Retry::builder().backoff(Backoff::none()).build().unwrap())
        .layer(breaker.clone());
    let runs = Cell::new(0);
    let fail = || async {
        runs.set(runs.get() + 1);
        Err::<(), _>(Down)
    };
    assert_eq!(stack.run(fail).await, Err(Error::Inner(Down)));
    assert_eq!(stack.run(fail).await, Err(Error::Inner(Down)));
    assert_eq!((runs.get(), breaker.handle().state()), (6, State::Open), "one breaker for all runs");
    assert!(matches!(stack.run(fail).await, Err(Error::Rejected(_))));
    assert_eq!(runs.get(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_can_be_run_once_is_run_once_and_may_take_what_it_captured() {
    let text = String::from("moved");
    let timeout = Timeout::builder(SEC).build().unwrap();
    assert_eq!(timeout.run_once(|| async move { Ok::<_, Down>(text) }).await, Ok("moved".to_owned()));
    let hang = timeout.run_once(std::future::pending::<Result<(), Down>>).await;
    assert_eq!(hang.unwrap_err().rejected().unwrap().kind(), RejectedKind::TimedOut);
}

#[test]
fn a_breaker_runs_code_that_is_ready_at_once_without_a_runtime() {
    let breaker = CircuitBreaker::builder().consecutive_failures(1).build().unwrap();
    assert_eq!(block_on(breaker.run(|| async { Ok::<_, Down>(1) })), Ok(1));
    assert_eq!(block_on(breaker.run(|| async { Err::<(), _>(Down) })), Err(Error::Inner(Down)));
    assert_eq!(breaker.handle().state(), State::Open);
}

#[test]
fn a_run_that_is_never_polled_leaves_nothing_behind() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    drop(breaker.run(|| async { Ok::<_, Down>(1) }));
    let snapshot = breaker.handle().snapshot();
    assert_eq!((snapshot.recorded, snapshot.abandoned), (0, 0));
}
