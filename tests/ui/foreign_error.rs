//! A service whose error is foreign, without `.map_err(steadfast::Error::Inner)` below the layers.
use std::{io, time::Duration};

use steadfast::timeout::Timeout;
use tower::{Service, ServiceBuilder, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    let client = service_fn(|id: u32| async move { Ok::<u32, io::Error>(id) });
    let timeout = Timeout::builder(Duration::from_secs(1)).build().unwrap();
    serve(ServiceBuilder::new().layer(timeout).service(client));
}
