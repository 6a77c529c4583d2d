//! A retry over requests that it cannot copy.
use steadfast::{BoxError, retry::RetryLayer};
use tower::{Service, ServiceBuilder, service_fn};

struct Upload(Vec<u8>);

fn serve<S: Service<Upload>>(_: S) {}

fn main() {
    let client = service_fn(|upload: Upload| async move { Ok::<usize, BoxError>(upload.0.len()) });
    serve(ServiceBuilder::new().layer(RetryLayer::default()).service(client));
}
