//! What the tests pin.
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use futures::FutureExt;
use tokio::sync::watch as channel;

use super::*;

type Keys = Vec<&'static str>;

fn keys(set: Keys) -> Vec<Endpoint<()>> {
    set.into_iter().map(|key| Endpoint::new(key, ())).collect()
}

/// What comes next; `None` if nothing does yet.
fn next(members: &mut impl Membership<()>) -> Option<Option<Vec<String>>> {
    let change = poll_fn(|cx| members.poll_change(cx)).now_or_never()?;
    Some(change.map(|change| match change {
        Change::Set(set) => set.iter().map(|endpoint| endpoint.meta().key().to_string()).collect(),
        other => panic!("{other:?}"),
    }))
}

fn set(keys: &[&str]) -> Option<Option<Vec<String>>> {
    Some(Some(keys.iter().map(ToString::to_string).collect()))
}

#[test]
fn the_first_value_counts_even_if_it_was_seen_and_so_does_each_new_one() {
    let (sender, mut receiver) = channel::channel(vec!["a"]);
    receiver.mark_unchanged();
    let mut members = watch(receiver, keys);
    assert_eq!(next(&mut members), set(&["a"]));
    assert_eq!(next(&mut members), None);
    sender.send(vec!["a", "b"]).unwrap();
    sender.send(vec!["c"]).unwrap();
    assert_eq!(next(&mut members), set(&["c"]));
    assert_eq!(next(&mut members), None);
}

#[test]
fn a_sender_that_is_gone_leaves_the_set_with_its_last_value() {
    let (sender, receiver) = channel::channel(vec!["a"]);
    let mut members = watch(receiver, keys);
    assert_eq!(next(&mut members), set(&["a"]));
    sender.send(Vec::new()).unwrap();
    drop(sender);
    assert_eq!(next(&mut members), set(&[]));
    assert!(!format!("{members:?}").contains("true"));
    assert_eq!(next(&mut members), Some(None));
    assert_eq!(next(&mut members), Some(None));
    assert_eq!(format!("{members:?}"), "Watched { ended: true, .. }");
}

#[tokio::test]
async fn who_waits_is_woken() {
    let (sender, receiver) = channel::channel(vec!["a"]);
    let mut members = watch(receiver, keys);
    next(&mut members);
    let waits = tokio::spawn(async move { poll_fn(|cx| members.poll_change(cx)).await.is_some() });
    tokio::task::yield_now().await;
    sender.send(vec!["b"]).unwrap();
    tokio::task::yield_now().await;
    assert!(waits.is_finished(), "it was not woken");
    assert!(waits.await.unwrap());
}

#[test]
fn the_watch_is_not_locked_while_the_function_runs() {
    let (sender, receiver) = channel::channel(vec!["a"]);
    let sender = Arc::new(sender);
    let calls = Arc::new(AtomicUsize::new(0));
    let called = Arc::clone(&calls);
    let mut members = watch(receiver, move |set| {
        if called.fetch_add(1, Ordering::Relaxed) == 0 {
            let (sends, (done, is_done)) = (Arc::clone(&sender), mpsc::channel());
            // Would wait for the lock until this returns.
            thread::spawn(move || done.send(sends.send(vec!["b"]).is_ok()));
            assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(true));
        }
        keys(set)
    });
    assert_eq!(next(&mut members), set(&["a"]));
    assert_eq!(next(&mut members), set(&["b"]));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn it_is_dropped_with_the_client() {
    let (sender, receiver) = channel::channel(vec!["a"]);
    let mut members = watch(receiver, keys);
    next(&mut members);
    assert!(next(&mut members).is_none());
    assert_eq!(sender.receiver_count(), 1);
    drop(members);
    assert_eq!(sender.receiver_count(), 0);
}
