//! A classifier whose argument has no type: the compiler cannot infer it for any lifetime.
use steadfast::{BoxError, Verdict, circuit_breaker::CircuitBreaker};
use tower::{Service, ServiceBuilder, service_fn};

fn serve<S: Service<u32>>(_: S) {}

fn main() {
    let any_answer = |outcome| match outcome {
        Ok(_) => Verdict::Success,
        Err(_) => Verdict::TRANSIENT,
    };
    let breaker = CircuitBreaker::builder().classify(any_answer).build().unwrap();
    let client = service_fn(|id: u32| async move { Ok::<String, BoxError>(id.to_string()) });
    serve(ServiceBuilder::new().layer(breaker).service(client));
}
