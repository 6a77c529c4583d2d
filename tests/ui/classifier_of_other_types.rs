//! A classifier for other responses than the service has.
use steadfast::{BoxError, Verdict, circuit_breaker::CircuitBreaker};
use tower::{Service, ServiceBuilder, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    let by_status = |outcome: Result<&u16, &BoxError>| match outcome {
        Ok(status) if *status < 500 => Verdict::Success,
        _ => Verdict::TRANSIENT,
    };
    let breaker = CircuitBreaker::builder().classify(by_status).build().unwrap();
    let client = service_fn(|id: u32| async move { Ok::<String, BoxError>(id.to_string()) });
    serve(ServiceBuilder::new().layer(breaker).service(client));
}
