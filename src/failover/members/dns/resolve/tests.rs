//! Which names are asked for, in which order.

use hickory_resolver::proto::op::{Message, ResponseCode};
use tokio::net::UdpSocket;

use super::*;

fn resolver(server: SocketAddr, ndots: usize, search: &[&str]) -> Resolver {
    let resolver = Resolver::new(&Servers::These(vec![server])).unwrap();
    Resolver { ndots, search: search.iter().map(|domain| Domain::from_str(domain).unwrap()).collect(), ..resolver }
}

#[test]
fn a_name_is_looked_for_in_the_search_domains_before_or_after_itself() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let names = |name: &str, ndots| -> Vec<String> {
        let names = resolver(nobody, ndots, &["svc.local", "local."]).names(&Domain::from_str(name).unwrap());
        names.iter().map(ToString::to_string).collect()
    };
    assert_eq!(names("db", 1), ["db.svc.local.", "db.local.", "db."]);
    assert_eq!(names("db.internal", 1), ["db.internal.", "db.internal.svc.local.", "db.internal.local."]);
    assert_eq!(names("db.internal", 2), ["db.internal.svc.local.", "db.internal.local.", "db.internal."]);
    assert_eq!(names("db.internal.", 5), ["db.internal."]);
}

/// Has 10.0.0.9 under any name but `db.one.`, of which it says this.
async fn name_server(of_one: ResponseCode) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let query = question.queries.first().unwrap().clone();
            let mut answer = Message::response(question.id, question.op_code);
            if query.name().to_string() == "db.one." {
                answer.metadata.response_code = of_one;
            } else if query.query_type() == RecordType::A {
                let ip = IpAddr::from([10, 0, 0, 9]);
                answer.add_answer(Record::from_rdata(query.name().clone(), 60, ip.into()));
            }
            answer.add_query(query);
            socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
        }
    });
    address
}

#[tokio::test]
async fn a_name_that_is_not_there_gives_way_to_the_next_and_one_that_nobody_knows_of_does_not() {
    let place = Place { port: 80, priority: 0, weight: 0 };
    for (code, goes_on) in
        [(ResponseCode::NXDomain, true), (ResponseCode::NoError, true), (ResponseCode::ServFail, false)]
    {
        let resolver = resolver(name_server(code).await, 1, &["one", "two"]);
        let names = resolver.names(&Domain::from_str("db").unwrap());
        match resolver.addresses(&names, place).await {
            Outcome::Found { parts, ttl } => {
                assert!(goes_on, "{code}");
                assert_eq!(ttl, Duration::from_secs(60));
                assert!(parts.iter().all(|part| part.of.contains("db.two. 80")), "{parts:?}");
            }
            other => assert!(!goes_on && matches!(other, Outcome::Failed(_)), "{code} {other:?}"),
        }
    }
}
