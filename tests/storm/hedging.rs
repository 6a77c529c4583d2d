//! Hedges and soft timeouts in storms: what they are for, and that they do no harm where the service has enough to do.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use steadfast::{
    Error,
    hedge::Hedge,
    retry::{Budget, Retry, RetryBuilder},
    storm::{Candidate, Failure, Report, Request, Response, Scenario, Stack, StormClassify, Upstream},
    timeout::Timeout,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder};

const MS: Duration = Duration::from_millis(1);
const SEEDS: u64 = 3;

/// Of two endpoints, the one that is likely to answer sooner: by what its calls have taken, and how many it has.
#[derive(Clone)]
struct Balance {
    endpoints: Vec<(Upstream, Arc<Mutex<Load>>)>,
    turn: Arc<Mutex<u64>>,
}

#[derive(Default)]
struct Load {
    pending: f64,
    /// A moving mean, in seconds.
    takes: f64,
}

impl Balance {
    fn new(upstream: &Upstream) -> Self {
        let endpoints = upstream.endpoints().into_iter().map(|endpoint| (endpoint, Arc::default())).collect();
        Self { endpoints, turn: Arc::new(Mutex::new(u64::from(upstream.client()) * 7919 + 1)) }
    }

    fn pick(&self) -> (Upstream, Arc<Mutex<Load>>) {
        let mut turn = self.turn.lock().unwrap();
        let mut draw = |out_of: usize| {
            *turn = turn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*turn >> 33) as usize % out_of
        };
        let one = draw(self.endpoints.len());
        let other = (one + 1 + draw(self.endpoints.len() - 1)) % self.endpoints.len();
        let cost = |index: usize| {
            let load = self.endpoints[index].1.lock().unwrap();
            load.takes.max(0.02) * (load.pending + 1.0)
        };
        self.endpoints[if cost(one) <= cost(other) { one } else { other }].clone()
    }
}

impl Service<Request> for Balance {
    type Response = Response;
    type Error = Error<Failure>;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Error<Failure>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (mut endpoint, load) = self.pick();
        Box::pin(async move {
            let _watch = Watch::new(load);
            endpoint.call(request).await.map_err(Error::Inner)
        })
    }
}

/// Sees how long a call took; one that is dropped has taken at least so long.
struct Watch(Arc<Mutex<Load>>, Instant);

impl Watch {
    #[allow(clippy::disallowed_methods)] // The clock is paused.
    fn new(load: Arc<Mutex<Load>>) -> Self {
        load.lock().unwrap().pending += 1.0;
        Self(load, Instant::now())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut load = self.0.lock().unwrap();
        load.pending -= 1.0;
        load.takes += 0.2 * (self.1.elapsed().as_secs_f64() - load.takes);
    }
}

fn retry() -> RetryBuilder<StormClassify> {
    Retry::builder().classify(StormClassify).budget(Arc::new(Budget::refund()))
}

/// A deadline, then this layer, over endpoints.
macro_rules! over_endpoints {
    ($layer:expr) => {
        Stack::new("endpoints", |upstream: Upstream| {
            let deadline = Timeout::builder(1000 * MS).build().unwrap();
            ServiceBuilder::new().layer(deadline).layer($layer.build().unwrap()).service(Balance::new(&upstream))
        })
    };
}

fn runs(stack: &dyn Candidate, scenario: &str) -> Vec<Report> {
    let scenario = Scenario::named(scenario).unwrap();
    (0..SEEDS).map(|seed| stack.run(&scenario, seed).unwrap()).collect()
}

fn mean(reports: &[Report], figure: impl Fn(&Report) -> f64) -> f64 {
    reports.iter().map(figure).sum::<f64>() / reports.len() as f64
}

fn ms(time: Option<Duration>) -> f64 {
    time.unwrap().as_secs_f64() * 1000.0
}

#[test]
fn stragglers_do_not_make_the_tail_at_three_more_attempts_in_a_hundred() {
    let with = runs(&over_endpoints!(retry().hedge(Hedge::default())), "stragglers");
    let without = runs(&over_endpoints!(retry()), "stragglers");
    for reports in [&with, &without] {
        let tail = (mean(reports, |run| ms(run.p99)), mean(reports, |run| ms(run.p999)));
        println!("p99, p99.9: {tail:.0?} ms, {:.3} attempts", mean(reports, |run| run.attempts));
    }
    assert!(mean(&with, |run| ms(run.p99)) <= 100.0);
    assert!(mean(&with, |run| ms(run.p999)) <= 190.0);
    assert!(mean(&with, |run| run.attempts) <= 1.03);
    assert!(with.iter().all(|run| run.goodput >= 99.9));
    assert!(mean(&without, |run| ms(run.p999)) >= 400.0, "the scenario is none");
}
