//! The `standard` retries of the AWS SDKs as of 2026 (`AWS_NEW_RETRIES_2026`), written down anew: the SDKs' own are tied
//! to their clients. Around them attempts of 250 ms, as the SDKs have none by default.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use steadfast::storm::{Failure, Request, Stack, Upstream};
use tokio::time::{sleep, timeout};
use tower::{Service, service_fn};

use super::{ATTEMPT, Peer, Trouble};

const ATTEMPTS: u32 = 3;
const BUCKET: u32 = 500;
/// What a success of a first attempt puts into the bucket; one of a retry gives back what it cost.
const DEPOSIT: u32 = 1;
const LONGEST: Duration = Duration::from_secs(20);

pub(super) fn peer() -> Peer {
    let stack = Stack::new("AWS SDK 2026 retries", |upstream: Upstream| {
        if upstream.client() == 0 {
            fastrand::seed(0);
        }
        let bucket = Arc::new(AtomicU32::new(BUCKET));
        service_fn(move |request: Request| {
            let (upstream, bucket) = (upstream.clone(), Arc::clone(&bucket));
            ask(upstream, bucket, request)
        })
    });
    Peer::new(stack, "3 attempts of 250 ms; bucket of 500, a retry 14, throttled 5; full jitter under 50 ms x 2")
}

async fn ask(
    mut upstream: Upstream,
    bucket: Arc<AtomicU32>,
    request: Request,
) -> Result<steadfast::storm::Response, Trouble> {
    let (mut retries, mut paid) = (0, None);
    loop {
        let outcome = match timeout(ATTEMPT, upstream.call(request)).await {
            Ok(outcome) => outcome.map_err(Trouble::Backend),
            Err(_) => Err(Trouble::TimedOut),
        };
        let trouble = match outcome {
            Ok(response) => {
                let put = |tokens: u32| Some((tokens + paid.unwrap_or(DEPOSIT)).min(BUCKET));
                let _ = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, put);
                return Ok(response);
            }
            Err(trouble) => trouble,
        };
        let (cost, base) = match trouble {
            Trouble::Backend(Failure::Overloaded) => (5, Duration::from_secs(1)),
            _ => (14, Duration::from_millis(50)),
        };
        let take = |tokens: u32| tokens.checked_sub(cost);
        if retries + 1 == ATTEMPTS || bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(trouble);
        }
        let longest = (base * 2_u32.pow(retries)).min(LONGEST);
        sleep(longest.mul_f64(fastrand::f64())).await;
        (retries, paid) = (retries + 1, Some(cost));
    }
}
