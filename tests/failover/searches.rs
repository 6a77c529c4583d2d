//! Searches for the primary that begin while probes are under way.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use steadfast::failover::{
    Check, FailoverHandle, Meta, Need,
    probe::{self, Report, Role},
};
use tokio::time::{Instant, sleep};
use tower::{Service, ServiceExt};

use crate::support::*;

/// What endpoints say, as they are when they are asked, and how long after that it is heard.
#[derive(Clone, Default)]
struct Says {
    reports: Arc<Mutex<HashMap<String, (Report, Duration)>>>,
    /// Those that are asked now, and those that have been.
    under_way: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Says {
    fn says(&self, key: &str, report: Report, after: Duration) {
        self.reports.lock().unwrap().insert(key.to_owned(), (report, after));
    }

    fn under_way(&self, key: &str) -> usize {
        self.under_way.lock().unwrap().iter().filter(|of| *of == key).count()
    }

    /// How often it has been asked since this was looked up last.
    fn take(&self, key: &str) -> usize {
        let mut asked = self.asked.lock().unwrap();
        let before = asked.len();
        asked.retain(|of| of != key);
        before - asked.len()
    }

    fn client(&self, all: &[Node]) -> (impl Calls + use<>, FailoverHandle<Node>) {
        let said = self.clone();
        let probe = probe::from_fn(move |meta: Meta, _: Option<Node>| {
            let (said, key) = (said.clone(), meta.key().to_string());
            let (report, after) = said.reports.lock().unwrap()[&key];
            async move {
                said.asked.lock().unwrap().push(key.clone());
                said.under_way.lock().unwrap().push(key.clone());
                assert_eq!(said.under_way(&key), 1, "asked while it is asked");
                sleep(after).await;
                said.under_way.lock().unwrap().retain(|of| *of != key);
                Ok::<_, Fault>(report)
            }
        });
        let by_role = over(all).probe(probe).need(|_: &u32| Need::Primary).with(|settings| {
            settings.check = Check::default().jitter(0.0);
            settings.max_hold = Duration::from_secs(3);
        });
        by_role.build().unwrap()
    }
}

trait Calls: Service<u32, Response = &'static str, Error = steadfast::Error<Fault>, Future: Send> + Clone {}
impl<S> Calls for S where S: Service<u32, Response = &'static str, Error = steadfast::Error<Fault>, Future: Send> + Clone
{}

fn primary(epoch: u64) -> Report {
    Report::new().role(Role::Primary).epoch(epoch)
}

fn replica() -> Report {
    Report::new().role(Role::Replica).epoch(1)
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_before_a_search_does_not_end_it_nor_is_it_asked_twice_at_a_time() {
    let all = nodes(["a", "b", "c"]);
    let says = Says::default();
    says.says("a", primary(1), MS);
    ["b", "c"].into_iter().for_each(|key| says.says(key, replica(), MS));
    let (client, handle) = says.client(&all);
    sleep(40 * MS).await;
    assert_eq!(client.clone().oneshot(1).await.unwrap(), "a");
    // At 2 s all are asked, and one takes its time.
    says.says("a", primary(1), 700 * MS);
    sleep(2000 * MS).await;
    assert_eq!(["a", "b", "c"].map(|key| says.under_way(key)), [1, 0, 0]);
    all[0].does(Does::NotPrimary);
    says.says("a", replica(), MS);
    for key in ["a", "b", "c"] {
        says.take(key);
    }
    forget(&all);
    let (begun, write) = (Instant::now(), client.clone().oneshot(1));
    let changes = async {
        sleep(600 * MS).await;
        assert_eq!((says.take("a"), says.under_way("a")), (0, 1), "it has been asked already");
        assert!(says.take("b") >= 4 && says.take("c") >= 4);
        // Now it says that it was the primary 700 ms ago.
        sleep(150 * MS).await;
        assert_eq!((says.under_way("a"), handle.snapshot().primary), (0, None));
        says.says("b", primary(2), MS);
    };
    assert_eq!(tokio::join!(write, changes).0.unwrap(), "b");
    assert!(begun.elapsed() < 1200 * MS, "{:?}", begun.elapsed());
    assert_eq!((all[0].calls(), all[2].calls()), (1, 0), "asked once each, and by the search");
    assert!(says.take("a") >= 1, "it is asked again");
}

#[tokio::test(start_paused = true)]
async fn a_search_that_begins_with_the_first_probes_goes_on_after_them() {
    let all = nodes(["a", "b"]);
    let says = Says::default();
    ["a", "b"].into_iter().for_each(|key| says.says(key, replica(), 100 * MS));
    let (client, _) = says.client(&all);
    sleep(MS).await;
    let (begun, write) = (Instant::now(), client.clone().oneshot(1));
    let changes = async {
        sleep(200 * MS).await;
        says.says("b", primary(2), MS);
    };
    assert_eq!(tokio::join!(write, changes).0.unwrap(), "b");
    // Rounds, and not only probes that are fast.
    assert!(begun.elapsed() < 450 * MS, "{:?}", begun.elapsed());
    assert_eq!(all[0].calls(), 0);
}
