//! Microsoft's seatbelt, in the order that it recommends: retry, breaker, timeout.

use std::time::Duration;

use seatbelt::{
    RecoveryInfo, ResilienceContext,
    breaker::{Breaker, HalfOpenMode},
    retry::Retry,
    timeout::Timeout,
};
use steadfast::storm::{Request, Response, Stack, Upstream};
use tick::Clock;
use tower::ServiceBuilder;

use super::{ATTEMPT, DEADLINE, Peer, Trouble};
use crate::clock;

type Outcome = Result<Response, Trouble>;

/// What it does without settings. The timeout has no default: this is the one of its documentation.
pub(super) fn defaults() -> Peer {
    let stack = Stack::new("seatbelt defaults", |upstream: Upstream| {
        let context = context(&upstream);
        ServiceBuilder::new()
            .layer(Retry::layer("retry", &context).clone_input().recovery_with(|outcome, _| meaning(outcome)))
            .layer(
                Breaker::layer("breaker", &context)
                    .recovery_with(|outcome, _| meaning(outcome))
                    .rejected_input_error(|_, _| Trouble::NotSent),
            )
            .layer(
                Timeout::layer("timeout", &context)
                    .timeout(Duration::from_secs(30))
                    .timeout_error(|_| Trouble::TimedOut),
            )
            .map_err(Trouble::Backend)
            .service(upstream)
    });
    Peer::new(stack, "4 attempts of 30 s, breaker 10 % of 30 s, open 5 s, progressive half-open").reads_system_clock()
}

/// What comes to the highest geometric mean of attempts of 250, 500 and 995 ms, 0.5, 1 and 5 s open, failure thresholds of
/// 25, 50 and 75 %, and either half-open mode.
pub(super) fn tuned() -> Peer {
    let stack = Stack::new("seatbelt tuned", |upstream: Upstream| {
        let context = context(&upstream);
        ServiceBuilder::new()
            .layer(Timeout::layer("deadline", &context).timeout(DEADLINE).timeout_error(|_| Trouble::TimedOut))
            .layer(
                Retry::layer("retry", &context)
                    .clone_input()
                    .recovery_with(|outcome, _| meaning(outcome))
                    .max_retry_attempts(2)
                    .base_delay(Duration::from_millis(50)),
            )
            .layer(
                Breaker::layer("breaker", &context)
                    .recovery_with(|outcome, _| meaning(outcome))
                    .rejected_input_error(|_, _| Trouble::NotSent)
                    .failure_threshold(0.5)
                    .min_throughput(20)
                    .sampling_duration(Duration::from_secs(10))
                    .break_duration(Duration::from_secs(1))
                    .half_open_mode(HalfOpenMode::quick()),
            )
            .layer(Timeout::layer("attempt", &context).timeout(ATTEMPT).timeout_error(|_| Trouble::TimedOut))
            .map_err(Trouble::Backend)
            .service(upstream)
    });
    let configuration = "1 s in all, 3 attempts of 250 ms, jitter around 50 ms x 2, breaker 50 % of 10 s, open 1 s, quick \
                         half-open";
    Peer::new(stack, configuration).reads_system_clock()
}

fn context(upstream: &Upstream) -> ResilienceContext<Request, Outcome> {
    clock::follow_and_watch(upstream);
    if upstream.client() == 0 {
        fastrand::seed(0);
    }
    ResilienceContext::new(Clock::new_tokio())
}

/// What failed is tried again, unless the breaker has refused it.
fn meaning(outcome: &Outcome) -> RecoveryInfo {
    match outcome {
        Ok(_) | Err(Trouble::NotSent) => RecoveryInfo::never(),
        Err(_) => RecoveryInfo::retry(),
    }
}
