//! What tower itself has.

use std::{sync::Arc, time::Duration};

use steadfast::storm::{Request, Response, Stack, Upstream};
use tower::{
    BoxError, ServiceBuilder,
    retry::{
        Policy,
        budget::{Budget, TpsBudget},
    },
};

use super::{ATTEMPT, DEADLINE, Peer};

/// In flight of each client: what it would send in its deadline.
const CONCURRENCY: usize = 60;
const RETRIES: u32 = 2;

pub(super) fn peer() -> Peer {
    let stack = Stack::new("tower 0.5", |upstream: Upstream| {
        let retry = Budgeted { budget: Arc::new(TpsBudget::new(Duration::from_secs(10), 10, 0.2)), left: RETRIES };
        ServiceBuilder::new()
            .load_shed()
            .concurrency_limit(CONCURRENCY)
            .timeout(DEADLINE)
            .retry(retry)
            .timeout(ATTEMPT)
            .service(upstream)
    });
    Peer::new(stack, "load_shed, 60 at once, 1 s in all, 3 immediate attempts of 250 ms with the default TpsBudget")
}

/// As in the documentation of [`Policy`], with a budget.
#[derive(Clone)]
struct Budgeted {
    budget: Arc<TpsBudget>,
    left: u32,
}

impl Policy<Request, Response, BoxError> for Budgeted {
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Request, outcome: &mut Result<Response, BoxError>) -> Option<Self::Future> {
        if outcome.is_ok() {
            self.budget.deposit();
            return None;
        }
        if self.left == 0 || !self.budget.withdraw() {
            return None;
        }
        self.left -= 1;
        Some(std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request) -> Option<Request> {
        Some(*request)
    }
}
