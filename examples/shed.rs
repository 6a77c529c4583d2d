//! A server with more calls than it can serve: who is served, who is shed, and what that changes. In virtual time.
#![allow(clippy::disallowed_methods)]

use std::{convert::Infallible, time::Duration};

use steadfast::{
    ConfigError, Priority, Rejected, RejectedKind,
    bulkhead::Bulkhead,
    context::{self, CallContext},
    shed::Shed,
};
use tower::{Layer, Service, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);

/// A call: whose it is, and how important.
#[derive(Clone, Copy)]
struct Request {
    tenant: u32,
    priority: Priority,
}

/// What became of the calls of one kind.
#[derive(Default)]
struct Served {
    sent: u32,
    waits: Vec<Duration>,
}

impl Served {
    fn show(&mut self, what: &str) {
        self.waits.sort_unstable();
        let of = |share: usize| self.waits.get(self.waits.len() * share / 100).copied().unwrap_or_default().as_millis();
        let (served, sent) = (self.waits.len(), self.sent);
        println!(
            "{what:<34} {served:>4} of {sent} served, half of them within {} ms, 99 % within {} ms",
            of(50),
            of(99)
        );
    }
}

type Server = tower::util::BoxCloneSyncService<Request, (), Rejected>;

/// What takes 20 ms for each call.
fn handler() -> impl Service<Request, Response = (), Error = Infallible, Future: Send> + Clone + Send + Sync + 'static {
    service_fn(|_| async {
        tokio::time::sleep(20 * MS).await;
        Ok(())
    })
}

/// Sends `requests` a millisecond apart for three seconds; who sent one waits for a second.
async fn load(service: Server, requests: &[Request], kind: impl Fn(&Request) -> usize) -> [Served; 2] {
    let mut calls = Vec::new();
    for request in requests.iter().cycle().take(3000) {
        let now = tokio::time::Instant::now();
        let context = CallContext::default().with_priority(request.priority).with_deadline(now + 1000 * MS);
        let call = context::scope(context, service.clone().oneshot(*request));
        let task = tokio::spawn(async move { call.await.map(|()| now.elapsed()) });
        calls.push((kind(request), task));
        tokio::time::sleep(MS).await;
    }
    let mut served = <[Served; 2]>::default();
    for (kind, call) in calls {
        served[kind].sent += 1;
        match call.await.expect("no call panics") {
            Ok(took) if took <= 1000 * MS => served[kind].waits.push(took),
            Ok(_) => {}
            Err(rejected) => assert!([RejectedKind::Shed, RejectedKind::BulkheadFull].contains(&rejected.kind())),
        }
    }
    served
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), ConfigError> {
    println!("Ten places and 20 ms a call: 500 calls a second can be served, and 1,000 come.\n");
    let normal = Request { tenant: 0, priority: Priority::Normal };
    let queue = Bulkhead::builder(10).max_waiting(1000).max_wait(10_000 * MS).build()?;
    let [mut all, _] = load(Server::new(queue.layer(handler())), &[normal], |_| 0).await;
    all.show("A queue, first come first served:");

    let shed = Shed::builder(10).build()?;
    let [mut all, _] = load(Server::new(shed.layer(handler())), &[normal], |_| 0).await;
    all.show("Load shedding:");
    let snapshot = shed.handle().snapshot();
    println!("    {} calls shed; pressure {}\n", snapshot.shed(), snapshot.pressure);

    println!("One in four is critical:");
    let critical = Request { priority: Priority::Critical, ..normal };
    let shed = Shed::builder(10).build()?;
    let kind = |request: &Request| usize::from(request.priority == Priority::Normal);
    let [mut critical, mut others] =
        load(Server::new(shed.layer(handler())), &[critical, normal, normal, normal], kind).await;
    critical.show("    critical");
    others.show("    others");

    println!("\nOne tenant sends nine calls of ten:");
    let small = Request { tenant: 1, ..normal };
    let mut requests = [normal; 10];
    requests[0] = small;
    for fair in [false, true] {
        let shed = Shed::builder(10)
            .seed(1)
            .fair_by(move |request: &Request| if fair { request.tenant } else { 0 })
            .build()?;
        let [mut large, mut small] =
            load(Server::new(shed.layer(handler())), &requests, |request| request.tenant as usize).await;
        println!("  {}", if fair { "fair by tenant:" } else { "all alike:" });
        large.show("    the large one");
        small.show("    the small one");
    }
    Ok(())
}
