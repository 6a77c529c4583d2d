//! Fault 7: a breaker that is inert because every route or request got its own.

use axum::{
    Router,
    body::Body,
    error_handling::HandleErrorLayer,
    http::{Request, StatusCode},
    response::Response,
    routing::get,
};
use steadfast::{
    Rejected, Verdict,
    circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, State},
    classify::{self, Classify},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{Mode, Upstream, never};

fn by_status() -> impl Classify<Response, Rejected> + Clone {
    classify::from_fn(|outcome: Result<&Response, &Rejected>| match outcome {
        Ok(response) if response.status().is_server_error() => Verdict::TRANSIENT,
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::TRANSIENT,
    })
}

async fn status(router: &Router, path: &str) -> StatusCode {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap_or_else(|error| never(error)).status()
}

async fn unavailable(rejected: Rejected) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, rejected.to_string())
}

fn routes() -> Router {
    let fails = || async { StatusCode::INTERNAL_SERVER_ERROR };
    Router::new().route("/a", get(fails)).route("/b", get(fails)).route("/ok", get(|| async { "ok" }))
}

fn breaker() -> CircuitBreakerLayer<impl Classify<Response, Rejected> + Clone> {
    CircuitBreaker::builder().consecutive_failures(3).classify(by_status()).build().unwrap()
}

// 7
#[tokio::test(start_paused = true)]
async fn a_breaker_around_axum_routes_is_one_for_all_of_them() {
    for by_route in [true, false] {
        let breaker = breaker();
        let stack = ServiceBuilder::new().layer(HandleErrorLayer::new(unavailable)).layer(breaker.clone());
        let router = if by_route { routes().route_layer(stack) } else { routes().layer(stack) };
        for path in ["/a", "/b", "/a"] {
            assert_eq!(status(&router, path).await, StatusCode::INTERNAL_SERVER_ERROR);
        }
        assert_eq!(breaker.handle().state(), State::Open, "by route: {by_route}");
        for path in ["/a", "/b", "/ok"] {
            assert_eq!(status(&router, path).await, StatusCode::SERVICE_UNAVAILABLE, "by route: {by_route}, {path}");
        }
    }
}

// 7
#[tokio::test(start_paused = true)]
async fn a_router_that_is_built_anew_for_every_request_has_the_one_breaker() {
    let breaker = breaker();
    let build = || {
        let stack = ServiceBuilder::new().layer(HandleErrorLayer::new(unavailable)).layer(breaker.clone());
        routes().route_layer(stack)
    };
    for _ in 0..3 {
        assert_eq!(status(&build(), "/a").await, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_eq!(status(&build(), "/a").await, StatusCode::SERVICE_UNAVAILABLE);
}

// 7
#[tokio::test(start_paused = true)]
async fn a_breaker_put_on_anew_for_every_request_is_still_one_breaker() {
    let breaker = CircuitBreaker::builder().consecutive_failures(3).build().unwrap();
    let upstream = Upstream::new(Mode::Fail);
    let (layer, inner) = (breaker.clone(), upstream.clone());
    let per_request = service_fn(move |request: ()| layer.layer(inner.clone()).oneshot(request));
    for _ in 0..10 {
        let _ = per_request.clone().oneshot(()).await;
    }
    assert_eq!(breaker.handle().state(), State::Open);
    assert_eq!(upstream.calls(), 3, "the fourth and later ones were refused");
}

// 7
#[tokio::test(start_paused = true)]
async fn retry_budget_and_counters_are_shared_by_all_that_a_layer_makes() {
    use steadfast::{backoff::Backoff, fallback::Fallback, retry::Retry, timeout::Timeout};
    let retry = Retry::builder().backoff(Backoff::none()).build().unwrap();
    let timeout = Timeout::builder(crate::support::SEC).build().unwrap();
    let fallback = Fallback::value(0).build();
    let (failing, hanging) = (Upstream::new(Mode::Fail), Upstream::new(Mode::Hang));
    for _ in 0..100 {
        let _ = retry.layer(failing.clone()).oneshot(()).await;
    }
    for _ in 0..3 {
        let _ = timeout.layer(hanging.clone()).oneshot(()).await;
        let _ = fallback.layer(failing.clone()).oneshot(()).await;
    }
    // 50 tokens, and a fifth of one for each of a hundred calls.
    assert!((50..=70).contains(&retry.handle().retries()), "{}", retry.handle().retries());
    assert_eq!((timeout.handle().timed_out(), fallback.handle().taken()), (3, 3));
}
