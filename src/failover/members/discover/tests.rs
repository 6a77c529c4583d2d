//! What the tests pin.
use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use futures::{FutureExt, Stream, StreamExt, channel::mpsc, stream};

use super::*;

type Item = Result<Discovery<u16, &'static str>, &'static str>;

/// What comes next, in words; `None` if nothing does yet.
fn next<S: fmt::Debug>(members: &mut impl Membership<S>) -> Option<String> {
    Some(match poll_fn(|cx| members.poll_change(cx)).now_or_never()? {
        None => "end".to_owned(),
        Some(Change::Insert(endpoint)) => format!("+{} in {}", endpoint.meta().key(), endpoint.meta().tier()),
        Some(Change::Remove(key)) => format!("-{key}"),
        Some(other) => panic!("{other:?}"),
    })
}

fn all<S: fmt::Debug>(members: &mut impl Membership<S>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(change) = next(members) {
        all.push(change);
        if all.last().is_some_and(|last| last == "end") {
            break;
        }
    }
    all
}

#[test]
fn services_come_and_go_by_their_key() {
    let changes: [Item; 3] =
        [Ok(Discovery::Insert(1, "one")), Ok(Discovery::Insert(2, "two")), Ok(Discovery::Remove(1))];
    let mut members = discover_with(stream::iter(changes), Endpoint::new);
    assert_eq!(all(&mut members), ["+1 in 0", "+2 in 0", "-1", "end"]);
    // Streams may panic when they are polled after their end.
    assert_eq!(next(&mut members), Some("end".to_owned()));
    assert_eq!(format!("{members:?}"), "Discovered { ended: true, errors: 0, .. }");
}

#[test]
fn endpoints_are_taken_as_they_are_but_for_their_key() {
    let changes =
        [Ok::<_, &str>(Discovery::Insert("a", Endpoint::new("another", ()).tier(3))), Ok(Discovery::Remove("a"))];
    let mut members = discover(stream::iter(changes));
    assert_eq!(all(&mut members), ["+a in 3", "-a", "end"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_between_changes_is_skipped_at_once() {
    let changes: [Item; 5] =
        [Ok(Discovery::Insert(1, "one")), Err("lost"), Err("lost"), Ok(Discovery::Insert(2, "two")), Err("lost")];
    let mut members = discover_with(stream::iter(changes), Endpoint::new);
    assert_eq!(all(&mut members), ["+1 in 0", "+2 in 0", "end"]);
}

#[tokio::test(start_paused = true)]
async fn it_fails_from_an_error_to_the_next_change() {
    let (sender, receiver) = mpsc::unbounded::<Item>();
    let mut members = discover_with(receiver, Endpoint::new).named("catalog");
    assert_eq!(members.name(), "catalog");
    let mut then = |items: &[Item]| {
        items.iter().for_each(|item| sender.unbounded_send(item.clone()).unwrap());
        while next(&mut members).is_some() {}
        members.failing().map(Name::to_string)
    };
    assert_eq!(then(&[Ok(Discovery::Remove(1))]), None);
    assert_eq!(then(&[Err("lost"), Err("still lost")]).as_deref(), Some("lost"));
    assert_eq!(then(&[]).as_deref(), Some("lost"));
    assert_eq!(then(&[Ok(Discovery::Remove(1))]), None);
    assert_eq!(then(&[Err("lost"), Ok(Discovery::Remove(1))]), None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_errors_is_not_polled_in_a_loop_and_lives() {
    let polls = Arc::new(AtomicU32::new(0));
    let errors = {
        let polls = Arc::clone(&polls);
        stream::repeat_with(move || -> Item {
            if polls.fetch_add(1, Ordering::Relaxed) < 100 { Err("lost") } else { Ok(Discovery::Remove(7)) }
        })
    };
    let mut members = discover_with(errors, Endpoint::new);
    assert_eq!(next(&mut members), None);
    assert!(polls.load(Ordering::Relaxed) <= AT_ONCE + 1);
    let start = time::now();
    let Some(Change::Remove(key)) = poll_fn(|cx| members.poll_change(cx)).await else { panic!() };
    assert_eq!(key, "7");
    let took = time::now() - start;
    // 10 ms, 20 ms and so on up to 640 ms, then a second for each.
    assert!(took > Duration::from_secs(80) && took < Duration::from_secs(90), "{took:?}");
    // A change begins anew.
    assert_eq!(format!("{members:?}"), "Discovered { ended: false, errors: 0, .. }");
}

#[tokio::test]
async fn who_waits_is_woken_and_the_stream_is_dropped_with_the_client() {
    let (sender, receiver) = mpsc::unbounded::<Item>();
    let mut members = discover_with(receiver.boxed(), Endpoint::new);
    assert_eq!(next(&mut members), None);
    let waits = tokio::spawn(async move {
        let first = poll_fn(|cx| members.poll_change(cx)).await;
        drop(members);
        first.is_some()
    });
    tokio::task::yield_now().await;
    sender.unbounded_send(Ok(Discovery::Insert(1, "one"))).unwrap();
    tokio::task::yield_now().await;
    assert!(waits.is_finished(), "it was not woken");
    assert!(waits.await.unwrap());
    assert!(sender.is_closed());
}

/// It need not be `Unpin`.
#[allow(dead_code)]
fn any_stream_will_do(stream: impl Stream<Item = Item> + Send + 'static) -> impl Membership<&'static str> {
    discover_with(stream, Endpoint::new)
}
