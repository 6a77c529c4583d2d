//! What a server does besides answering and being away: it hangs, forgets scripts, holds other things, has another time.

use std::{
    io::{self, Write},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures::future::join_all;
use redis::AsyncCommands;
use steadfast::{
    RejectedKind, context,
    rate_limit::{RateLimit, RateLimitBuilder, redis::RedisStore, shared::SharedRateLimitHandle},
};
use tokio::time::{sleep, timeout};

use crate::{
    SECOND,
    server::{Server, program},
};

const MS: Duration = Duration::from_millis(1);

type Limit = SharedRateLimitHandle<RedisStore>;

/// Patient, so that a slow machine is not taken for a server that is away.
fn over(store: &RedisStore, builder: RateLimitBuilder) -> Limit {
    let builder = builder.store(store.clone(), 1).store_timeout(SECOND * 10);
    builder.build().unwrap().handle()
}

/// So many at once, and none after that.
fn at_once(name: &'static str, calls: u32) -> RateLimitBuilder {
    RateLimit::builder(1, SECOND * 86_400).name(name).burst(calls)
}

async fn admitted(limit: &Limit, tries: usize) -> usize {
    join_all((0..tries).map(|_| limit.acquire())).await.iter().filter(|outcome| outcome.is_ok()).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_no_caller_more_than_the_timeout_and_is_shared_again_afterwards() {
    let Some(program) = program() else { return };
    let server = Server::start(program).await;
    let process = || {
        let store = RedisStore::new(&server.url()).unwrap();
        let builder = at_once("hangs", 10_000).store(store, 2).store_timeout(MS * 200);
        builder.probe_interval(MS * 300).build().unwrap().handle()
    };
    let (one, other) = (process(), process());
    let (before, theirs) = (admitted(&one, 1000).await, admitted(&other, 1).await);
    assert_eq!((before, theirs, one.snapshot().local_calls), (1000, 1, 0));

    server.freeze();
    let (start, mut calls, mut longest) = (Instant::now(), 0, Duration::ZERO);
    while start.elapsed() < SECOND * 3 {
        let asked = Instant::now();
        one.acquire().await.expect("no error");
        (calls, longest) = (calls + 1, longest.max(asked.elapsed()));
        sleep(MS * 2).await;
    }
    // Callers of the other process have less patience than the timeout.
    let mut gave_up = 0;
    while gave_up < 50 && timeout(MS * 20, other.acquire()).await.is_err() {
        gave_up += 1;
    }
    assert!((1..=12).contains(&gave_up), "{gave_up} gave up before the server was found to be away");
    let snapshot = one.snapshot();
    writeln!(io::stderr(), "frozen server: {calls} calls, the longest took {longest:?}; {gave_up} gave up").unwrap();
    assert!((MS * 200..MS * 500).contains(&longest), "{longest:?}");
    assert!(snapshot.store_away && other.snapshot().store_away);
    assert!(calls > 100, "{calls} calls: one in an interval waits");

    server.thaw();
    for limit in [&one, &other] {
        let back = async {
            while limit.snapshot().store_away {
                limit.acquire().await.expect("no error");
                sleep(MS * 10).await;
            }
        };
        timeout(SECOND * 20, back).await.expect("it comes back");
    }
    // Both use up what is left of one count: all but what the probes have taken that were given up.
    let local = |limit: &Limit| limit.snapshot().local_calls;
    let locally = (local(&one), local(&other));
    let mut rest = 0;
    for _ in 0..25 {
        rest += admitted(&one, 200).await + admitted(&other, 200).await;
    }
    assert_eq!((local(&one), local(&other)), locally, "the server decides again");
    assert!((8800..=8999).contains(&rest), "{rest} of 8,999 left");
}

#[tokio::test]
async fn nobody_notices_that_the_server_has_forgotten_the_script() {
    let Some(program) = program() else { return };
    let server = Server::start(program).await;
    let store = RedisStore::new(&server.url()).unwrap();
    let limit = over(&store, at_once("flushed", 100));
    let mut beside = server.connection().await;
    for round in 1..=3 {
        assert_eq!(admitted(&limit, 20).await, 20);
        let () = redis::cmd("SCRIPT").arg("FLUSH").query_async(&mut beside).await.unwrap();
        assert_eq!((limit.snapshot().went_away, limit.snapshot().local_calls), (0, 0), "round {round}");
    }
    // And each of them took one turn, not two.
    assert_eq!(admitted(&limit, 50).await, 40);
    assert_eq!(limit.snapshot().went_away, 0);
}

#[tokio::test]
async fn a_key_that_holds_something_else_is_a_matter_of_its_limiter_alone() {
    let Some(program) = program() else { return };
    let server = Server::start(program).await;
    let store = RedisStore::new(&server.url()).unwrap();
    let (bad, good) = (over(&store, at_once("bad", 100)), over(&store, at_once("good", 100)));
    let mut beside = server.connection().await;
    let _: u32 = beside.rpush("steadfast:bad", "something else").await.unwrap();
    store.connect().await.unwrap();
    let connections = server.connections(&mut beside).await;
    // All in one write.
    let (of_bad, of_good) = futures::join!(admitted(&bad, 20), admitted(&good, 120));
    assert_eq!((of_bad, bad.snapshot().store_away, bad.snapshot().local_calls), (20, true, 20), "the local share");
    assert_eq!((of_good, good.snapshot().went_away, good.snapshot().local_calls), (100, 0, 0));
    assert_eq!(server.connections(&mut beside).await, connections, "over the same connection");
}

#[test]
fn the_store_outlives_the_runtime_of_its_first_caller() {
    let Some(program) = program() else { return };
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let server = first.block_on(Server::start(program));
    let store = RedisStore::new(&server.url()).unwrap();
    let limit = over(&store, at_once("outlives", 10));
    assert_eq!(first.block_on(admitted(&limit, 5)), 5);
    drop(first);
    let second = runtime();
    assert_eq!(second.block_on(admitted(&limit, 10)), 5);
    assert_eq!((limit.snapshot().went_away, limit.snapshot().local_calls), (0, 0));
}

/// Whole microseconds of the kept time.
async fn kept(beside: &mut redis::aio::MultiplexedConnection, key: &str) -> u64 {
    let kept: String = beside.get(key).await.unwrap();
    kept.split(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_clock_that_was_set_back_holds_calls_back_by_no_more_than_the_longest_wait() {
    let Some(program) = program() else { return };
    let server = Server::start(program).await;
    let store = RedisStore::new(&server.url()).unwrap();
    let max_wait = MS * 300;
    let limit = over(&store, RateLimit::builder(10, SECOND).name("clock").burst(3).max_wait(max_wait));
    let mut beside = server.connection().await;
    let tomorrow = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + SECOND * 86_400;
    let () = beside.set("steadfast:clock", format!("{}:0", tomorrow.as_micros())).await.unwrap();
    // As if the burst had been used up and all waited who may: the next can wait when one of them has gone.
    let rejected = limit.acquire().await.unwrap_err();
    let retry_after = rejected.retry_after().unwrap();
    assert_eq!(rejected.kind(), RejectedKind::RateLimited);
    assert!((MS * 400..MS * 402).contains(&retry_after), "{retry_after:?}");
    sleep(MS * 110).await;
    timeout(SECOND * 5, limit.acquire()).await.expect("in time").unwrap();
    assert_eq!((limit.snapshot().refused, limit.snapshot().local_calls), (1, 0));
}

#[tokio::test]
async fn a_call_that_can_wait_for_less_does_not_void_what_others_wait_for() {
    let Some(program) = program() else { return };
    let server = Server::start(program).await;
    let store = RedisStore::new(&server.url()).unwrap();
    let limit = over(&store, RateLimit::builder(1, SECOND * 100).name("less").burst(1).max_wait(SECOND * 250));
    let mut beside = server.connection().await;
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(limit.acquire())).collect();
    for call in &mut waiting {
        // Until the server has answered.
        let _ = timeout(MS * 300, call).await;
    }
    let before = kept(&mut beside, "steadfast:less").await;
    let deadline = tokio::time::Instant::now() + SECOND * 20;
    let soon = context::current().with_deadline(deadline);
    context::scope(soon, limit.acquire()).await.unwrap_err();
    assert_eq!(kept(&mut beside, "steadfast:less").await, before);
    assert_eq!((limit.snapshot().refused, limit.snapshot().local_calls), (1, 0));
}
