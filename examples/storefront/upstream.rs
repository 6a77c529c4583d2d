//! An upstream service on a real socket, with few workers, that can be broken for real while it runs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use tokio::{
    runtime, select,
    sync::{Semaphore, watch},
    time::sleep,
};

use crate::random::Random;

/// Requests that an upstream works on at the same time. With about 10 ms each: some 270 requests/s.
const WORKERS: usize = 3;
/// Requests that may wait for a worker; beyond, the upstream answers 503.
const QUEUE: usize = 500;
/// Work on one request, shortest and longest.
const WORK_MS: (u64, u64) = (6, 13);
/// How much longer the work takes while an upstream is slow.
const SLOWER: u32 = 25;
/// Of the requests to a failing upstream, how many percent get a 500, after all of the work.
const FAILING_PERCENT: u64 = 40;

/// What is wrong with an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Fine,
    Slow,
    Failing,
    Hanging,
    Closed,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] = [Self::Fine, Self::Slow, Self::Failing, Self::Hanging, Self::Closed];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Slow => "slow",
            Self::Failing => "failing",
            Self::Hanging => "hanging",
            Self::Closed => "closed",
        }
    }

    /// What a customer of the upstream notices.
    pub(crate) fn meaning(self) -> String {
        match self {
            Self::Fine => "answers".into(),
            Self::Slow => format!("slow: works {SLOWER} times as long"),
            Self::Failing => format!("failing: answers {FAILING_PERCENT} % with 500"),
            Self::Hanging => "hanging: accepts, never answers".into(),
            Self::Closed => "closed: its sockets are gone".into(),
        }
    }
}

/// A handle of one upstream. Its process is a thread with a runtime of its own; dropping the handle ends it.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    fault: watch::Sender<Fault>,
    received: Arc<AtomicU64>,
}

/// What the handler knows.
#[derive(Debug)]
struct Process {
    fault: watch::Receiver<Fault>,
    received: Arc<AtomicU64>,
    queue: Arc<Semaphore>,
    workers: Arc<Semaphore>,
    seed: u64,
    content: fn(u64) -> Value,
}

impl Upstream {
    /// Starts an upstream that answers `GET /{id}` with `content(id)`.
    pub(crate) fn start(name: &'static str, seed: u64, content: fn(u64) -> Value) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (fault, faults) = watch::channel(Fault::Fine);
        let received = Arc::new(AtomicU64::new(0));
        let make = {
            let (faults, received) = (faults.clone(), Arc::clone(&received));
            move || Process {
                fault: faults.clone(),
                received: Arc::clone(&received),
                queue: Arc::new(Semaphore::new(QUEUE)),
                workers: Arc::new(Semaphore::new(WORKERS)),
                seed,
                content,
            }
        };
        thread::Builder::new().name(name.into()).spawn(move || live(listener, address, faults, make))?;
        Ok(Self { name, address, fault, received })
    }

    /// Breaks or repairs it.
    pub(crate) fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    pub(crate) fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    /// How many requests have come in on its sockets.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// The life of an upstream: serves until it is closed, then drops its runtime, and so its listener, every connection
/// and all work; comes back on the same port when it is told to. Ends when its handle is dropped.
fn live(
    mut listener: TcpListener,
    address: SocketAddr,
    mut faults: watch::Receiver<Fault>,
    make: impl Fn() -> Process,
) -> io::Result<()> {
    loop {
        listener.set_nonblocking(true)?;
        let process = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle_dropped = process.block_on(async {
            let app = Router::new().route("/{id}", get(answer)).with_state(Arc::new(make()));
            let serve = axum::serve(tokio::net::TcpListener::from_std(listener)?, app).into_future();
            select! {
                served = serve => served.map(|()| true),
                closed = faults.wait_for(|fault| *fault == Fault::Closed) => Ok(closed.is_err()),
            }
        })?;
        drop(process);
        let outside = runtime::Builder::new_current_thread().enable_all().build()?;
        if handle_dropped || outside.block_on(faults.wait_for(|fault| *fault != Fault::Closed)).is_err() {
            return Ok(());
        }
        listener = outside.block_on(async {
            loop {
                match TcpListener::bind(address) {
                    Ok(listener) => return listener,
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        });
    }
}

async fn answer(State(process): State<Arc<Process>>, Path(id): Path<u64>) -> Response {
    let number = process.received.fetch_add(1, Ordering::Relaxed);
    if *process.fault.borrow() == Fault::Hanging {
        std::future::pending::<()>().await;
    }
    let Ok(place) = Arc::clone(&process.queue).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], "too many requests wait").into_response();
    };
    // Spawned: the work goes on when the caller has hung up, as a query in a database would.
    let work = tokio::spawn({
        let process = Arc::clone(&process);
        async move {
            let _worker = process.workers.acquire().await;
            drop(place);
            let fault = *process.fault.borrow();
            let mut random = Random::new(process.seed ^ number);
            let (shortest, longest) = WORK_MS;
            let work = Duration::from_millis(shortest + random.below(longest - shortest + 1));
            sleep(if fault == Fault::Slow { work * SLOWER } else { work }).await;
            fault == Fault::Failing && random.below(100) < FAILING_PERCENT
        }
    });
    match work.await {
        Ok(false) => Json((process.content)(id)).into_response(),
        Ok(true) | Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "something broke").into_response(),
    }
}

/// What is in stock.
pub(crate) fn inventory(id: u64) -> Value {
    json!({ "in_stock": id % 7 })
}

/// What a product costs today.
pub(crate) fn prices(id: u64) -> Value {
    json!({ "cents": list_price(id) * 9 / 10, "list_price": false })
}

/// What a product costs at most. The shop knows it without asking.
pub(crate) fn list_price(id: u64) -> u64 {
    995 + id * 37 % 5000
}

/// What else may please.
pub(crate) fn recommendations(id: u64) -> Value {
    json!([id + 1, id + 2, id + 3])
}
