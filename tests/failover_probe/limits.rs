//! Answers that are none, and settings that cannot be.

use super::*;

/// The last part of the error.
async fn wrong(then: Then) -> String {
    let server = Server::start(then).await;
    let error = ask(&health(), server.address).await.unwrap_err();
    let asked = format!("GET http://{}/health: ", server.address);
    error.strip_prefix(&asked).unwrap_or_else(|| panic!("{error}")).to_owned()
}

/// The connection stays open: whoever waits for more waits for ever.
fn open(answer: impl AsRef<[u8]>) -> Then {
    Then::Send(vec![answer.as_ref().to_vec()])
}

#[tokio::test]
async fn what_is_not_http_is_found_out_at_once() {
    assert_eq!(
        wrong(open("SSH-2.0-OpenSSH_9.2\r\n")).await,
        r#"it does not speak HTTP/1.1: "SSH-2.0-OpenSSH_9.2\r\n""#
    );
    assert_eq!(wrong(open("H2")).await, r#"it does not speak HTTP/1.1: "H2""#);
    let long = wrong(open([b'\xff'; 1000])).await;
    assert_eq!(long, format!("it does not speak HTTP/1.1: \"{}\"", r"\xff".repeat(32)));
    assert_eq!(wrong(open([0x15, 3, 3, 0, 2, 2, 70])).await, "it speaks TLS, which this probe does not");
}

#[tokio::test]
async fn a_head_that_cannot_be_read_is_no_pass() {
    for head in ["HTTP/1.1 2OO OK", "HTTP/1.7 200 OK", "HTTP/1.1 200 OK\r\nno colon", "HTTP/1.1 200 OK\r\na\x01b: c"] {
        let wrong = wrong(open(format!("{head}\r\n\r\n"))).await;
        assert!(wrong.starts_with("the head cannot be read: "), "{head}: {wrong}");
    }
    let many = "A: b\r\n".repeat(129);
    assert_eq!(
        wrong(open(format!("HTTP/1.1 200 OK\r\n{many}\r\n"))).await,
        "the head cannot be read: too many headers"
    );
}

#[tokio::test]
async fn a_connection_that_is_closed_early_is_no_pass() {
    assert_eq!(wrong(Then::Close(vec![])).await, "the connection was closed without an answer");
    let half = b"HTTP/1.1 200 OK\r\n".to_vec();
    assert_eq!(wrong(Then::Close(half)).await, "the connection was closed in the middle of the head");
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n".to_vec();
    assert_eq!(wrong(Then::Close(interim)).await, "the connection was closed in the middle of the head");
}

#[tokio::test]
async fn heads_are_read_up_to_16_kib() {
    const BEGIN: &str = "HTTP/1.1 200 OK\r\nA: ";
    let head = |length: usize| format!("{BEGIN}{}\r\n\r\n", "x".repeat(length - BEGIN.len() - 4));
    let server = Server::sends(head(16 * 1024)).await;
    assert_eq!(ask(&health(), server.address).await, Ok(Report::new()));
    for then in [
        open(head(16 * 1024 + 1)),
        open(head(1 << 20)),
        // One that never ends, and hints without an answer.
        Then::Send(vec![BEGIN.into(), vec![b'x'; 1 << 20]]),
        open("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)),
    ] {
        assert_eq!(wrong(then).await, "the head is longer than 16 KiB");
    }
}

#[test]
fn settings_that_cannot_be_are_named() {
    for probe in
        [health(), health().expect(..), health().header("X-A", "b c").host("db1").at("[::1]:80").within(Duration::MAX)]
    {
        assert_eq!(Probe::<()>::check(&probe, &Name::from_static("shop")), Ok(()));
    }
    let path = "begins with `/`, visible ASCII only";
    assert_eq!(refused(&HttpProbe::get("health")), format!("`shop`: probe.path is \"health\"; allowed: {path}"));
    assert_eq!(refused(&HttpProbe::get("/a b")), format!("`shop`: probe.path is \"/a b\"; allowed: {path}"));
    let none = "at least one status, of 100 to 999";
    #[allow(clippy::reversed_empty_ranges)]
    for (probe, range) in [
        (health().expect(300..200), "300..=199"),
        (health().expect(0..=200), "0..=200"),
        (health().expect(0..0), "0..=0"),
    ] {
        assert_eq!(refused(&probe), format!("`shop`: probe.expect is {range}; allowed: {none}"));
    }
    assert!(refused(&health().expect(200..=1000)).contains("probe.expect"));
    assert!(refused(&health().within(Duration::ZERO)).contains("probe.within"));
    assert!(refused(&health().host("")).contains("probe.host"));
    assert!(refused(&health().host("a\r\nb: c")).contains("probe.host"));
    for name in ["", "a b", "a:b", "Host", "connection", "Content-Length", "Transfer-Encoding", "ü"] {
        assert!(refused(&health().header(name, "x")).contains("probe.header"), "{name}");
    }
    let at = "`shop`: probe.at is \"db1\"; allowed: host:port, as in db1:5432 or [::1]:5432";
    assert_eq!(refused(&health().at("db1")), at);
    assert_eq!(refused(&TcpProbe::new().at("db1")), at);
}

#[test]
fn secrets_in_headers_are_not_told() {
    let probe = health().header("Authorization", "hunter2\n");
    assert!(!refused(&probe).contains("hunter2") && !format!("{probe:?}").contains("hunter2"));
}

#[tokio::test]
async fn nothing_gets_into_a_request_that_nobody_has_checked() {
    let probes = [
        HttpProbe::get("/ HTTP/1.1\r\nX: y\r\n\r\n"),
        health().host("a\r\nX: y"),
        health().header("A", "b\r\nX: y"),
        health().header("A\r\nX", "y"),
    ];
    for probe in probes {
        // There is nobody to ask, but it does not come to that.
        let error = ask(&probe, nobody().await).await.unwrap_err();
        assert!(error.starts_with("`probe`: probe."), "{error}");
    }
    let error = ask(&health(), "db1\r\nX-Y:80").await.unwrap_err();
    assert!(error.contains("is no address"), "{error}");
}
