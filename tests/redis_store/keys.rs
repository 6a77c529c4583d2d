//! One limiter for each key, over one server.

use steadfast::rate_limit::{RateLimit, SharedRateLimits, redis::RedisStore, shared::SharedRateLimitHandle};

use crate::{
    SECOND,
    server::{Server, program},
};

/// A set as each process has one: three at once and one in an hour for each key.
fn process(url: &str) -> SharedRateLimits<String, RedisStore> {
    let store = RedisStore::new(url).unwrap();
    let builder = RateLimit::builder(1, SECOND * 3600).name("tenants").burst(3);
    builder.store(store, 2).store_timeout(SECOND * 10).build_keyed(2).unwrap()
}

async fn admitted(limit: &SharedRateLimitHandle<RedisStore>, tries: usize) -> usize {
    let mut admitted = 0;
    for _ in 0..tries {
        admitted += usize::from(limit.acquire().await.is_ok());
    }
    assert_eq!(limit.snapshot().local_calls, 0, "the server has decided");
    admitted
}

#[tokio::test]
async fn each_key_is_counted_apart_and_by_all_processes_together() {
    let Some(program) = program() else { return };
    let server = Server::start(program).await;
    let (one, other) = (process(&server.url()), process(&server.url()));
    let limit = |of: &SharedRateLimits<String, RedisStore>, key: &str| of.for_key(&key.to_owned()).handle();
    assert_eq!(limit(&one, "acme").name().as_str(), "tenants/acme");
    assert_eq!(admitted(&limit(&one, "acme"), 2).await, 2);
    assert_eq!(admitted(&limit(&other, "acme"), 3).await, 1, "three together");
    assert_eq!(admitted(&limit(&other, "globex"), 4).await, 3, "another key has its own");
    assert_eq!(admitted(&limit(&one, "globex"), 1).await, 0);
    // One that has been forgotten here has its count still: it is the server's.
    for key in 0..50 {
        limit(&one, &key.to_string());
    }
    assert!(one.len() <= 2, "{}", one.len());
    let again = limit(&one, "acme");
    assert_eq!(again.snapshot().refused, 0, "made anew");
    assert_eq!(admitted(&again, 1).await, 0);
}
