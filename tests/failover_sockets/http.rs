//! One endpoint over HTTP: hyper-util's client with a pool of its own, and what its outcomes mean.

use std::{
    error::Error as _,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, to_bytes},
    http::{Method, Request},
};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use steadfast::{Classify, Error, Verdict};
use tower::Service;

/// A request that can be sent again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) path: String,
}

impl Ask {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into() }
    }

    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self { method: Method::POST, path: path.into() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

#[derive(Debug)]
pub(crate) enum Fault {
    Client(legacy::Error),
    /// The answer broke off.
    Body,
}

pub(crate) type CallError = Error<Fault>;

#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client<HttpConnector, Body>,
    address: SocketAddr,
}

impl Http {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }
}

impl Service<Ask> for Http {
    type Response = Answer;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, ask: Ask) -> Self::Future {
        let uri = format!("http://{}{}", self.address, ask.path);
        let request = Request::builder().method(ask.method).uri(uri).body(Body::empty()).expect("a request");
        let called = self.client.request(request);
        Box::pin(async move {
            let response = called.await.map_err(|error| Error::Inner(Fault::Client(error)))?;
            let status = response.status().as_u16();
            let body = to_bytes(Body::new(response.into_body()), 1 << 16).await;
            let body = body.map_err(|_| Error::Inner(Fault::Body))?;
            Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
        })
    }
}

/// What the outcomes of an HTTP call mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meaning;

impl Classify<Answer, CallError> for Meaning {
    fn classify(&self, outcome: Result<&Answer, &CallError>) -> Verdict {
        match outcome.map(|answer| answer.status) {
            // The answer has begun: the call is not sent again.
            Err(Error::Inner(Fault::Body)) => Verdict::Permanent,
            Ok(429 | 503) => Verdict::OVERLOADED,
            Ok(500..) | Err(_) => Verdict::TRANSIENT,
            Ok(400..) => Verdict::Neutral,
            Ok(_) => Verdict::Success,
        }
    }

    fn reached_service(&self, error: &CallError) -> bool {
        !matches!(error.inner(), Some(Fault::Client(error)) if not_sent(error))
    }
}

/// Whether a request was certainly not sent: there was no connection, or it was closed while the request waited for it.
pub(crate) fn not_sent(error: &legacy::Error) -> bool {
    let of_hyper = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    error.is_connect() || of_hyper.is_some_and(hyper::Error::is_canceled)
}
