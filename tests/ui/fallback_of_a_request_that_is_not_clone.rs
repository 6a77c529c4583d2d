//! A fallback service that would need a copy of a request which cannot be copied.
use steadfast::{BoxError, fallback::Fallback};
use tower::{Service, ServiceBuilder, service_fn};

struct Upload(Vec<u8>);

fn serve<S: Service<Upload>>(_: S) {}

fn main() {
    let client = service_fn(|upload: Upload| async move { Ok::<usize, BoxError>(upload.0.len()) });
    let spare = client.clone();
    serve(ServiceBuilder::new().layer(Fallback::service(spare).build()).service(client));
}
