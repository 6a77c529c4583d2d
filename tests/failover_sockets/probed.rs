//! Active probes over HTTP: out after `fall`, back after `rise`, and gone with the client.

use axum::{Router, http::StatusCode, routing::get};
use steadfast::{
    failover::{Endpoint, EndpointState, Failback, Failover, FailoverEvent, FailoverHandle, probe::HttpProbe},
    telemetry::Events,
};
use tokio::sync::{mpsc, oneshot};
use tower::ServiceExt;

use crate::{
    MS, ends, event,
    http::{Ask, Http, Meaning},
    replay,
    server::Server,
};

/// Probes that have come to a server, each to be answered by the test.
type Probes = mpsc::UnboundedReceiver<oneshot::Sender<u16>>;

async fn probed(key: &'static str) -> (Server, Probes) {
    let (asked, probes) = mpsc::unbounded_channel();
    let health = move || async move {
        let (answer, answered) = oneshot::channel();
        asked.send(answer).map_err(|_| StatusCode::GONE)?;
        answered.await.ok().and_then(|status| StatusCode::from_u16(status).ok()).ok_or(StatusCode::GONE)
    };
    let router = Router::new().route("/health", get(health)).fallback(move || async move { key });
    (Server::start(key, router).await, probes)
}

/// Answers the next probe, which finds the endpoint in or out.
async fn answer(probes: &mut Probes, status: u16, handle: &FailoverHandle<Http>, is_in: bool) {
    let probe = ends(probes.recv()).await.expect("a probe");
    assert_eq!(handle.snapshot().endpoint("a").unwrap().state.is_in(), is_in);
    probe.send(status).expect("the probe waits");
}

/// Until `a` is in.
async fn up(events: &mut Events<FailoverEvent>) {
    event(events, |event| matches!(event, FailoverEvent::EndpointUp { key, .. } if *key == *"a").then_some(())).await;
}

/// Answers all probes of a server well.
fn is_well(mut probes: Probes) {
    tokio::spawn(async move {
        while let Some(probe) = probes.recv().await {
            let _ = probe.send(200);
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_goes_out_after_fall_and_comes_back_after_rise() {
    let ((a, mut probes), (b, of_b)) = (probed("a").await, probed("b").await);
    is_well(of_b);
    let endpoint =
        |server: &Server| Endpoint::new(server.key, Http::new(server.address)).address(server.address.to_string());
    let (client, handle) = Failover::builder()
        .endpoints([endpoint(&a), endpoint(&b).tier(1)])
        .probe(HttpProbe::get("/health"))
        .with(|settings| {
            settings.check = settings.check.every(40 * MS).fast(20 * MS).timeout(5_000 * MS).fall(3).rise(2);
            settings.failback = Failback::Immediate;
        })
        .seed(7)
        .classify(Meaning)
        .replay(replay())
        .build()
        .unwrap();
    let mut events = handle.subscribe();
    // Nothing is known before the first one.
    answer(&mut probes, 200, &handle, false).await;
    up(&mut events).await;
    let call = || ends(client.clone().oneshot(Ask::get("/")));
    assert_eq!(call().await.unwrap().body, "a");

    answer(&mut probes, 503, &handle, true).await;
    answer(&mut probes, 200, &handle, true).await;
    for _ in 0..3 {
        answer(&mut probes, 503, &handle, true).await;
    }
    let why = event(&mut events, |event| match event {
        FailoverEvent::EndpointDown { key, why } if *key == *"a" => Some(why.clone()),
        _ => None,
    });
    let why = why.await;
    assert!(why.contains("503"), "{why}");
    assert!(matches!(handle.snapshot().endpoint("a").unwrap().state, EndpointState::Down(_)));
    assert_eq!(call().await.unwrap().body, "b");

    answer(&mut probes, 200, &handle, false).await;
    answer(&mut probes, 503, &handle, false).await;
    answer(&mut probes, 200, &handle, false).await;
    answer(&mut probes, 200, &handle, false).await;
    up(&mut events).await;
    assert_eq!(call().await.unwrap().body, "a");
    is_well(probes);

    // With the last of them the probes end.
    drop(client);
    let connections = a.connections();
    ends(async {
        while a.connections() < connections + 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop((events, handle));
    // One may be under way.
    ends(async {
        let (mut seen, mut quiet) = (0, 0);
        while quiet < 20 {
            tokio::time::sleep(20 * MS).await;
            let now = a.connections() + b.connections();
            quiet = if now == seen { quiet + 1 } else { 0 };
            seen = now;
        }
    })
    .await;
}
