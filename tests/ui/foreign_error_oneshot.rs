//! As `foreign_error.rs`, but nothing asks for a `Service` by name: the method is just not there.
use std::{io, time::Duration};

use steadfast::timeout::Timeout;
use tower::{ServiceBuilder, ServiceExt, service_fn};

fn main() {
    let client = service_fn(|id: u32| async move { Ok::<u32, io::Error>(id) });
    let timeout = Timeout::builder(Duration::from_secs(1)).build().unwrap();
    let service = ServiceBuilder::new().layer(timeout).service(client);
    let _ = service.oneshot(1);
}
