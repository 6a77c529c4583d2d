//! The Redis store against a real `redis-server`, shared by four real processes.
#![allow(clippy::disallowed_methods, clippy::explicit_write)]

mod faults;
mod keys;
mod processes;
mod server;

use std::time::Duration;

use steadfast::rate_limit::redis::RedisStore;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_showing_it() {
    let error = RedisStore::new("http://user:secret@host/").unwrap_err();
    assert_eq!(error.field(), "url");
    assert!(!error.to_string().contains("secret"));
}
