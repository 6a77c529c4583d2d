//! What an endpoint sees of a call: its deadline, which attempt it is, and how important it is.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use steadfast::{
    Priority, Rejected, RejectedKind, context,
    failover::{Endpoint, Failover},
    timeout::Timeout,
};
use tokio::time::Instant;
use tower::{Layer, Service, ServiceExt};

use crate::support::MS;

/// The endpoint, where it looked, and what it saw: deadline, attempt, whether it is a later one, importance.
type Seen = (u32, &'static str, Option<Instant>, u32, bool, Priority);

#[derive(Clone)]
struct Looks {
    number: u32,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Looks {
    fn look(&self, at: &'static str) {
        let of_call = (context::deadline(), context::attempt(), context::is_repeated(), context::priority());
        self.seen.lock().unwrap().push((self.number, at, of_call.0, of_call.1, of_call.2, of_call.3));
    }
}

impl Service<u32> for Looks {
    type Response = u32;
    type Error = Rejected;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<u32, Rejected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Rejected>> {
        self.look("poll_ready");
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        self.look("call");
        let this = self.clone();
        Box::pin(async move {
            this.look("poll");
            tokio::time::sleep(MS).await;
            this.look("later");
            match this.number {
                0 => Err(Rejected::new(RejectedKind::BulkheadFull, "full")),
                number => Ok(number),
            }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn each_endpoint_sees_the_deadline_its_own_attempt_and_how_important_the_call_is() {
    let seen = Arc::<Mutex<Vec<Seen>>>::default();
    let endpoint = |number: u32| Endpoint::new(number.to_string(), Looks { number, seen: seen.clone() }).tier(number);
    let (client, _) = Failover::builder().endpoint(endpoint(0)).endpoint(endpoint(1)).seed(1).build().unwrap();
    let client = Timeout::builder(100 * MS).build().unwrap().layer(client);
    let deadline = Instant::now() + 100 * MS;
    let told = context::current().with_priority(Priority::Critical);
    assert_eq!(context::scope(told, client.oneshot(7)).await, Ok(1));
    let expected: Vec<Seen> = [(0, 1, false), (1, 2, true)]
        .into_iter()
        .flat_map(|(endpoint, attempt, repeated)| {
            ["poll_ready", "call", "poll", "later"]
                .map(|at| (endpoint, at, Some(deadline), attempt, repeated, Priority::Critical))
        })
        .collect();
    assert_eq!(*seen.lock().unwrap(), expected);
    assert_eq!((context::deadline(), context::attempt(), context::priority()), (None, 1, Priority::Normal));
}
