//! An endpoint that is not ready in time has failed, unless the time was lost by ourselves.

use std::task::{Context, Poll};

use steadfast::{
    Error,
    failover::{Endpoint, Failover, FailoverHandle},
};
use tower::{Service, ServiceExt};

use crate::support::*;

/// Never ready.
#[derive(Clone)]
struct Busy;

impl Service<u32> for Busy {
    type Response = &'static str;
    type Error = Error<Fault>;
    type Future = std::future::Ready<Result<&'static str, Error<Fault>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error<Fault>>> {
        Poll::Pending
    }

    fn call(&mut self, _: u32) -> Self::Future {
        unreachable!("it is not ready")
    }
}

fn client() -> (Failover<Busy, Meaning>, FailoverHandle<Busy>) {
    let one = Failover::builder().endpoint(Endpoint::new("a", Busy)).classify(Meaning).seed(1);
    one.with(|settings| settings.acquire_timeout = 100 * MS).build().unwrap()
}

/// Its calls, failures and failures in a row, and whether it is in.
fn counts(handle: &FailoverHandle<Busy>) -> (u64, u64, u32, bool) {
    let a = handle.snapshot().endpoint("a").unwrap().clone();
    (a.calls, a.failures, a.in_row, a.state.is_in())
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_ready_in_time_has_failed() {
    let (client, handle) = client();
    client.clone().oneshot(1).await.unwrap_err();
    assert_eq!(counts(&handle), (1, 1, 1, true));
    client.clone().oneshot(1).await.unwrap_err();
    assert!(!counts(&handle).3);
}

#[test]
fn not_so_if_we_were_stalled_ourselves() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (client, handle) = client();
        let calls: Vec<_> = (0..4).map(|_| tokio::spawn(client.clone().oneshot(1))).collect();
        while handle.snapshot().endpoints[0].in_flight < 4 {
            tokio::task::yield_now().await;
        }
        // A handler that computes.
        std::thread::sleep(400 * MS);
        for call in calls {
            call.await.unwrap().unwrap_err();
        }
        assert_eq!(counts(&handle), (4, 0, 0, true));
    });
}
