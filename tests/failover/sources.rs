//! Several sources of members, and what becomes of those that fail.

use std::{
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use steadfast::{
    failover::{
        Failover, FailoverEvent,
        members::{Change, Membership},
    },
    telemetry::Name,
};

use crate::{
    sent::{self, *},
    support::*,
};

#[tokio::test(start_paused = true)]
async fn each_source_speaks_of_its_own_endpoints_only() {
    let [given, a, b, both] = nodes(["given", "a", "b", "both"]);
    let ((one, first), (two, second)) = (source(), source());
    let (_client, handle) = build(over(std::slice::from_ref(&given)).members(first).members(second));
    one.send(set([&a, &both, &given])).unwrap();
    two.send(set([&b, &both])).unwrap();
    soon().await;
    assert_eq!(keys(&handle), ["a", "b", "both", "given"]);
    one.send(set([&a])).unwrap();
    soon().await;
    assert_eq!(keys(&handle), ["a", "b", "both", "given"], "one of them still has it");
    two.send(set([])).unwrap();
    soon().await;
    assert_eq!(keys(&handle), ["a", "given"]);
    two.send(Change::Remove("a".into())).unwrap();
    one.send(Change::Remove("given".into())).unwrap();
    one.send(Change::Insert(given.endpoint())).unwrap();
    one.send(set([])).unwrap();
    soon().await;
    assert_eq!(keys(&handle), ["given"], "what is given one by one stays");
    drop(one);
    two.send(set([&b])).unwrap();
    soon().await;
    assert_eq!(keys(&handle), ["b", "given"], "though another one has ended");
}

#[tokio::test(start_paused = true)]
async fn sources_are_told_of_failed_connections_once_in_a_second() {
    let [a] = nodes(["a"]);
    let (_sender, members) = source();
    let looks = Arc::clone(&members.looks);
    let (client, _handle) = build(over(std::slice::from_ref(&a)).members(members).with(|settings| {
        (settings.connect_failures, settings.consecutive_failures) = (None, None);
        settings.all_out_failures = None;
    }));
    load(&client, 10).await;
    assert_eq!(looks.load(Relaxed), 0);
    a.does(Does::Refuses);
    load(&client, 50).await;
    assert_eq!(looks.load(Relaxed), 1);
    tokio::time::sleep(600 * MS).await;
    assert_eq!(looks.load(Relaxed), 2, "of those that failed since");
    tokio::time::sleep(10_000 * MS).await;
    assert_eq!(looks.load(Relaxed), 2);
}

/// A source that does not stop, or that panics.
struct Wild(bool);

impl Membership<Node> for Wild {
    fn poll_change(&mut self, _: &mut Context<'_>) -> Poll<Option<Change<Node>>> {
        assert!(!self.0, "on purpose");
        Poll::Ready(Some(Change::Remove("nobody".into())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_goes_wild_stops_neither_the_others_nor_the_runtime() {
    let [a] = nodes(["a"]);
    for panics in [true, false] {
        let (sender, members) = source();
        let builder = Failover::builder().members(Wild(panics)).members(members);
        let (client, handle) = builder.classify(Meaning).build().unwrap();
        sender.send(set([&a])).unwrap();
        (0..10).for_each(|_| drop(sender.send(set([&a]))));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(keys(&handle), ["a"]);
        drop((client, handle));
        tokio::task::yield_now().await;
    }
}

/// A source that fails when it is told to, and tries again and again.
#[derive(Clone, Default)]
struct Shaky {
    set: Arc<Mutex<Option<Change<Node>>>>,
    says: Arc<Mutex<Option<&'static str>>>,
    failing: Option<Name>,
    waker: Arc<Mutex<Option<Waker>>>,
}

impl Shaky {
    fn now(&self, says: Option<&'static str>) {
        *self.says.lock().unwrap() = says;
        self.again();
    }

    fn again(&self) {
        self.waker.lock().unwrap().take().expect("it is polled").wake();
    }
}

impl Membership<Node> for Shaky {
    fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<Option<Change<Node>>> {
        *self.waker.lock().unwrap() = Some(cx.waker().clone());
        self.failing = self.says.lock().unwrap().map(Name::from_static);
        self.set.lock().unwrap().take().map_or(Poll::Pending, |set| Poll::Ready(Some(set)))
    }

    fn name(&self) -> Name {
        Name::from_static("shaky")
    }

    fn failing(&self) -> Option<&Name> {
        self.failing.as_ref()
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_told_once_and_when_it_works_again() {
    for wrapped in [false, true] {
        let [a] = nodes(["a"]);
        let shaky = Shaky::default();
        let builder = Failover::builder().members(shaky.clone()).classify(Meaning);
        let built = if wrapped { builder.wrap(|_, node: Node| node).build() } else { builder.build() };
        let (_client, handle) = built.unwrap();
        let mut events = handle.subscribe();
        soon().await;
        // It fails, and still does when it is asked again.
        for says in ["away", "away", "still away"] {
            shaky.now(Some(says));
            soon().await;
        }
        let source = Name::from_static("shaky");
        let failed = FailoverEvent::MembersFailed { source: source.clone(), why: Name::from_static("away") };
        assert_eq!(told(&mut events), [failed]);
        // What it says before it is told that it works again is heard first.
        *shaky.set.lock().unwrap() = Some(set([&a]));
        shaky.now(None);
        soon().await;
        let recovered = FailoverEvent::MembersRecovered { source };
        let up = FailoverEvent::EndpointUp { key: Name::from_static("a"), after: None };
        assert_eq!(told(&mut events), [up, recovered]);
        shaky.again();
        soon().await;
        assert_eq!(told(&mut events), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_is_told_and_one_that_panics_with_what_it_did() {
    let (source, why) = (Name::from_static("members"), Name::from_static("it panicked"));
    let ended = |why| FailoverEvent::MembersEnded { source: source.clone(), why };
    let (sender, members) = sent::source::<Node>();
    let (_client, handle) = Failover::builder().members(members).classify(Meaning).build().unwrap();
    let mut events = handle.subscribe();
    drop(sender);
    soon().await;
    assert_eq!(told(&mut events), [ended(None)]);
    let (_client, handle) = Failover::builder().members(Wild(true)).classify(Meaning).build().unwrap();
    let mut events = handle.subscribe();
    soon().await;
    assert_eq!(told(&mut events), [ended(Some(why))]);
}

/// A source that ends as it fails.
struct Ends(Name);

impl Membership<Node> for Ends {
    fn poll_change(&mut self, _: &mut Context<'_>) -> Poll<Option<Change<Node>>> {
        Poll::Ready(None)
    }

    fn failing(&self) -> Option<&Name> {
        Some(&self.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_as_it_fails_says_with_what() {
    let why = Name::from_static("the registry is gone");
    let builder = Failover::builder().members(Ends(why.clone())).classify(Meaning);
    let (_client, handle) = builder.build().unwrap();
    let mut events = handle.subscribe();
    soon().await;
    let ended = FailoverEvent::MembersEnded { source: Name::from_static("members"), why: Some(why) };
    assert_eq!(told(&mut events), [ended]);
}
