//! Endpoints whose error is foreign, without `.map_err(steadfast::Error::Inner)` below the client.
use std::io;

use steadfast::failover::{Endpoint, Failover};
use tower::{Service, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    let orders = service_fn(|id: u32| async move { Ok::<u32, io::Error>(id) });
    let (client, _) = Failover::builder().endpoint(Endpoint::new("a", orders)).build().unwrap();
    serve(client);
}
