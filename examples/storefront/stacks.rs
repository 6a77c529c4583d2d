//! The stacks around the calls to the upstreams, and what a status code means to them. The part to copy from.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{StatusCode, header::RETRY_AFTER},
};
use reqwest::Request;
use serde_json::json;
use steadfast::{
    Classify, ConfigError, Error, Verdict,
    backoff::{Backoff, Jitter},
    circuit_breaker::{CircuitBreaker, CircuitBreakerHandle},
    fallback::Fallback,
    retry::{Budget, Retry},
    timeout::Timeout,
};
use tower::{Layer, Service, ServiceBuilder, util::BoxCloneSyncService};

use crate::upstream::list_price;

/// The error of every stack: a layer's rejection, or the client's own.
pub(crate) type CallError = Error<reqwest::Error>;

/// A client of one upstream, protected or not.
pub(crate) type Call = BoxCloneSyncService<Request, Reply, CallError>;

/// An answer of an upstream, with its body: so reading the body is under the deadline too.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Bytes,
    /// Whether a fallback made it.
    pub(crate) degraded: bool,
}

impl Reply {
    async fn read(response: reqwest::Response) -> Result<Self, reqwest::Error> {
        let status = response.status();
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = response.bytes().await?;
        Ok(Self { status, retry_after: seconds.map(Duration::from_secs), body, degraded: false })
    }

    fn instead(body: &serde_json::Value) -> Self {
        Self { status: StatusCode::OK, retry_after: None, body: body.to_string().into(), degraded: true }
    }
}

/// What outcomes mean, said once for breaker, retry and fallback.
#[derive(Clone, Copy, Debug)]
struct ByStatus;

impl Classify<Reply, CallError> for ByStatus {
    fn classify(&self, outcome: Result<&Reply, &CallError>) -> Verdict {
        match outcome {
            Ok(reply) => match reply.status.as_u16() {
                429 | 503 => Verdict::Overloaded { retry_after: reply.retry_after },
                500.. => Verdict::Transient { retry_after: reply.retry_after },
                400.. => Verdict::Neutral,
                _ => Verdict::Success,
            },
            Err(_) => Verdict::TRANSIENT,
        }
    }

    /// A connection that was refused carried nothing.
    fn reached_service(&self, error: &CallError) -> bool {
        !matches!(error, Error::Inner(error) if error.is_connect())
    }
}

/// The three clients of the shop, and the breakers in them, if any.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    pub(crate) inventory: Call,
    pub(crate) prices: Call,
    pub(crate) recommendations: Call,
    pub(crate) breakers: Vec<CircuitBreakerHandle>,
}

/// `layers` over the HTTP client: the same function for both runs.
fn over<L>(layers: L, client: &reqwest::Client) -> Call
where
    L: Layer<Call>,
    L::Service: Service<Request, Response = Reply, Error = CallError> + Clone + Send + Sync + 'static,
    <L::Service as Service<Request>>::Future: Send + 'static,
{
    let http = ServiceBuilder::new().map_err(Error::Inner).and_then(Reply::read).service(client.clone());
    BoxCloneSyncService::new(layers.layer(Call::new(http)))
}

impl Calls {
    /// No layers at all.
    pub(crate) fn unprotected(client: &reqwest::Client) -> Self {
        let plain = || over(tower::layer::util::Identity::new(), client);
        Self { inventory: plain(), prices: plain(), recommendations: plain(), breakers: Vec::new() }
    }

    /// Fallback, deadline, retry, circuit breaker, attempt timeout: the recommended order.
    pub(crate) fn protected(client: &reqwest::Client) -> Result<Self, ConfigError> {
        // One budget for the three: what retries may add to the load is a matter of the shop, not of each client.
        // Refund: an upstream that fails now and then is retried through, one that is down is not hammered.
        let budget = Arc::new(Budget::refund());
        let mut breakers = Vec::new();
        let mut core = |name: &'static str, plan: Plan| -> Result<_, ConfigError> {
            let breaker = CircuitBreaker::builder()
                .name(name)
                .classify(ByStatus)
                // 100 ms to 400 ms instead of 250 ms to 5 s: a few trial calls now and then cost an upstream nothing, and
                // when its outage is over it shall be over for the customers too.
                .wait_open(
                    Backoff::exponential(Duration::from_millis(100))
                        .max(Duration::from_millis(400))
                        .jitter(Jitter::Around(0.2)),
                )
                // 20 instead of 10: with some 200 calls/s an outage is seen within 100 ms all the same, and an upstream
                // that fails 40 % of its calls, which retries cope with, is not cut off by bad luck.
                .consecutive_failures(20)
                .build()?;
            breakers.push(breaker.handle());
            Ok(ServiceBuilder::new()
                .layer(Timeout::builder(plan.deadline).name(name).build()?)
                .layer(
                    Retry::builder()
                        .name(name)
                        .classify(ByStatus)
                        // A `reqwest::Request` has no `Clone`; all of ours are GETs.
                        .replay(Request::try_clone)
                        .budget(Arc::clone(&budget))
                        .max_retry_after(plan.max_retry_after)
                        .build()?,
                )
                .layer(breaker)
                .layer(Timeout::builder(plan.attempt).name(format!("{name} attempt")).build()?))
        };
        let inventory = core("inventory", Plan::CRITICAL)?;
        let prices = core("prices", Plan::WITH_FALLBACK)?;
        let recommendations = core("recommendations", Plan::WITH_FALLBACK)?;

        let list_price = Fallback::from_request(|_, request: Request| {
            let id = request.url().path().trim_start_matches('/').parse().unwrap_or(0);
            Ok(Reply::instead(&json!({ "cents": list_price(id), "list_price": true })))
        });
        let list_price = list_price.copy_with(Request::try_clone).name("list price").classify(ByStatus).build();
        let nothing = Fallback::value(Reply::instead(&json!([]))).name("no recommendations").classify(ByStatus).build();
        Ok(Self {
            inventory: over(inventory, client),
            prices: over(ServiceBuilder::new().layer(list_price).layer(prices), client),
            recommendations: over(ServiceBuilder::new().layer(nothing).layer(recommendations), client),
            breakers,
        })
    }
}

/// The times of one upstream. All answer in some 30 ms when well; a customer waits for 500 ms.
#[derive(Clone, Copy, Debug)]
struct Plan {
    deadline: Duration,
    attempt: Duration,
    max_retry_after: Duration,
}

impl Plan {
    /// No page without it: use what the customer's patience allows, and wait for a breaker that is about to let
    /// calls through.
    const CRITICAL: Self = Self {
        deadline: Duration::from_millis(420),
        attempt: Duration::from_millis(200),
        max_retry_after: Duration::from_secs(10),
    };
    /// There is an answer without it: do not keep the page waiting. In particular not for an open breaker, which the
    /// default would do as long as the deadline allows.
    const WITH_FALLBACK: Self = Self {
        deadline: Duration::from_millis(250),
        attempt: Duration::from_millis(150),
        max_retry_after: Duration::from_millis(20),
    };
}
