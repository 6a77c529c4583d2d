//! What a call carries along to the layers of a server: its deadline, how important it is, and whether it came before.
#![allow(clippy::disallowed_methods)] // The clock is paused.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use steadfast::{
    Error, Priority, context,
    retry::{Budget, Retry},
    storm::{Candidate, FaultKind, Handler, Load, Scenario, Stack, StormClassify, Upstream, Work},
    timeout::Timeout,
};
use tokio::time::Instant;
use tower::{ServiceBuilder, ServiceExt, service_fn};

/// Class, how important, came before, milliseconds left.
type Seen = (usize, Priority, bool, Option<u128>);

/// One call a second from each of the classes, and what the layers of the servers see of those.
fn seen(priorities: &[u8], fails: bool) -> BTreeSet<Seen> {
    let mut scenario = Scenario::new("carried");
    if fails {
        let fault = FaultKind::Fail { share: 1.0 };
        scenario = scenario.fault(fault, Duration::ZERO, Duration::from_secs(10));
    }
    scenario.world.load = Load::Poisson { rate: 50.0 };
    scenario.world.network = Duration::from_millis(20);
    let class = scenario.world.classes[0].clone();
    scenario.world.classes = priorities.iter().map(|_| class.clone()).collect();
    for (class, priority) in scenario.world.classes.iter_mut().zip(priorities) {
        class.priority = *priority;
    }
    let all = Arc::new(Mutex::new(BTreeSet::new()));
    let log = Arc::clone(&all);
    let client = |upstream: Upstream| {
        let timeout = Timeout::builder(Duration::from_millis(500)).build().unwrap();
        let retry =
            Retry::builder().max_attempts(2).budget(None::<Arc<Budget>>).backoff(steadfast::backoff::Backoff::none());
        let retry = retry.classify(StormClassify).build().unwrap();
        ServiceBuilder::new().layer(timeout).layer(retry).map_err(Error::Inner).service(upstream)
    };
    let stack = Stack::new("watching", client).server(move |handler: Handler| {
        let log = Arc::clone(&log);
        service_fn(move |work: Work| {
            let left =
                context::deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()).as_millis());
            log.lock().unwrap().insert((work.request().class(), context::priority(), context::is_repeated(), left));
            handler.clone().oneshot(work)
        })
    });
    stack.run(&scenario, 0).unwrap();
    std::mem::take(&mut *all.lock().unwrap())
}

#[test]
fn the_deadline_goes_along_and_what_the_network_took_is_off_it() {
    let all = seen(&[0], false);
    assert_eq!(all, BTreeSet::from([(0, Priority::Normal, false, Some(490))]));
}

#[test]
fn where_classes_differ_the_lowest_is_sheddable_and_the_highest_critical() {
    let of = |priorities: &[u8]| {
        let seen = seen(priorities, false);
        seen.into_iter().map(|(class, priority, ..)| (class, priority)).collect::<Vec<_>>()
    };
    assert_eq!(of(&[3, 3]), [(0, Priority::Normal), (1, Priority::Normal)]);
    assert_eq!(of(&[9, 0]), [(0, Priority::Critical), (1, Priority::Sheddable)]);
    assert_eq!(of(&[1, 2, 7]), [(0, Priority::Sheddable), (1, Priority::Normal), (2, Priority::Critical)]);
}

#[test]
fn a_retry_is_known_as_one() {
    let all = seen(&[0], true);
    let [first, again] = [false, true].map(|again| all.iter().filter(|(_, _, repeated, _)| *repeated == again).count());
    assert!(first == 1 && again > 1, "{all:?}");
}
