//! `fast_failure`: one of five endpoints fails in 50 µs where the others take 10 ms. Who fails fast looks fast: the share of
//! calls that come to it, and fail, by balancer, of tower and of steadfast.
//!
//! `cargo bench -p steadfast-bench --bench fast_failure`; in real time, as tokio's timers know no 50 µs. About 20 s.

#![allow(clippy::disallowed_methods)]

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use steadfast::{
    Error,
    failover::{Balance, Endpoint, Failover, FailoverSettings},
};
use tower::{
    Service, ServiceExt,
    balance::p2c,
    discover::ServiceList,
    load::{CompleteOnResponse, PeakEwma, PendingRequests},
};

const ENDPOINTS: usize = 5;
const CALLERS: u32 = 8;
/// Of each caller, each after the answer to the one before.
const CALLS: u32 = 200;
const TAKES: Duration = Duration::from_millis(10);
const FAILS: Duration = Duration::from_micros(50);

/// What fails fast.
#[derive(Clone, Copy, Debug)]
struct Fails;

impl fmt::Display for Fails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "on purpose")
    }
}

impl std::error::Error for Fails {}

/// One of the endpoints; the first one fails.
#[derive(Clone)]
struct Node(usize);

impl Service<u64> for Node {
    type Response = u64;
    type Error = Error<Fails>;
    type Future = Pin<Box<dyn Future<Output = Result<u64, Error<Fails>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fails>>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        let fails = self.0 == 0;
        Box::pin(async move {
            if !fails {
                tokio::time::sleep(TAKES).await;
                return Ok(request);
            }
            let began = Instant::now();
            while began.elapsed() < FAILS {
                tokio::task::yield_now().await;
            }
            Err(Error::Inner(Fails))
        })
    }
}

fn main() {
    println!(
        "one of {ENDPOINTS} fails in 50 µs, the others take 10 ms; {CALLERS} callers, {CALLS} calls each, sent to one endpoint"
    );
    println!("{:<60} {:>10}", "", "errors");
    let (rtt, decay) = (Duration::from_millis(30), 1e10);
    let ewma = |node| PeakEwma::new(node, rtt, decay, CompleteOnResponse::default());
    show("tower, PeakEwma", || of_tower((0..ENDPOINTS).map(Node).map(ewma).collect()));
    let counted = |node| PendingRequests::new(node, CompleteOnResponse::default());
    show("tower, PendingRequests", || of_tower((0..ENDPOINTS).map(Node).map(counted).collect()));
    for balance in [Balance::PeakEwma, Balance::LeastRequests, Balance::RoundRobin, Balance::Weighted] {
        show(&format!("steadfast, {balance:?}"), || ours(|settings| settings.balance = balance));
    }
    show("steadfast, PeakEwma, without ejection", || {
        ours(|settings| (settings.consecutive_failures, settings.all_out_failures) = (None, None))
    });
    show("steadfast, PeakEwma, without ejection and penalty", || {
        ours(|settings| {
            (settings.consecutive_failures, settings.all_out_failures) = (None, None);
            settings.penalty = Duration::ZERO;
        })
    });
}

/// In percent of all calls.
fn show<F: Future<Output = u32>>(name: &str, errors: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let errors = tokio::task::LocalSet::new().block_on(&runtime, async { errors().await });
    println!("{name:<60} {:>8.1} %", f64::from(errors) * 100.0 / f64::from(CALLERS * CALLS));
}

/// It has one owner; the callers take turns, as all are on one thread.
async fn of_tower<S>(services: Vec<S>) -> u32
where
    S: tower::load::Load<Metric: fmt::Debug> + Service<u64, Error: Into<tower::BoxError>> + 'static,
{
    let balance = Rc::new(RefCell::new(p2c::Balance::<_, u64>::new(ServiceList::new::<u64>(services))));
    callers(move || {
        let balance = Rc::clone(&balance);
        async move {
            poll_fn(|cx| balance.borrow_mut().poll_ready(cx)).await.is_ok() && {
                let answer = balance.borrow_mut().call(1);
                answer.await.is_ok()
            }
        }
    })
    .await
}

/// Moving on to another endpoint is switched off, or there would be no errors.
async fn ours(edit: impl FnOnce(&mut FailoverSettings)) -> u32 {
    let endpoints = (0..ENDPOINTS).map(|i| Endpoint::new(format!("endpoint {i}"), Node(i)));
    let builder = Failover::builder().endpoints(endpoints).seed(1).with(|settings| settings.max_endpoints_per_call = 1);
    let (client, _) = builder.with(edit).build().expect("settings");
    callers(move || {
        let call = client.clone().oneshot(1);
        async { call.await.is_ok() }
    })
    .await
}

/// How many of their calls failed.
async fn callers<F: Future<Output = bool> + 'static>(call: impl Fn() -> F + Clone + 'static) -> u32 {
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let call = call.clone();
            tokio::task::spawn_local(async move {
                let mut errors = 0;
                for _ in 0..CALLS {
                    errors += u32::from(!call().await);
                }
                errors
            })
        })
        .collect();
    let mut errors = 0;
    for caller in callers {
        errors += caller.await.expect("no panic");
    }
    errors
}
