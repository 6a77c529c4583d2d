//! Probes that connect, against real sockets on loopback.
#![allow(clippy::disallowed_methods)]

use std::{future::poll_fn, net::SocketAddr, task::Poll, time::Duration};

use steadfast::{
    failover::{
        Endpoint,
        probe::{HttpProbe, Probe, Report, TcpProbe},
    },
    telemetry::Name,
};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};

mod limits;
mod server;

use self::server::{Server, Then};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Asks an endpoint at this address once; an error is its text. Far from any limit that is tested, it is given up.
async fn ask(probe: &impl Probe<()>, address: impl ToString) -> Result<Report, String> {
    let endpoint = Endpoint::new("a", ()).address(address.to_string());
    let asked = timeout(Duration::from_secs(10), probe.probe(endpoint.meta(), None)).await;
    asked.expect("an end").map_err(|error| error.to_string())
}

fn health() -> HttpProbe {
    HttpProbe::get("/health")
}

/// An address at which nobody listens.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    listener.local_addr().expect("bound")
}

#[tokio::test]
async fn any_connection_passes_a_tcp_probe() {
    let server = Server::silent().await;
    assert_eq!(ask(&TcpProbe::new(), server.address).await, Ok(Report::new()));
    let (asked, closed) = server.served().await;
    assert_eq!((asked.as_str(), closed.expect("closed, not reset")), ("", 0));
}

#[tokio::test]
async fn nobody_there_is_told_of_in_few_words() {
    let address = nobody().await;
    let tcp = ask(&TcpProbe::new(), address).await.unwrap_err();
    assert_eq!(tcp, format!("TCP {address}: connection refused"));
    let http = ask(&health(), address).await.unwrap_err();
    assert_eq!(http, format!("GET http://{address}/health: connection refused"));
}

#[tokio::test]
async fn a_fixed_address_is_asked_whatever_the_endpoint_says() {
    for http in [false, true] {
        let server = Server::sends(OK).await;
        let (at, elsewhere) = (server.address.to_string(), nobody().await);
        let asked = match http {
            false => ask(&TcpProbe::new().at(at), elsewhere).await,
            true => ask(&health().at(at), elsewhere).await,
        };
        assert_eq!(asked, Ok(Report::new()));
    }
}

#[tokio::test]
async fn without_an_address_it_is_said_what_to_do() {
    let endpoint = Endpoint::new("db1", ());
    for probing in
        [Probe::<()>::probe(&TcpProbe::new(), endpoint.meta(), None), health().probe(endpoint.meta(), None::<()>)]
    {
        assert_eq!(
            probing.await.unwrap_err().to_string(),
            "endpoint `db1` has no address to probe; give it one with `.address(\"host:port\")`, or the probe with \
             `.at(\"host:port\")`"
        );
    }
    let error = ask(&TcpProbe::new(), "db1").await.unwrap_err();
    assert_eq!(error, "`db1` is no address; expected host:port, as in db1:5432 or [::1]:5432");
}

#[tokio::test]
async fn the_request_is_what_it_should_be() {
    let server = Server::sends(OK).await;
    let address = server.address;
    assert_eq!(ask(&health(), address).await, Ok(Report::new()));
    let agent = concat!("steadfast/", env!("CARGO_PKG_VERSION"));
    let expected = format!(
        "GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\r\n"
    );
    assert_eq!(server.served().await.0, expected);

    let server = Server::sends("HTTP/1.1 204 No Content\r\n\r\n").await;
    let probe = HttpProbe::head("/live?deep=1").host("shop.example").header("Authorization", "Bearer x");
    assert_eq!(ask(&probe.header("user-agent", "ours"), server.address).await, Ok(Report::new()));
    let expected = "HEAD /live?deep=1 HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\
                    Authorization: Bearer x\r\nuser-agent: ours\r\nAccept: */*\r\n\r\n";
    assert_eq!(server.served().await.0, expected);
}

#[tokio::test]
async fn an_ipv6_address_is_in_brackets_everywhere() {
    // Not every machine has one.
    let Ok(server) = Server::start_at("[::1]:0", Then::Send(vec![OK.into()])).await else { return };
    let address = format!("[::1]:{}", server.address.port());
    assert_eq!(ask(&health(), &address).await, Ok(Report::new()));
    assert!(server.served().await.0.contains(&format!("\r\nHost: {address}\r\n")));
    let server = Server::start_at("[::1]:0", Then::Send(vec![])).await.expect("it was there before");
    assert_eq!(ask(&TcpProbe::new(), server.address).await, Ok(Report::new()));
}

#[tokio::test]
async fn only_expected_statuses_pass() {
    let unauthorised = health().expect(200..=204).expect(401..=401);
    let cases = [
        (health(), 200, None),
        (health(), 299, None),
        (health(), 300, Some("status 300, expected 200..=299")),
        (health(), 101, Some("status 101, expected 200..=299")),
        (health(), 503, Some("status 503, expected 200..=299")),
        (unauthorised.clone(), 204, None),
        (unauthorised.clone(), 401, None),
        (unauthorised.clone(), 205, Some("status 205, expected 200..=204 or 401")),
        (health().expect(200..300), 299, None),
        (health().expect(200..300), 404, Some("status 404, expected 200..=299")),
        (health().expect(..500), 404, None),
        (health().expect(..500), 500, Some("status 500, expected 100..=499")),
        (health().expect(400..), 999, None),
    ];
    for (probe, status, wrong) in cases {
        let server = Server::sends(format!("HTTP/1.1 {status} Whatever\r\n\r\n")).await;
        let expected = match wrong {
            None => Ok(Report::new()),
            Some(wrong) => Err(format!("GET http://{}/health: {wrong}", server.address)),
        };
        assert_eq!(ask(&probe, server.address).await, expected);
    }
}

#[tokio::test]
async fn a_redirect_is_no_pass_unless_it_is_expected() {
    let redirect = "HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n";
    let server = Server::sends(redirect).await;
    let error = ask(&health(), server.address).await.unwrap_err();
    assert!(error.ends_with(": status 302 (to /login), expected 200..=299"), "{error}");
    let server = Server::sends(redirect).await;
    assert_eq!(ask(&health().expect(302..=302), server.address).await, Ok(Report::new()));
}

#[tokio::test]
async fn what_an_endpoint_says_of_itself_is_read_from_the_head() {
    let probe = health().expect(200..=200).expect(503..=503).reads(|head| {
        let report = Report::new().maintenance(head.status() == 503).drain(head.header("x-drain") == Some("yes"));
        match head.header("x-weight").and_then(|weight| weight.parse().ok()) {
            Some(weight) => report.weight(weight),
            None => report,
        }
    });
    let heads = [
        ("200 OK\r\nX-Weight:  0.5 \r\nX-Drain: yes", Report::new().weight(0.5).drain(true)),
        ("200 OK\r\nX-Weight: much", Report::new()),
        ("503 Service Unavailable", Report::new().maintenance(true)),
    ];
    for (head, report) in heads {
        let server = Server::sends(format!("HTTP/1.1 {head}\r\n\r\n")).await;
        assert_eq!(ask(&probe, server.address).await, Ok(report));
    }
}

#[tokio::test]
async fn a_head_that_comes_in_pieces_is_read_as_one() {
    let pieces = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.0 200 OK\r\nA: b\r\n\r\n".bytes();
    let server = Server::start(Then::Send(pieces.map(|byte| vec![byte]).collect())).await;
    assert_eq!(ask(&health(), server.address).await, Ok(Report::new()));

    let both = Server::sends("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\n\n").await;
    let error = ask(&health(), both.address).await.unwrap_err();
    assert!(error.ends_with(": status 500, expected 200..=299"), "{error}");
}

#[tokio::test]
async fn a_body_is_not_waited_for_and_does_not_reset_the_connection() {
    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    answer.extend([b'x'; 8_000]);
    let server = Server::sends(answer).await;
    assert_eq!(ask(&health(), server.address).await, Ok(Report::new()));
    assert_eq!(server.served().await.1.expect("closed, not reset"), 0);
}

#[tokio::test]
async fn a_probe_that_is_dropped_closes_its_connection() {
    let server = Server::silent().await;
    let endpoint = Endpoint::new("a", ()).address(server.address.to_string());
    let mut probing = Probe::<()>::probe(&health(), endpoint.meta(), None);
    let mut served = Box::pin(server.served());
    // Until the server has read the request, and waits for more.
    for _ in 0..1000 {
        poll_fn(|cx| {
            assert!(probing.as_mut().poll(cx).is_pending());
            assert!(served.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
    }
    drop(probing);
    let (asked, closed) = timeout(Duration::from_secs(10), served).await.expect("closed");
    assert!(asked.starts_with("GET /health HTTP/1.1\r\n"));
    assert_eq!(closed.expect("closed, not reset"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_it_may_has_failed() {
    let server = Server::silent().await;
    let (address, probe) = (server.address, health().within(Duration::from_millis(300)));
    let start = Instant::now();
    let error = ask(&probe, address).await.unwrap_err();
    assert_eq!(error, format!("GET http://{address}/health: no answer within 300ms"));
    assert_eq!(start.elapsed().as_millis(), 300);
    assert_eq!(server.served().await.1.expect("closed, not reset"), 0);

    let server = Server::start(Then::Send(vec![b"HTTP/1.1 200 OK\r\n".to_vec()])).await;
    let error = ask(&probe, server.address).await.unwrap_err();
    assert!(error.ends_with("no answer within 300ms"), "half of a head is none: {error}");
}

#[tokio::test]
async fn an_answer_in_time_passes() {
    let server = Server::sends(OK).await;
    assert_eq!(ask(&health().within(Duration::from_secs(3600)), server.address).await, Ok(Report::new()));
    let server = Server::sends(OK).await;
    assert_eq!(ask(&health().within(Duration::MAX), server.address).await, Ok(Report::new()));
}

/// The settings that a client checks when it is built.
fn refused(probe: &impl Probe<()>) -> String {
    probe.check(&Name::from_static("shop")).unwrap_err().to_string()
}
