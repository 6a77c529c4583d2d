//! Over real sockets: what records come to.

use std::{future::poll_fn, net::SocketAddr, task::Poll, time::Duration};

use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use steadfast::failover::members::{Dns, Membership};
use tokio::time::{Instant, timeout};

use crate::{
    Members, Set, addresses, at_once,
    server::{Reply, Server, alias, record, service},
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

const HOST: &str = "db.internal";

/// The next set.
async fn next<F: FnMut(SocketAddr) -> SocketAddr + Send + 'static>(members: &mut Members<F>) -> Set {
    timeout(LONG, crate::next(members)).await.expect("no set")
}

fn members(server: &Server) -> Members<impl FnMut(SocketAddr) -> SocketAddr + Send + 'static> {
    members_of(Dns::new(HOST, 5432), server)
}

/// Which asks again as soon as an answer is over, also when that is at once.
fn members_of(dns: Dns, server: &Server) -> Members<impl FnMut(SocketAddr) -> SocketAddr + Send + 'static> {
    let dns = dns.name_servers([server.address]).floor(Duration::from_millis(20));
    dns.build(|address| address).unwrap()
}

/// Polls until so many questions of a kind have come from now on; nothing may be published meanwhile.
async fn quiet_until_asked<F>(members: &mut Members<F>, server: &mut Server, kind: RecordType, questions: usize)
where
    F: FnMut(SocketAddr) -> SocketAddr + Send + 'static,
{
    while server.questions.try_recv().is_ok() {}
    for _ in 0..questions {
        tokio::select! {
            set = next(members) => panic!("{set:?}"),
            asked = timeout(LONG, server.asked(kind)) => asked.expect("nobody asks"),
        }
    }
}

/// Polls until a lookup has found nothing or failed; nothing may be published meanwhile.
async fn quiet_until_failed<F>(members: &mut Members<F>)
where
    F: FnMut(SocketAddr) -> SocketAddr + Send + 'static,
{
    let failed = poll_fn(|cx| match members.poll_change(cx) {
        Poll::Ready(change) => panic!("{change:?}"),
        Poll::Pending if format!("{members:?}").contains("failures: 0") => Poll::Pending,
        Poll::Pending => Poll::Ready(()),
    });
    timeout(LONG, failed).await.expect("no failure");
}

#[tokio::test]
async fn both_kinds_of_addresses_are_endpoints() {
    let server = Server::start().await;
    server.has(HOST, &["10.0.0.1", "10.0.0.2", "fd00::1"], 60);
    let mut members = members(&server);
    let set = next(&mut members).await;
    assert_eq!(set, ["10.0.0.1:5432", "10.0.0.2:5432", "[fd00::1]:5432"].map(|address| (address.to_owned(), 0, 1.0)));
    assert_eq!(at_once(&mut members), None);
}

/// Fault 30 of those seen elsewhere: an answer that is used past its time to live.
#[tokio::test]
async fn fault_30_an_answer_is_asked_for_again_when_its_time_to_live_is_over() {
    let server = Server::start().await;
    server.has(HOST, &["10.0.0.1"], 1);
    let mut members = members(&server);
    next(&mut members).await;
    server.has(HOST, &["10.0.0.2"], 1);
    let start = Instant::now();
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432"]);
    // Neither before, nor out of a cache below.
    assert!((900..3000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

/// No cache below: what may not be used twice is not.
#[tokio::test]
async fn each_lookup_asks_the_name_server() {
    let mut server = Server::start().await;
    server.has(HOST, &["10.0.0.1"], 3600);
    let dns = Dns::new(HOST, 5432).ceiling(Duration::from_millis(20));
    let mut members = members_of(dns, &server);
    next(&mut members).await;
    quiet_until_asked(&mut members, &mut server, RecordType::A, 3).await;
    server.has(HOST, &["10.0.0.9"], 3600);
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.9:5432"]);
}

/// The alias is what moves, and what it leads to may be good for a day.
#[tokio::test]
async fn the_time_to_live_of_an_alias_counts() {
    let server = Server::start().await;
    let at = |target: &str, ip: &str| {
        let address = record(target, 86_400, ip.parse::<std::net::IpAddr>().unwrap().into());
        server.says(HOST, RecordType::A, Reply::Records(vec![alias(HOST, 0, target), address]));
    };
    server.says(HOST, RecordType::AAAA, Reply::Records(Vec::new()));
    at("one.internal", "10.0.0.1");
    let mut members = members(&server);
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.1:5432"]);
    at("two.internal", "10.0.0.2");
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432"]);
}

#[tokio::test]
async fn nxdomain_empty_answers_and_servfail_keep_what_was_known() {
    for reply in [
        Reply::Code(ResponseCode::NXDomain),
        Reply::Code(ResponseCode::NoError),
        Reply::Code(ResponseCode::ServFail),
        Reply::Code(ResponseCode::Refused),
    ] {
        let server = Server::start().await;
        server.has(HOST, &["10.0.0.1"], 0);
        let mut members = members(&server);
        next(&mut members).await;
        server.fails(HOST, &reply);
        quiet_until_failed(&mut members).await;
        server.has(HOST, &["10.0.0.2"], 0);
        assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432"], "{reply:?}");
    }
}

#[tokio::test]
async fn only_what_says_that_there_is_nothing_empties_the_set() {
    let fails = [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NotImp];
    for code in fails.into_iter().chain([ResponseCode::NXDomain, ResponseCode::NoError]) {
        let server = Server::start().await;
        server.has(HOST, &["10.0.0.1"], 0);
        let mut members = members_of(Dns::new(HOST, 5432).keep(Duration::ZERO), &server);
        next(&mut members).await;
        server.fails(HOST, &Reply::Code(code));
        if fails.contains(&code) {
            quiet_until_failed(&mut members).await;
            server.has(HOST, &["10.0.0.2"], 0);
            assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432"], "{code}");
        } else {
            assert_eq!(next(&mut members).await, [], "{code}");
        }
    }
}

#[tokio::test]
async fn a_name_server_that_is_silent_has_failed_and_is_asked_again() {
    let server = Server::start().await;
    server.has(HOST, &["10.0.0.1"], 0);
    let dns = Dns::new(HOST, 5432).timeout(Duration::from_millis(100)).keep(Duration::ZERO);
    let mut members = members_of(dns, &server);
    next(&mut members).await;
    server.fails(HOST, &Reply::Silence);
    quiet_until_failed(&mut members).await;
    server.has(HOST, &["10.0.0.2"], 0);
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432"]);
}

#[tokio::test]
async fn one_family_that_is_not_answered_neither_holds_up_the_other_nor_is_forgotten() {
    let server = Server::start().await;
    server.has(HOST, &["10.0.0.1", "fd00::1"], 0);
    let mut members = members(&server);
    next(&mut members).await;
    for reply in [Reply::Code(ResponseCode::ServFail), Reply::Silence] {
        server.has(HOST, &["10.0.0.2"], 0);
        server.says(HOST, RecordType::AAAA, reply);
        assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432", "[fd00::1]:5432"]);
        server.has(HOST, &["10.0.0.1", "fd00::1"], 0);
        next(&mut members).await;
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_fetched_over_tcp() {
    let server = Server::start().await;
    let many: Vec<String> = (0..400).map(|n| format!("10.0.{}.{}", n / 200, n % 200)).collect();
    let records = many.iter().map(|ip| record(HOST, 60, ip.parse::<std::net::IpAddr>().unwrap().into()));
    server.says(HOST, RecordType::A, Reply::TooLong(records.collect()));
    server.says(HOST, RecordType::AAAA, Reply::Records(Vec::new()));
    assert_eq!(next(&mut members(&server)).await.len(), 400);
}

const SERVICE: &str = "_pg._tcp.db.internal";

#[tokio::test]
async fn services_have_tiers_weights_and_ports() {
    let server = Server::start().await;
    let services = [
        service(SERVICE, 60, (20, 7, 5433), "b.internal"),
        service(SERVICE, 60, (10, 3, 5432), "a.internal"),
        service(SERVICE, 60, (10, 0, 5432), "c.internal"),
    ];
    server.says(SERVICE, RecordType::SRV, Reply::Records(services.to_vec()));
    server.has("a.internal", &["10.0.0.1", "fd00::1"], 60);
    server.has("b.internal", &["10.0.0.2"], 60);
    server.has("c.internal", &["10.0.0.3"], 60);
    let set = next(&mut members_of(Dns::srv(SERVICE), &server)).await;
    let expected =
        [("10.0.0.1:5432", 0, 3.0), ("10.0.0.2:5433", 1, 7.0), ("10.0.0.3:5432", 0, 0.01), ("[fd00::1]:5432", 0, 3.0)];
    assert_eq!(set, expected.map(|(address, tier, weight)| (address.to_owned(), tier, weight)));
}

#[tokio::test]
async fn a_target_that_is_not_answered_keeps_its_addresses_and_one_that_is_gone_does_not() {
    let server = Server::start().await;
    let services = [service(SERVICE, 0, (1, 1, 80), "a.internal"), service(SERVICE, 0, (1, 1, 80), "b.internal")];
    server.says(SERVICE, RecordType::SRV, Reply::Records(services.to_vec()));
    server.has("a.internal", &["10.0.0.1"], 3600);
    server.has("b.internal", &["10.0.0.2"], 3600);
    let mut members = members_of(Dns::srv(SERVICE), &server);
    assert_eq!(next(&mut members).await.len(), 2);
    server.fails("a.internal", &Reply::Code(ResponseCode::ServFail));
    server.has("b.internal", &["10.0.0.3"], 3600);
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.1:80", "10.0.0.3:80"]);
    server.fails("a.internal", &Reply::Code(ResponseCode::NXDomain));
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.3:80"]);
}

#[tokio::test]
async fn a_service_at_the_root_is_none() {
    let server = Server::start().await;
    let reply = |target: &str| Reply::Records(vec![service(SERVICE, 0, (1, 1, 80), target)]);
    server.says(SERVICE, RecordType::SRV, reply("a.internal"));
    server.has("a.internal", &["10.0.0.1"], 60);
    let mut members = members_of(Dns::srv(SERVICE).keep(Duration::ZERO), &server);
    next(&mut members).await;
    // Even if the root has an address.
    server.has(".", &["10.0.0.9"], 60);
    server.says(SERVICE, RecordType::SRV, reply("."));
    assert_eq!(next(&mut members).await, []);
}

#[tokio::test]
async fn nobody_is_asked_any_more_when_it_is_dropped() {
    let mut server = Server::start().await;
    server.has(HOST, &["10.0.0.1"], 0);
    let mut members = members(&server);
    next(&mut members).await;
    // In the middle of a lookup.
    server.fails(HOST, &Reply::Silence);
    quiet_until_asked(&mut members, &mut server, RecordType::AAAA, 1).await;
    members.look_again();
    drop(members);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // The name server's own are left.
    let only_those = async {
        while tasks() > 2 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LONG, only_those).await.expect("something is left");
    assert_eq!(tasks(), 2);
}
