//! Three real HTTP servers: two share the calls, of which one is slow; the third does not run until it is needed. The
//! first is killed, then the slow one too, then they come back. What callers notice of it, as a table once a second.
//!
//! `cargo run --example failover_http`, about 10 seconds

#![allow(clippy::disallowed_methods)]

use std::{
    io::{IsTerminal, stdout},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use comfy_table::{Table, presets};
use steadfast::{
    BoxError, Classify, Verdict,
    failover::{Cold, Endpoint, Failback, Failover, FailoverEvent, Snapshot},
    retry::{Budget, Retry},
    telemetry::Received,
    timeout::Timeout,
};
use tokio::{runtime, sync::oneshot, time::sleep};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

/// A server with a thread of its own; all of its sockets go with it.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(key: &'static str, port: u16, takes: Duration) -> Result<Self, BoxError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let page = get(move || async move {
            sleep(takes).await;
            key
        });
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                let serve = async { axum::serve(listener, Router::new().route("/", page)).await };
                tokio::select! { _ = serve => {}, _ = stopped => {} }
            });
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    fn kill(&mut self) {
        self.stop.take();
        self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What outcomes of reqwest mean.
#[derive(Clone, Copy)]
struct Meaning;

impl Classify<String, BoxError> for Meaning {
    fn classify(&self, outcome: Result<&String, &BoxError>) -> Verdict {
        if outcome.is_ok() { Verdict::Success } else { Verdict::TRANSIENT }
    }

    fn reached_service(&self, error: &BoxError) -> bool {
        !error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect)
    }
}

/// `GET /` of one server, with a pool of connections of its own.
fn http(
    address: SocketAddr,
) -> impl Service<(), Response = String, Error = BoxError, Future: Send> + Clone + Send + Sync + 'static {
    let client = reqwest::Client::new();
    service_fn(move |()| {
        let asked = client.get(format!("http://{address}/")).send();
        async move { Ok::<_, BoxError>(asked.await?.error_for_status()?.text().await?) }
    })
}

/// What callers have seen.
#[derive(Default)]
struct Seen {
    calls: AtomicU32,
    errors: AtomicU32,
    /// In milliseconds.
    slowest: AtomicU32,
}

fn table(at: Duration, what: &str, snapshot: &Snapshot) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([format!("{:.0} s: {what}", at.as_secs_f64()), "tier".into(), "calls".into(), "state".into()]);
    for endpoint in &snapshot.endpoints {
        let meta = &endpoint.meta;
        table.add_row([
            meta.key().to_string(),
            meta.tier().to_string(),
            endpoint.calls.to_string(),
            endpoint.state.to_string(),
        ]);
    }
    table
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let mut a = Server::start("a", 0, 5 * MS)?;
    let mut slow = Server::start("slow", 0, 60 * MS)?;
    let (a_at, slow_at) = (a.address, slow.address);
    // A cold standby: started once for all callers when no other endpoint has been left for 200 ms.
    let started = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&started);
    let cold = Cold::start(move || {
        let keep = Arc::clone(&keep);
        async move {
            sleep(300 * MS).await;
            let server = Server::start("cold", 0, 5 * MS)?;
            let service = http(server.address);
            *keep.lock().expect("no panic") = Some(server);
            Ok::<_, BoxError>(service)
        }
    });
    let budget = Arc::new(Budget::refund());
    let attempt = Timeout::builder(500 * MS).name("attempt").build()?;
    let (client, handle) = Failover::builder()
        .endpoint(Endpoint::new("a", http(a_at)))
        .endpoint(Endpoint::new("slow", http(slow_at)))
        .endpoint(Endpoint::cold("cold", cold.after(200 * MS)).tier(1))
        .wrap(move |_, service| attempt.layer(service))
        .budget(Arc::clone(&budget))
        .classify(Meaning)
        .with(|settings| {
            settings.failback = Failback::After(Duration::from_secs(1));
            settings.slow_start = Duration::from_secs(1);
        })
        .build()?;
    // All are GETs, so any may be sent twice.
    let client = ServiceBuilder::new()
        .layer(Timeout::builder(Duration::from_secs(2)).build()?)
        // For those that are cut off when there is nowhere else to go.
        .layer(Retry::builder().budget(Arc::clone(&budget)).classify(Meaning).build()?)
        .service(client);

    let (seen, stop, start) = (Arc::new(Seen::default()), Arc::new(AtomicBool::new(false)), Instant::now());
    let mut events = handle.subscribe();
    let moves = tokio::spawn(async move {
        let mut moves = Vec::new();
        while let Some(received) = events.recv().await {
            if let Received::Event(event @ (FailoverEvent::AllOut | FailoverEvent::Recovered { .. })) = received {
                moves.push(format!("{:.2?} after the start: {event:?}", start.elapsed()));
            } else if let Received::Event(event @ FailoverEvent::TierChanged { .. }) = received {
                moves.push(format!("{:.2?} after the start: {event:?}", start.elapsed()));
            }
        }
        moves
    });
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (client, seen, stop) = (client.clone(), Arc::clone(&seen), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Relaxed) {
                    let began = Instant::now();
                    let outcome = client.clone().oneshot(()).await;
                    seen.calls.fetch_add(1, Relaxed);
                    seen.errors.fetch_add(u32::from(outcome.is_err()), Relaxed);
                    seen.slowest.fetch_max(began.elapsed().as_millis() as u32, Relaxed);
                    sleep(5 * MS).await;
                }
            })
        })
        .collect();

    let terminal = stdout().is_terminal();
    let mut report = Vec::new();
    for second in 1..=9 {
        let what = match second {
            1..=2 => "all is well",
            3..=4 => "a is killed",
            5..=6 => "slow is killed too",
            _ => "both are back",
        };
        let began = Instant::now();
        match second {
            3 => a.kill(),
            5 => slow.kill(),
            7 => {
                (a, slow) = (Server::start("a", a_at.port(), 5 * MS)?, Server::start("slow", slow_at.port(), 60 * MS)?)
            }
            _ => {}
        }
        if matches!(second, 3 | 5) {
            client.clone().oneshot(()).await?;
            report.push(format!("{what}: the first success {:.0?} after the kill", began.elapsed()));
        }
        sleep(Duration::from_secs(1).saturating_sub(began.elapsed())).await;
        let table = table(start.elapsed(), what, &handle.snapshot());
        // On a terminal over the one before.
        println!("{}{table}", if terminal { "\x1b[2J\x1b[H" } else { "" });
    }
    stop.store(true, Relaxed);
    for caller in callers {
        caller.await?;
    }
    let snapshot = handle.snapshot();
    drop((client, handle));
    let (calls, errors) = (seen.calls.load(Relaxed), seen.errors.load(Relaxed));
    for line in report.iter().chain(&moves.await?) {
        println!("{line}");
    }
    println!("{calls} calls, {errors} errors, the slowest took {} ms", seen.slowest.load(Relaxed));
    assert_eq!(errors, 0);
    assert_eq!(snapshot.tier, Some(0), "the traffic has gone back");
    assert!(started.lock().expect("no panic").take().is_some(), "it has been started");
    Ok(())
}
