//! What is done without a library.

use steadfast::storm::{Request, Stack, Upstream};
use tokio::time::timeout;
use tower::{Service, service_fn};

use super::{ATTEMPT, Peer, Trouble, leniently, strictly};

const ATTEMPTS: u32 = 3;

/// One attempt, until nobody waits any more.
pub(super) fn no_policy() -> Peer {
    Peer::new(Stack::new("no policy", |upstream| upstream), "one attempt")
}

/// Three attempts, one right after the other.
pub(super) fn naive() -> Peer {
    let stack = Stack::new("naive", |upstream: Upstream| {
        service_fn(move |request: Request| {
            let mut upstream = upstream.clone();
            async move {
                let mut outcome = Err(Trouble::NotSent);
                for _ in 0..ATTEMPTS {
                    outcome = match timeout(ATTEMPT, upstream.call(request)).await {
                        Ok(outcome) => strictly(outcome),
                        Err(_) => Err(Trouble::TimedOut),
                    };
                    if outcome.is_ok() {
                        break;
                    }
                }
                leniently(outcome)
            }
        })
    });
    Peer::new(stack, "3 immediate attempts of 250 ms, on any error, a 4xx too")
}
