//! A fallback value that is not what the service answers with.
use steadfast::{BoxError, fallback::Fallback};
use tower::{Service, ServiceBuilder, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    let client = service_fn(|id: u32| async move { Ok::<String, BoxError>(id.to_string()) });
    serve(ServiceBuilder::new().layer(Fallback::value("unknown").build()).service(client));
}
