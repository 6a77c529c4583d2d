//! A client that would send a request to a second endpoint which cannot be copied.
use steadfast::{
    BoxError,
    failover::{Endpoint, Failover},
};
use tower::{Service, service_fn};

struct Upload(Vec<u8>);

fn serve<S: Service<Upload>>(_: S) {}

fn main() {
    let orders = service_fn(|upload: Upload| async move { Ok::<usize, BoxError>(upload.0.len()) });
    let (client, _) = Failover::builder().endpoint(Endpoint::new("a", orders)).build().unwrap();
    serve(client);
}
