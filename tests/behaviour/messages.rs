//! What is read at three in the morning: the text of every error, state and cause.

use steadfast::{
    BoxError, Error, Rejected, RejectedKind,
    circuit_breaker::{CircuitBreaker, State},
    timeout::Timeout,
};
use tower::{Layer, ServiceExt};

use crate::support::{Down, MS, Mode, SEC, Upstream, changes};

#[test]
fn every_rejection_says_who_refused_why_and_until_when() {
    let text = |kind| Rejected::new(kind, "inventory").to_string();
    assert_eq!(text(RejectedKind::TimedOut), "timeout `inventory`: no answer in time");
    assert_eq!(text(RejectedKind::CircuitOpen), "circuit breaker `inventory` is open");
    assert_eq!(
        text(RejectedKind::CircuitHalfOpen),
        "circuit breaker `inventory` is half-open and its trial calls are taken"
    );
    assert_eq!(text(RejectedKind::CircuitForcedOpen), "circuit breaker `inventory` was forced open by hand");
    assert_eq!(text(RejectedKind::BulkheadFull), "bulkhead `inventory` is full");
    assert_eq!(text(RejectedKind::RateLimited), "rate limit `inventory` is reached");
    assert_eq!(text(RejectedKind::LimitReached), "adaptive limit `inventory` is reached");
    assert_eq!(text(RejectedKind::Shed), "`inventory` is overloaded and sheds load");
    let later = Rejected::new(RejectedKind::CircuitOpen, "inventory").with_retry_after(1200 * MS);
    assert_eq!(later.to_string(), "circuit breaker `inventory` is open; try again in 1.2s");
}

#[test]
fn a_jittered_wait_is_read_in_milliseconds_and_never_too_short() {
    let wait = std::time::Duration::from_nanos(249_736_251);
    let rejected = Rejected::new(RejectedKind::CircuitOpen, "inventory").with_retry_after(wait);
    assert_eq!(rejected.to_string(), "circuit breaker `inventory` is open; try again in 250ms");
    assert_eq!(rejected.retry_after(), Some(wait), "only the text is rounded");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_stack_reads_as_what_it_is_without_a_wrapper_around() {
    let timeout = Timeout::builder(SEC).name("prices").build().unwrap();
    let inner = timeout.layer(Upstream::new(Mode::Fail)).oneshot(()).await.unwrap_err();
    assert_eq!((inner.to_string(), format!("{inner:?}")), ("the upstream is down".into(), "Inner(Down)".into()));
    let rejected = timeout.layer(Upstream::new(Mode::Hang)).oneshot(()).await.unwrap_err();
    assert_eq!(rejected.to_string(), "timeout `prices`: no answer in time");
    assert_eq!(
        format!("{rejected:?}"),
        r#"Rejected(Rejected { kind: TimedOut, name: "prices", retry_after: None, reached_service: true })"#
    );
    let boxed = BoxError::from(Error::<Down>::Inner(Down));
    assert!(boxed.source().is_none(), "transparent: the text is there once");
}

#[test]
fn a_change_of_state_reads_as_a_line_of_a_log() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    let mut events = breaker.handle().subscribe();
    breaker.handle().open();
    breaker.handle().half_open();
    breaker.handle().metrics_only();
    let lines: Vec<_> = changes(&mut events).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["closed -> open (by hand)", "open -> half-open (by hand)", "half-open -> metrics only (by hand)"]
    );
    assert_eq!(State::Disabled.to_string(), "disabled");
}
