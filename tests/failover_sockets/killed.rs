//! A server is killed under load: its listener is closed and its connections are reset.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, http::Uri};
use steadfast::{Error, RejectedKind, failover::FailoverEvent};

use crate::{
    MS,
    http::Ask,
    load::{CLIENTS, Load},
    over,
    server::{Count, Server},
};

/// Who has carried out what.
type Log = Arc<Mutex<HashMap<String, Vec<&'static str>>>>;

/// Carries a call out, then takes a while to answer; a number of calls later it carries out and never answers.
fn writes(key: &'static str, log: &Log, stuck: &Count, stuck_after: Option<u32>) -> Router {
    let (log, stuck, calls) = (Arc::clone(log), stuck.clone(), Count::new());
    Router::new().fallback(move |uri: Uri| async move {
        log.lock().unwrap().entry(uri.path().to_owned()).or_default().push(key);
        calls.add();
        if stuck_after.is_some_and(|after| calls.get() > after) {
            stuck.add();
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(2 * MS).await;
        key
    })
}

/// Kills one of the servers while it has at least three calls that it has carried out and not answered.
async fn kill_under(ask: fn(String) -> Ask) -> (Vec<crate::load::Done>, HashMap<String, Vec<&'static str>>) {
    let (log, stuck) = (Log::default(), Count::new());
    let mut a = Server::start("a", writes("a", &log, &stuck, Some(100))).await;
    let b = Server::start("b", writes("b", &log, &stuck, None)).await;
    let c = Server::start("c", writes("c", &log, &stuck, None)).await;
    let (client, handle) = over(&[&a, &b, &c]).build().unwrap();
    let load = Load::start(&client, ask);
    stuck.reaches(3).await;
    let mut events = handle.subscribe();
    a.kill().await;
    crate::event(&mut events, |event| matches!(event, FailoverEvent::EndpointEjected { .. }).then_some(())).await;
    load.goes_on(500).await;
    // Calls try it again, and find nobody.
    let (tries, since) = (handle.snapshot().endpoint("a").unwrap().calls, tokio::time::Instant::now());
    tokio::time::sleep(600 * MS).await;
    let calls = load.stop().await;
    let tried = handle.snapshot().endpoint("a").unwrap().calls - tries;
    // It is ejected for 200 ms at least, each time anew.
    let most = 1 + since.elapsed().as_millis() as u64 / 200;
    assert!(tried <= most, "{tried} of {most}");
    (calls, Arc::try_unwrap(log).map_or_else(|log| log.lock().unwrap().clone(), |log| log.into_inner().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_sent_twice_sees_nothing_of_a_server_that_is_killed() {
    let (calls, _) = kill_under(Ask::get).await;
    let errors: Vec<_> = calls.iter().filter_map(|call| call.outcome.as_ref().err()).collect();
    assert!(errors.is_empty(), "{} of {}: {:?}", errors.len(), calls.len(), errors[0]);
    assert!(calls.iter().all(|call| call.outcome.as_ref().is_ok_and(|answer| answer.status == 200)));
    assert!(calls.iter().all(|call| call.took < Duration::from_secs(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_is_in_doubt_if_it_was_under_way_and_nothing_is_done_twice() {
    let (calls, log) = kill_under(Ask::post).await;
    let twice: Vec<_> = log.iter().filter(|(_, by)| by.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    let mut in_doubt = 0;
    for call in &calls {
        match &call.outcome {
            Ok(answer) => assert_eq!(log[&format!("/{}", call.id)], [answer.body.as_str()]),
            Err(Error::Rejected(rejected)) if rejected.kind() == RejectedKind::InDoubt => {
                assert!(rejected.reached_service());
                in_doubt += 1;
                // Those that it had carried out, and some that it had not come to.
                let by = log.get(&format!("/{}", call.id));
                assert!(by.is_none_or(|by| by == &["a"]), "{by:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!((3..=CLIENTS).contains(&in_doubt), "{in_doubt} of {}", calls.len());
}
