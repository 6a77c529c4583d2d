//! Our own runtime stands still for three seconds, over a service that is well: on the real clock, with real sockets.
#![allow(clippy::disallowed_methods)]

mod backups;
mod limits;
mod outage;
mod upstream;

use std::{
    future::Future,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use steadfast::{
    BoxError, LayerError, RejectedKind,
    circuit_breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerHandle, CircuitBreakerLayer, State},
    retry::{Budget, BudgetMode, Retry},
    stall,
    timeout::Timeout,
};
use tokio::{
    runtime::{self, Runtime},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use self::upstream::{Client, Upstream};

const SECOND: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_secs(3);

/// What became of the calls.
#[derive(Debug, Default)]
struct Counts {
    ok: AtomicU32,
    timed_out: AtomicU32,
    failed: AtomicU32,
    /// Those that the breaker refused.
    refused: AtomicU32,
}

impl Counts {
    fn count(&self, outcome: &Result<(), BoxError>) {
        let kind = outcome.as_ref().map_err(|error| error.as_rejected().map(|rejected| rejected.kind()));
        let counter = match kind {
            Ok(()) => &self.ok,
            Err(Some(RejectedKind::TimedOut)) => &self.timed_out,
            Err(Some(_)) => &self.refused,
            Err(None) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn get(counter: &AtomicU32) -> u32 {
        counter.load(Ordering::Relaxed)
    }
}

/// 50 calls a second, for as long as it is polled.
async fn load<S>(stack: S, counts: Arc<Counts>)
where
    S: Service<(), Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    let mut ticks = interval(Duration::from_millis(20));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (stack, counts) = (stack.clone(), Arc::clone(&counts));
        tokio::spawn(async move { counts.count(&stack.oneshot(()).await) });
    }
}

fn one_thread() -> Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn inner(client: Client) -> impl Service<(), Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static {
    service_fn(move |()| client.clone().call())
}

/// Opens after fewer failures than there are calls in flight when the runtime stops.
fn breaker() -> CircuitBreakerBuilder {
    CircuitBreaker::builder().consecutive_failures(5)
}

fn budget() -> Arc<Budget> {
    Arc::new(Budget::new(BudgetMode::Ratio(0.0), 50).unwrap())
}

/// Traffic for a second, then a stall, then traffic until what was in flight is over. Answers with what the stall left.
async fn through_a_stall<S>(stack: S, stall: impl Future<Output = ()>) -> Arc<Counts>
where
    S: Service<(), Response = (), Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    let counts = Arc::default();
    let load = tokio::spawn(load(stack, Arc::clone(&counts)));
    sleep(SECOND + SECOND / 2).await;
    assert!(Counts::get(&counts.ok) >= 30, "before the stall all is well: {counts:?}");
    assert_eq!(Counts::get(&counts.timed_out) + Counts::get(&counts.failed), 0, "{counts:?}");
    stall.await;
    sleep(SECOND + SECOND / 2).await;
    load.abort();
    counts
}

async fn block_this_thread() {
    thread::sleep(STALL);
}

fn never_opened(breaker: &CircuitBreakerHandle, counts: &Counts) {
    let snapshot = breaker.snapshot();
    assert_eq!((snapshot.state, Counts::get(&counts.refused)), (State::Closed, 0), "{snapshot:?} {counts:?}");
    assert_eq!((snapshot.failed, snapshot.abandoned), (0, 0), "{snapshot:?} {counts:?}");
}

#[test]
fn a_stall_under_a_deadline_opens_no_breaker_and_spends_no_budget() {
    let upstream = Upstream::start();
    one_thread().block_on(async {
        let (breaker, budget) = (breaker().build().unwrap(), budget());
        let excused = stall::snapshot().excused;
        let stack = ServiceBuilder::new()
            .layer(Timeout::builder(SECOND).build().unwrap())
            .layer(Retry::builder().budget(Arc::clone(&budget)).build().unwrap())
            .layer(breaker.clone())
            .service(inner(upstream.client(http())));
        let counts = through_a_stall(stack.clone(), block_this_thread()).await;
        never_opened(&breaker.handle(), &counts);
        assert_eq!(budget.tokens(), 50.0);
        // It would have: callers were told that their time is over.
        assert!(Counts::get(&counts.timed_out) >= 8, "{counts:?}");
        assert_eq!(Counts::get(&counts.failed), 0, "{counts:?}");
        let seen = stall::snapshot();
        assert!(seen.excused >= excused + 8, "{seen:?}");
        assert!(seen.stalls >= 1 && seen.longest >= STALL / 2, "{seen:?}");
        assert!(stall::pressure() > 0.3, "{seen:?}");
        stack.oneshot(()).await.expect("a call after the stall");
    });
}

#[test]
fn a_stall_over_attempts_with_a_timeout_opens_no_breaker_and_spends_no_budget() {
    let upstream = Upstream::start();
    one_thread().block_on(async {
        let (breaker, budget) = (breaker().build().unwrap(), budget());
        let stack = ServiceBuilder::new()
            .layer(Timeout::builder(10 * SECOND).build().unwrap())
            .layer(Retry::builder().budget(Arc::clone(&budget)).build().unwrap())
            .layer(breaker.clone())
            .layer(Timeout::builder(SECOND).name("attempt").build().unwrap())
            .service(inner(upstream.client(http())));
        let counts = through_a_stall(stack.clone(), block_this_thread()).await;
        never_opened(&breaker.handle(), &counts);
        assert_eq!(budget.tokens(), 50.0);
        assert!(Counts::get(&counts.timed_out) >= 8, "{counts:?}");
        stack.oneshot(()).await.expect("a call after the stall");
    });
}

#[test]
fn failures_of_a_client_in_a_stall_are_excused_by_the_deadline_above_them() {
    let upstream = Upstream::start();
    let http = reqwest::Client::builder().no_proxy().timeout(SECOND).build().unwrap();
    one_thread().block_on(async {
        let breaker = breaker().build().unwrap();
        // The client gives up by itself, so the deadline is not what ends the call.
        let stack = ServiceBuilder::new()
            .layer(Timeout::builder(SECOND).build().unwrap())
            .layer(breaker.clone())
            .service(inner(upstream.client(http)));
        let counts = through_a_stall(stack, block_this_thread()).await;
        never_opened(&breaker.handle(), &counts);
        assert!(Counts::get(&counts.failed) >= 8, "{counts:?}");
    });
}

#[test]
fn calls_that_are_dropped_unpolled_after_a_stall_count_for_nothing() {
    for stalled in [true, false] {
        one_thread().block_on(async {
            let breaker = breaker().build().unwrap();
            let stack = ServiceBuilder::new()
                .layer(Timeout::builder(SECOND / 2).build().unwrap())
                .layer(breaker.clone())
                .service(service_fn(|()| std::future::pending::<Result<(), BoxError>>()));
            let calls: Vec<_> = (0..6).map(|_| tokio::spawn(stack.clone().oneshot(()))).collect();
            sleep(SECOND / 10).await;
            // As a server does with the calls of a client that has hung up meanwhile.
            if stalled {
                thread::sleep(SECOND);
                calls.iter().for_each(tokio::task::JoinHandle::abort);
            }
            sleep(SECOND).await;
            let snapshot = breaker.handle().snapshot();
            let expected = if stalled { State::Closed } else { State::Open };
            assert_eq!((snapshot.state, snapshot.failed), (expected, if stalled { 0 } else { 5 }), "{snapshot:?}");
        });
    }
}

#[test]
fn a_stall_of_all_workers_opens_no_breaker_and_spends_no_budget() {
    let upstream = Upstream::start();
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (breaker, budget) = (breaker().build().unwrap(), budget());
    let counts = runtime.block_on(async {
        let stack = ServiceBuilder::new()
            .layer(Timeout::builder(SECOND).build().unwrap())
            .layer(Retry::builder().budget(Arc::clone(&budget)).build().unwrap())
            .layer(breaker.clone())
            .service(inner(upstream.client(http())));
        let both = async {
            let barrier = Arc::new(Barrier::new(2));
            let block = || {
                let barrier = Arc::clone(&barrier);
                tokio::spawn(async move {
                    barrier.wait();
                    thread::sleep(STALL);
                })
            };
            let (one, other) = tokio::join!(block(), block());
            one.and(other).unwrap();
        };
        through_a_stall(stack, both).await
    });
    never_opened(&breaker.handle(), &counts);
    assert_eq!(budget.tokens(), 50.0);
    assert!(Counts::get(&counts.timed_out) >= 8, "{counts:?}");
}

/// A stack that no timer of ours is in.
async fn without_a_timeout(breaker: &CircuitBreakerLayer, http: reqwest::Client) -> Arc<Counts> {
    let upstream = Upstream::start();
    let stack = ServiceBuilder::new().layer(breaker.clone()).service(inner(upstream.client(http)));
    through_a_stall(stack, block_this_thread()).await
}

#[test]
fn with_a_watch_calls_that_a_stall_made_slow_are_not_slow() {
    for watched in [true, false] {
        let breaker = breaker().slow_calls(0.05, SECOND).time_window(60 * SECOND).build().unwrap();
        let counts = one_thread().block_on(async {
            let _watch = watched.then(stall::watch);
            without_a_timeout(&breaker, http()).await
        });
        let opened = Counts::get(&counts.refused) > 0 || breaker.handle().state() != State::Closed;
        assert_eq!(opened, !watched, "{counts:?}");
        assert_eq!(Counts::get(&counts.failed) + Counts::get(&counts.timed_out), 0, "{counts:?}");
        if watched {
            assert_eq!(breaker.handle().snapshot().slow, 0);
        }
    }
}

#[test]
fn with_a_watch_timers_of_a_client_that_a_stall_made_late_open_nothing() {
    let http = reqwest::Client::builder().no_proxy().timeout(SECOND).build().unwrap();
    for watched in [true, false] {
        let breaker = breaker().build().unwrap();
        let counts = one_thread().block_on(async {
            let _watch = watched.then(stall::watch);
            without_a_timeout(&breaker, http.clone()).await
        });
        assert!(Counts::get(&counts.failed) >= 8, "{counts:?}");
        let opened = Counts::get(&counts.refused) > 0 || breaker.handle().state() != State::Closed;
        assert_eq!(opened, !watched, "{counts:?}");
    }
}

#[test]
fn a_watch_ends_when_it_is_dropped_and_is_of_its_own_runtime() {
    let watched = one_thread();
    let watch = watched.block_on(async { stall::watch() });
    watched.block_on(async { sleep(SECOND / 5).await });
    // The runtime rests; its timer is late, which concerns nobody elsewhere.
    thread::sleep(SECOND / 2);
    one_thread().block_on(async { assert!(!stall::is_stalled()) });
    assert!(!stall::is_stalled(), "this thread belongs to no runtime");
    watched.block_on(async {
        assert!(stall::is_stalled());
        drop(watch);
        sleep(2 * SECOND).await;
        thread::sleep(SECOND / 2);
        assert!(!stall::is_stalled());
    });
}

#[test]
fn time_that_is_advanced_by_hand_is_no_stall() {
    // Somebody else's stall, so that failures look.
    one_thread().block_on(async {
        let _watch = stall::watch();
    });
    let runtime = runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let breaker = breaker().build().unwrap();
        let stack = ServiceBuilder::new()
            .layer(Timeout::builder(SECOND).build().unwrap())
            .layer(breaker.clone())
            .service(service_fn(|()| std::future::pending::<Result<(), BoxError>>()));
        for _ in 0..5 {
            let call = tokio::spawn(stack.clone().oneshot(()));
            tokio::task::yield_now().await;
            let before = Instant::now();
            tokio::time::advance(20 * SECOND).await;
            assert_eq!(call.await.unwrap().unwrap_err().as_rejected().unwrap().kind(), RejectedKind::TimedOut);
            assert_eq!(before.elapsed(), 20 * SECOND);
        }
        assert!(!stall::is_stalled());
        assert_eq!(breaker.handle().state(), State::Open);
    });
}
