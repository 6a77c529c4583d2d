//! The set of endpoints changes under calls, on several threads.

use std::future::ready;

use steadfast::{
    Error,
    failover::{Endpoint, Failover, members},
};
use tokio::{runtime::Handle, sync::watch};
use tower::{ServiceExt, service_fn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_refused_while_one_endpoint_takes_the_place_of_another() {
    let (set, sets) = watch::channel(0_u32);
    let endpoint = |number: u32| {
        let service = service_fn(move |()| ready(Ok::<_, Error<std::io::Error>>(number)));
        vec![Endpoint::new(number.to_string(), service)]
    };
    let (client, _) = Failover::builder().members(members::watch(sets, endpoint)).build().unwrap();
    // Each time that a change is seen the next one is made, while calls go on, on a thread of their own.
    let runtime = Handle::current();
    let caller = move || {
        let mut calls = 0;
        while *set.borrow() < 3000 && calls < 10_000_000 {
            let answer = runtime.block_on(client.clone().oneshot(()));
            assert!(answer.is_ok(), "call {calls} of {}: {answer:?}", *set.borrow());
            set.send_if_modified(|number| answer.is_ok_and(|seen| seen == *number).then(|| *number += 1).is_some());
            calls += 1;
        }
        assert_eq!(*set.borrow(), 3000);
    };
    tokio::task::spawn_blocking(caller).await.unwrap();
}
