//! A retry over a service of which there is only one.
use std::task::{Context, Poll};

use steadfast::{BoxError, retry::RetryLayer};
use tower::{Service, ServiceBuilder};

struct Connection;

impl Service<u32> for Connection {
    type Response = u32;
    type Error = BoxError;
    type Future = std::future::Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, id: u32) -> Self::Future {
        std::future::ready(Ok(id))
    }
}

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    serve(ServiceBuilder::new().layer(RetryLayer::default()).service(Connection));
}
