//! The contract that every layer of the crate keeps. A layer that is not listed here makes the suite fail.

mod bounds;
mod cancellation;
mod clock;
mod errors;
mod mock;
mod panics;
mod poll_ready;
mod readiness;
mod scan;
mod shared_state;
mod subjects;
mod virtual_time;

use std::{collections::BTreeSet, convert::Infallible, path::Path};

use mock::{Broken, Fault};
use steadfast::{BoxError, Error, Rejected};

/// Runs the contract over each subject: `name: [the layer it is] maker, maker for requests that are not Clone, the
/// test of its shared state, its error over Infallible`; with `<_>` where its type depends on that of the service, and
/// `shared` at the end where services must be `Send` because others than the caller use them.
macro_rules! contract {
    // A type that depends on the service below; any will do.
    (@any $inferred:tt) => { std::future::Pending<Result<mock::Answer, Fault>> };
    (@local $layer:expr, shared) => {};
    (@local $layer:expr,) => {
        #[tokio::test(start_paused = true)]
        async fn works_over_a_service_that_is_not_send() {
            bounds::over_a_local_service($layer).await;
        }
    };
    ($($subject:ident: [$($layer:ident)?]
        $make:ident $(<$inferred:tt>)?, $unique:ident, $state:ident, $over_infallible:ty $(, $shared:ident)?;)*) => {
        /// The layers that are covered.
        const COVERED: &[&str] = &[$($(stringify!($layer),)?)*];

        $(mod $subject {
            use super::*;

            #[allow(dead_code, reason = "a stack is no layer of a name, nor is a service over several")]
            fn layer_name() -> &'static str {
                bounds::type_name(subjects::$make::<Fault $(, contract!(@any $inferred))?>)
            }

            $(#[test]
            fn it_is_the_layer_it_says() {
                assert!(layer_name().starts_with(stringify!($layer)));
            })?

            #[tokio::test(start_paused = true)]
            async fn calls_only_an_instance_that_it_has_driven_to_ready() {
                readiness::over_a_strict_service(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn works_over_a_concurrency_limit() {
                readiness::over_a_concurrency_limit(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn works_over_a_buffer() {
                readiness::over_a_buffer(subjects::$make::<BoxError $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn a_call_can_be_dropped_at_every_await_point() {
                cancellation::at_every_await_point(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn a_call_that_is_dropped_while_it_waits_for_readiness_gives_up_its_place() {
                cancellation::while_waiting_for_readiness(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn a_panic_of_the_inner_service_passes_through_and_leaves_it_working() {
                panics::pass_through(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn all_services_of_one_layer_share_its_state() {
                shared_state::$state(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn it_is_send_sync_and_clone_and_so_are_its_services() {
                bounds::send_sync_and_clone(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn takes_requests_that_are_neither_clone_nor_sync() {
                bounds::unique_requests(subjects::$unique::<Fault $(, $inferred)?>).await;
            }

            contract!(@local subjects::$make::<Fault $(, $inferred)?>, $($shared)?);

            #[tokio::test(start_paused = true)]
            async fn virtual_time_is_all_that_a_call_takes() {
                virtual_time::a_long_call(subjects::$make::<Fault $(, $inferred)?>, subjects::own_wait(stringify!($subject))).await;
            }

            #[tokio::test(start_paused = true)]
            async fn is_ready_at_once_when_the_inner_service_is() {
                poll_ready::at_once(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn has_no_error_of_its_own_from_poll_ready() {
                poll_ready::no_error_of_its_own(subjects::$make::<Fault $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn passes_on_an_error_of_the_inner_service_from_poll_ready() {
                let always_ready = subjects::is_always_ready(stringify!($subject));
                poll_ready::passes_errors_on(subjects::$make::<Fault $(, $inferred)?>, always_ready).await;
            }

            #[tokio::test(start_paused = true)]
            async fn over_what_cannot_fail_only_rejections_are_left() {
                errors::over_infallible::<_, $over_infallible>(subjects::$make::<Infallible $(, $inferred)?>).await;
            }

            #[tokio::test(start_paused = true)]
            async fn keeps_the_innermost_error() {
                errors::kept::<_, Fault>(subjects::$make::<Fault $(, $inferred)?>).await;
                errors::kept::<_, BoxError>(subjects::$make::<BoxError $(, $inferred)?>).await;
                errors::kept::<_, Error<Broken>>(subjects::$make::<Error<Broken> $(, $inferred)?>).await;
                errors::kept::<_, Rejected>(subjects::$make::<Rejected $(, $inferred)?>).await;
            }
        })*
    };
}

contract! {
    timeout: [TimeoutLayer] timeout, timeout, timeout, Rejected;
    circuit_breaker: [CircuitBreakerLayer] circuit_breaker, circuit_breaker, circuit_breaker, Rejected;
    circuit_breaker_of_a_key: [CircuitBreakerLayer]
        circuit_breaker_of_a_key, circuit_breaker_of_a_key, circuit_breaker, Rejected;
    retry: [RetryLayer] retry, retry_of_what_is_not_clone, retry, Rejected;
    retry_with_hedge: [RetryLayer] retry_with_hedge, retry_with_hedge_of_what_is_not_clone, retry_with_hedge, Rejected;
    fallback_to_a_function: [FallbackLayer] fallback_function, fallback_function, fallback, Rejected;
    fallback_to_a_service: [FallbackLayer] fallback_service, fallback_service_of_what_is_not_clone, fallback, Rejected;
    bulkhead: [BulkheadLayer] bulkhead, bulkhead, bulkhead, Rejected;
    bulkhead_with_a_queue: [BulkheadLayer] bulkhead_with_queue, bulkhead_with_queue, bulkhead, Rejected;
    adaptive_limit: [AdaptiveLimitLayer] adaptive_limit, adaptive_limit, adaptive_limit, Rejected;
    adaptive_limit_that_waits: [AdaptiveLimitLayer]
        adaptive_limit_that_waits, adaptive_limit_that_waits, adaptive_limit, Rejected;
    rate_limit: [RateLimitLayer] rate_limit, rate_limit, rate_limit, Rejected;
    shared_rate_limit: [SharedRateLimitLayer]
        shared_rate_limit, shared_rate_limit, shared_rate_limit, Rejected;
    shared_rate_limit_that_waits: [SharedRateLimitLayer]
        shared_rate_limit_that_waits, shared_rate_limit_that_waits, shared_rate_limit_that_waits, Rejected;
    shared_rate_limit_alone: [SharedRateLimitLayer]
        shared_rate_limit_alone, shared_rate_limit_alone, shared_rate_limit_alone, Rejected;
    boundary: [BoundaryLayer] boundary, boundary, stateless, Rejected;
    // It rejects nothing, so its error is that of the service below.
    ready: [ReadyLayer] ready, ready, stateless, Infallible;
    // Nor does this one.
    chaos: [ChaosLayer] chaos, chaos, chaos, Infallible;
    chaos_that_delays: [ChaosLayer] chaos_that_delays, chaos_that_delays, chaos, Infallible;
    // Nor this one.
    coalesce: [CoalesceLayer] coalesce<_>, coalesce_of_what_is_not_clone, coalesce, Infallible;
    shed: [ShedLayer] shed, shed, shed, Rejected;
    shed_with_a_queue: [ShedLayer] shed_with_queue, shed_with_queue, shed, Rejected;
    // No layer of the crate, but a service over several: a layer of the suite's own puts it over one, or over two of the same.
    failover: [] failover, failover_of_what_is_not_clone, failover, Rejected, shared;
    failover_that_moves_on: []
        failover_that_moves_on, failover_that_moves_on_of_what_is_not_clone, failover, Rejected, shared;
    failover_below_others: [] stack_with_failover, stack_with_failover_of_what_is_not_clone, stateful, Rejected, shared;
    stack_of_all: [] stack, stack_of_what_is_not_clone, stack, Rejected;
}

#[cfg(feature = "cache")]
mod with_cache {
    use super::*;

    contract! {
        cache: [CacheLayer] cache, cache_of_what_is_not_clone, cache, Rejected;
    }

    #[test]
    fn it_is_covered() {
        assert_eq!(COVERED, ["CacheLayer"]);
    }
}

#[test]
fn every_layer_of_the_crate_is_covered() {
    let found = scan::layers_below(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    // The cache only with its feature.
    let covered: BTreeSet<String> = COVERED.iter().copied().chain(["CacheLayer"]).map(String::from).collect();
    assert_eq!(found, covered, "left: the layers in src/; right: those listed in `contract!`");
}
