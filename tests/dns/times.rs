//! When it asks, on paused time, and what it does with services.

use std::{
    future::{Future, pending, poll_fn},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use steadfast::{
    failover::{
        Endpoint, Failover, FailoverEvent,
        members::{Answer, Change, Dns, Membership},
    },
    telemetry::Received,
};
use tokio::{sync::mpsc, time::Instant};

use crate::{Members, addresses, at_once, next};

const SECOND: Duration = Duration::from_secs(1);

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], 5432))
}

fn answer(hosts: &[u8], seconds: u64) -> Answer {
    hosts.iter().fold(Answer::new(Duration::from_secs(seconds)), |answer, host| answer.address(at(*host)))
}

/// Answers in their order, and after the last one none ever; with the seconds at which they were asked for.
#[derive(Clone, Default)]
struct Script {
    answers: Arc<Mutex<Vec<Result<Answer, &'static str>>>>,
    asked: Arc<Mutex<Vec<u64>>>,
}

impl Script {
    fn of(answers: impl IntoIterator<Item = Result<Answer, &'static str>>) -> Self {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Self { answers: Arc::new(Mutex::new(answers)), ..Self::default() }
    }

    fn dns(&self) -> Dns {
        let (script, start) = (self.clone(), Instant::now());
        Dns::new("db.internal", 5432).resolver(move |name| {
            assert_eq!(name, "db.internal");
            script.asked.lock().unwrap().push(start.elapsed().as_secs());
            let answer = script.answers.lock().unwrap().pop();
            async move {
                match answer {
                    Some(answer) => answer,
                    None => pending().await,
                }
            }
        })
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

fn same(address: SocketAddr) -> SocketAddr {
    address
}

#[tokio::test(start_paused = true)]
async fn asks_again_when_the_time_to_live_is_over() {
    let script =
        Script::of([Ok(answer(&[1], 60)), Ok(answer(&[1], 1)), Ok(answer(&[1], 100_000)), Ok(answer(&[2], 60))]);
    let mut members = script.dns().build(same).unwrap();
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.1:5432"]);
    assert_eq!(at_once(&mut members), None);
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432"]);
    assert_eq!(script.asked(), [0, 60, 65, 365]);
}

#[tokio::test(start_paused = true)]
async fn a_resolver_that_hangs_has_failed_and_its_question_is_dropped() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (hangs, dropped) = mpsc::unbounded_channel::<()>();
    let members = {
        let asked = Arc::clone(&asked);
        Dns::new("db.internal", 5432).timeout(3 * SECOND).resolver(move |_| {
            let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
            let hangs = hangs.clone();
            async move {
                if first {
                    pending::<()>().await;
                }
                drop(hangs);
                Ok::<_, &str>(answer(&[1], 60))
            }
        })
    };
    let mut members = members.build(same).unwrap();
    let start = Instant::now();
    next(&mut members).await;
    // The timeout, and a second or so.
    assert!(start.elapsed() > Duration::from_millis(3700) && start.elapsed() < Duration::from_millis(4300));
    // Only the resolver itself still has its end.
    assert_eq!(dropped.sender_strong_count(), 1);
}

/// Runs the members in a task, as a client does; `look_again` for each message.
fn run<F>(mut members: Members<F>) -> (mpsc::UnboundedSender<()>, mpsc::UnboundedReceiver<Vec<String>>)
where
    F: FnMut(SocketAddr) -> SocketAddr + Send + 'static,
{
    let (again, mut wanted) = mpsc::unbounded_channel();
    let (sets, published) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                change = poll_fn(|cx| members.poll_change(cx)) => {
                    let set = crate::set(change);
                    let addresses = addresses(&set).into_iter().map(str::to_owned).collect();
                    if sets.send(addresses).is_err() {
                        return;
                    }
                }
                again = wanted.recv() => match again {
                    Some(()) => members.look_again(),
                    None => return,
                },
            }
        }
    });
    (again, published)
}

#[tokio::test(start_paused = true)]
async fn looks_again_when_told_and_once_in_a_second() {
    let script = Script::of([Ok(answer(&[1], 60)), Ok(answer(&[1], 60)), Ok(answer(&[2], 60))]);
    let (again, mut sets) = run(script.dns().build(same).unwrap());
    assert_eq!(sets.recv().await.unwrap(), ["10.0.0.1:5432"]);
    tokio::time::advance(20 * SECOND).await;
    for _ in 0..5 {
        again.send(()).unwrap();
    }
    tokio::time::advance(SECOND / 10).await;
    assert_eq!(script.asked(), [0, 20]);
    again.send(()).unwrap();
    assert_eq!(sets.recv().await.unwrap(), ["10.0.0.2:5432"]);
    assert_eq!(script.asked(), [0, 20, 21]);
}

/// Who holds the members need not poll them by itself after `look_again`.
#[tokio::test(start_paused = true)]
async fn look_again_wakes_who_polls() {
    let script = Script::of([Ok(answer(&[1], 60)), Ok(answer(&[2], 60))]);
    let members = Arc::new(Mutex::new(script.dns().build(same).unwrap()));
    next(&mut members.lock().unwrap()).now();
    let polled = Arc::clone(&members);
    let next = tokio::spawn(poll_fn(move |cx| polled.lock().unwrap().poll_change(cx)));
    tokio::task::yield_now().await;
    tokio::time::advance(10 * SECOND).await;
    members.lock().unwrap().look_again();
    crate::set(next.await.unwrap());
    assert_eq!(script.asked(), [0, 10]);
}

/// What is there at once.
trait Now: Future + Sized {
    fn now(self) -> Self::Output {
        futures::FutureExt::now_or_never(self).unwrap()
    }
}

impl<F: Future> Now for F {}

#[tokio::test(start_paused = true)]
async fn a_service_is_made_once_for_an_address_and_anew_when_it_comes_back() {
    let script = Script::of([
        Ok(answer(&[1], 60)),
        Ok(answer(&[1, 2], 60)),
        Ok(answer(&[2], 60)),
        Err("SERVFAIL"),
        Ok(answer(&[1, 2], 60)),
    ]);
    let made = Arc::new(Mutex::new(Vec::new()));
    let makes = Arc::clone(&made);
    let service = move |address: SocketAddr| {
        makes.lock().unwrap().push(address);
        address
    };
    let mut members = script.dns().build(service).unwrap();
    for _ in 0..4 {
        next(&mut members).await;
    }
    assert_eq!(*made.lock().unwrap(), [at(1), at(2), at(1)]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_gone_keeps_nothing_of_its_service() {
    let script = Script::of([Ok(answer(&[1], 60)), Ok(answer(&[2], 60))]);
    let pools = Arc::new(());
    let pool = Arc::clone(&pools);
    let mut members = script.dns().build(move |address| (address, Arc::clone(&pool))).unwrap();
    for _ in 0..2 {
        let change: Option<Change<(SocketAddr, Arc<()>)>> = poll_fn(|cx| members.poll_change(cx)).await;
        let Some(Change::Set(endpoints)) = change else { panic!() };
        assert_eq!(endpoints.len(), 1);
    }
    // Here, in the function, and for the one that is there.
    assert_eq!(Arc::strong_count(&pools), 3);
    drop(members);
    assert_eq!(Arc::strong_count(&pools), 1);
}

#[tokio::test(start_paused = true)]
async fn keeps_what_is_known_for_as_long_as_it_is_told_to() {
    let none = || Ok(Answer::new(SECOND));
    let script = Script::of([Ok(answer(&[1], 60)), none(), Err("SERVFAIL"), none(), none(), none(), none()]);
    let mut members = script.dns().keep(7 * SECOND).build(same).unwrap();
    next(&mut members).await;
    let start = Instant::now();
    assert_eq!(next(&mut members).await, []);
    assert_eq!(start.elapsed().as_secs(), 67);
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |dns: Dns| dns.build(same).unwrap_err().to_string();
    let dns = || Dns::new("db.internal", 5432);
    assert_eq!(refused(Dns::new("db.internal", 0)), "`db.internal`: port is 0; allowed: over 0");
    assert_eq!(
        refused(Dns::new("db..internal", 1)),
        "`db..internal`: name is \"db..internal\"; allowed: a domain name"
    );
    assert_eq!(refused(Dns::srv("")), "``: name is \"\"; allowed: a domain name");
    assert_eq!(refused(dns().floor(Duration::ZERO)), "`db.internal`: floor is 0ns; allowed: over 0");
    assert_eq!(refused(dns().ceiling(4 * SECOND)), "`db.internal`: ceiling is 4s; allowed: not under the floor");
    assert_eq!(refused(dns().timeout(Duration::ZERO)), "`db.internal`: timeout is 0ns; allowed: over 0");
}

#[tokio::test(start_paused = true)]
async fn extreme_settings_neither_overflow_nor_spin() {
    let script = Script::of([Ok(answer(&[1], u64::MAX)), Ok(answer(&[2], 0))]);
    let (long, short) = (Duration::MAX, Duration::from_nanos(1));
    let dns = script.dns().floor(short).ceiling(long).keep(long).timeout(long);
    let mut members = dns.build(same).unwrap();
    next(&mut members).await;
    assert_eq!(at_once(&mut members), None);
    tokio::time::advance(SECOND).await;
    members.look_again();
    assert_eq!(addresses(&next(&mut members).await), ["10.0.0.2:5432"]);
}

/// An address is looked up by nobody.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_an_address_is_that_address() {
    for (name, address) in [("10.0.0.7", "10.0.0.7:80"), ("::1", "[::1]:80")] {
        let mut members = Dns::new(name, 80).name_servers([]).build(same).unwrap();
        assert_eq!(addresses(&next(&mut members).await), [address]);
        assert_eq!(at_once(&mut members), None);
    }
}

#[test]
fn what_it_is_can_be_printed() {
    let dns = Dns::new("db.internal", 5432).name_servers([at(53)]);
    let text = format!("{dns:?}");
    assert!(text.starts_with("Dns { name: \"db.internal\", question: Addresses { port: 5432 }"), "{text}");
    let members = dns.build(|address| Endpoint::new("any", address).meta().clone()).unwrap();
    assert!(format!("{members:?}").starts_with("DnsMembers { name: \"db.internal\""));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_when_lookups_begin_to_fail_and_when_they_work_again() {
    let good = || Ok(answer(&[1], 5));
    let nothing = Ok(Answer::new(SECOND));
    let script = Script::of([good(), Err("SERVFAIL"), Err("no route"), good(), nothing, good()]);
    let members = script.dns().build(|_| ()).unwrap();
    let (_client, handle) = Failover::builder().members(members).build().unwrap();
    let mut events = handle.subscribe();
    tokio::time::sleep(60 * SECOND).await;
    let mut told = Vec::new();
    while let Some(Received::Event(event)) = events.try_recv() {
        match event {
            FailoverEvent::MembersFailed { source, why } => told.push(format!("{source}: {why}")),
            FailoverEvent::MembersRecovered { source } => told.push(format!("{source} is well")),
            _ => {}
        }
    }
    let well = "db.internal is well";
    let nothing = "db.internal: there is no such name, or nothing under it";
    // The last lookup has no end.
    let late = "db.internal: no answer within 10s";
    assert_eq!(told, ["db.internal: SERVFAIL", well, nothing, well, late]);
}
