//! The recommended stack around one service, as the README has it.
use std::{io, time::Duration};

use steadfast::{
    Error, Run, boundary::BoundaryLayer, circuit_breaker::CircuitBreaker, fallback::Fallback, ready::ReadyLayer,
    retry::Retry, timeout::Timeout,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

#[derive(Clone)]
struct Request(u32);

fn serve<S>(service: S) -> S
where
    S: Service<Request, Response = String, Error = Error<io::Error>, Future: Send + 'static>,
    S: Clone + Send + Sync + 'static,
{
    service
}

async fn query(id: u32) -> Result<String, io::Error> {
    Ok(id.to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let breaker = CircuitBreaker::builder().name("inventory").build()?;
    let layers = ServiceBuilder::new()
        .layer(Timeout::builder(Duration::from_secs(1)).name("request").build()?)
        .layer(Retry::builder().name("inventory").max_attempts(3).build()?)
        .layer(breaker.clone())
        .layer(Timeout::builder(Duration::from_millis(200)).name("attempt").build()?)
        .layer(ReadyLayer)
        .layer(BoundaryLayer);
    let client = service_fn(|Request(id): Request| query(id));
    let service = serve(
        ServiceBuilder::new()
            .layer(Fallback::value(String::from("unknown")).name("inventory").build())
            .layer(layers.clone())
            .concurrency_limit(10)
            .map_err(Error::Inner)
            .service(client),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(async {
        assert_eq!(service.oneshot(Request(7)).await?, "7");
        assert_eq!(layers.run(|| query(8)).await?, "8");
        assert_eq!(breaker.run_once(|| query(9)).await?, "9");
        breaker.handle().acquire()?.success();
        Ok(())
    })
}
