//! The shop front: one page out of three upstreams, and proper responses when there is none.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use reqwest::{Method, Request, Url};
use serde_json::{Value, json};
use steadfast::RejectedKind;
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::{
    stacks::{Call, CallError, Calls, Reply},
    upstream::{Fault, Upstream},
};

/// The header that says which parts of a page are stand-ins.
pub(crate) const DEGRADED: &str = "x-degraded";

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Shop {
    pub(crate) calls: Calls,
    /// Inventory, prices, recommendations.
    pub(crate) upstreams: [Upstream; 3],
}

/// Serves the shop on a port of 127.0.0.1 until the runtime ends.
pub(crate) async fn open(shop: Arc<Shop>) -> io::Result<SocketAddr> {
    let app = Router::new()
        .route("/product/{id}", get(product))
        .route("/breakers", get(breakers))
        .route("/fault/{upstream}/{kind}", post(break_upstream))
        .with_state(shop);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

async fn product(State(shop): State<Arc<Shop>>, Path(id): Path<u64>) -> Response {
    let [inventory, prices, recommendations] = &shop.upstreams;
    // All three to their end, not `try_join!`: that drops the calls to the well upstreams as soon as one breaker refuses,
    // and a breaker that sees half of its calls dropped for some seconds opens.
    let (inventory, prices, recommendations) = tokio::join!(
        ask(&shop.calls.inventory, inventory, id),
        ask(&shop.calls.prices, prices, id),
        ask(&shop.calls.recommendations, recommendations, id),
    );
    let page = || -> Result<Response, Failure> {
        let parts = [("inventory", inventory?), ("prices", prices?), ("recommendations", recommendations?)];
        let degraded: Vec<_> = parts.iter().filter(|(_, part)| part.degraded).map(|(name, _)| *name).collect();
        let parts = parts.map(|(name, part)| (name, part.value));
        let mut page = Json(json!({ "id": id, "parts": Value::from_iter(parts) })).into_response();
        if !degraded.is_empty()
            && let Ok(names) = HeaderValue::from_str(&degraded.join(", "))
        {
            page.headers_mut().insert(DEGRADED, names);
        }
        Ok(page)
    };
    page().unwrap_or_else(IntoResponse::into_response)
}

/// A part of a page.
struct Part {
    value: Value,
    degraded: bool,
}

async fn ask(call: &Call, upstream: &Upstream, id: u64) -> Result<Part, Failure> {
    let path = format!("http://{}/{id}", upstream.address);
    let url = Url::parse(&path).map_err(|error| Failure::internal(upstream.name, error))?;
    let outcome = call.clone().oneshot(Request::new(Method::GET, url)).await;
    match outcome.map_err(|error| Failure::of_call(upstream.name, &error))? {
        Reply { status: StatusCode::OK, body, degraded, .. } => {
            let value = serde_json::from_slice(&body).map_err(|error| Failure::internal(upstream.name, error))?;
            Ok(Part { value, degraded })
        }
        Reply { status, retry_after, .. } => Err(Failure {
            status: StatusCode::SERVICE_UNAVAILABLE,
            component: upstream.name.into(),
            error: format!("{} answered {status}", upstream.name),
            retry_after,
        }),
    }
}

/// Why there is no page.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    component: String,
    error: String,
    retry_after: Option<Duration>,
}

impl Failure {
    /// What the customer is told: which component, and why; not the addresses that are in the client's own errors.
    fn of_call(upstream: &str, error: &CallError) -> Self {
        let (status, component, error, retry_after) = match error {
            CallError::Rejected(rejected) => {
                let status = match rejected.kind() {
                    RejectedKind::TimedOut => StatusCode::GATEWAY_TIMEOUT,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
                (status, rejected.name().as_str(), rejected.to_string(), rejected.retry_after())
            }
            CallError::Inner(error) if error.is_timeout() => {
                (StatusCode::GATEWAY_TIMEOUT, upstream, format!("{upstream} did not answer in time"), None)
            }
            CallError::Inner(error) if error.is_connect() => {
                (StatusCode::SERVICE_UNAVAILABLE, upstream, format!("{upstream} cannot be reached"), None)
            }
            CallError::Inner(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, upstream, format!("the connection to {upstream} broke"), None)
            }
        };
        Self { status, component: component.into(), error, retry_after }
    }

    fn internal(component: &str, error: impl fmt::Display) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, component: component.into(), error: error.to_string(), retry_after: None }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Json(json!({ "error": self.error, "component": self.component })).into_response();
        *response.status_mut() = self.status;
        if self.status != StatusCode::INTERNAL_SERVER_ERROR {
            response.headers_mut().insert(RETRY_AFTER, whole_seconds(self.retry_after).into());
        }
        response
    }
}

/// Rounded up, at least one.
fn whole_seconds(wait: Option<Duration>) -> u64 {
    wait.map_or(1, |wait| wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

async fn breakers(State(shop): State<Arc<Shop>>) -> Json<Value> {
    let states = shop.calls.breakers.iter().zip(&shop.upstreams).map(|(breaker, upstream)| {
        let breaker_now = breaker.snapshot();
        let state = json!({
            "state": breaker_now.state.to_string(),
            "failure_rate": breaker_now.failure_rate,
            "refused": breaker_now.refused_in_all,
            "upstream_is": upstream.fault().name(),
        });
        (breaker.name().to_string(), state)
    });
    Json(states.collect())
}

async fn break_upstream(
    State(shop): State<Arc<Shop>>,
    Path((upstream, kind)): Path<(String, String)>,
) -> (StatusCode, String) {
    let found = shop.upstreams.iter().find(|known| known.name == upstream);
    let fault = Fault::ALL.into_iter().find(|fault| fault.name() == kind);
    match (found, fault) {
        (Some(upstream), Some(fault)) => {
            upstream.set(fault);
            (StatusCode::OK, format!("{} is now {}\n", upstream.name, fault.name()))
        }
        _ => {
            let kinds = Fault::ALL.map(Fault::name).join("|");
            let upstreams = shop.upstreams.each_ref().map(|upstream| upstream.name).join("|");
            (StatusCode::NOT_FOUND, format!("POST /fault/{{{upstreams}}}/{{{kinds}}}\n"))
        }
    }
}
