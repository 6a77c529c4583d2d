//! Four processes that share a limit.

use std::{
    env,
    io::{self, Write},
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use steadfast::rate_limit::{RateLimit, redis::RedisStore};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    SECOND,
    server::{Server, program},
};

const URL: &str = "STEADFAST_TEST_REDIS_URL";
const WAIT: &str = "STEADFAST_TEST_MAX_WAIT_MS";

fn micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// What a worker process does; without the environment of one, nothing. Ends when its output is closed.
#[tokio::test]
async fn worker() {
    let Ok(url) = env::var(URL) else { return };
    let wait: u64 = env::var(WAIT).unwrap().parse().unwrap();
    let store = RedisStore::new(&url).unwrap();
    store.connect().await.unwrap();
    let layer = RateLimit::builder(100, SECOND)
        .name("shared")
        .burst(10)
        .max_wait(Duration::from_millis(wait))
        .store(store, 4)
        .store_timeout(Duration::from_millis(250))
        .probe_interval(Duration::from_millis(200))
        .build()
        .unwrap();
    let handle = layer.handle();
    let caller = || async {
        loop {
            let line = match handle.acquire().await {
                Ok(()) => format!("admitted {}", micros()),
                // A caller that tries is refused by right; one that waits never has to be.
                Err(_) if wait == 0 => {
                    tokio::time::sleep(Duration::from_millis(4)).await;
                    continue;
                }
                Err(error) => format!("error {error}"),
            };
            if writeln!(io::stderr(), "{line}").is_err() {
                return;
            }
        }
    };
    let callers = if wait == 0 { 1 } else { 16 };
    let ended = futures::future::select_all((0..callers).map(|_| Box::pin(caller())));
    let _ = tokio::time::timeout(SECOND * 60, ended).await;
}

#[derive(Default)]
struct Seen {
    admitted: Vec<u64>,
    errors: Vec<String>,
}

/// Four processes that hammer one limit, and what they say. Killed when dropped.
struct Workers {
    processes: Vec<tokio::process::Child>,
    seen: Arc<Mutex<Seen>>,
}

impl Workers {
    async fn start(url: &str, max_wait_ms: u64) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut processes = Vec::new();
        for _ in 0..4 {
            let mut process = tokio::process::Command::new(env::current_exe().unwrap())
                .args(["processes::worker", "--exact", "--nocapture"])
                .env(URL, url)
                .env(WAIT, max_wait_ms.to_string())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                while let Ok(Some(line)) = lines.next_line().await {
                    let mut seen = seen.lock().unwrap();
                    match line.strip_prefix("admitted ").and_then(|at| at.parse().ok()) {
                        Some(at) => seen.admitted.push(at),
                        None => seen.errors.push(line),
                    }
                }
            });
            processes.push(process);
        }
        let workers = Self { processes, seen };
        // All four are there, and the burst is used up.
        while workers.count(0, u64::MAX) < 100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(SECOND).await;
        workers
    }

    fn count(&self, from: u64, to: u64) -> usize {
        self.seen.lock().unwrap().admitted.iter().filter(|at| (from..to).contains(at)).count()
    }

    /// How many are admitted in the next `seconds`.
    async fn during(&self, seconds: u64) -> usize {
        let from = micros();
        let to = from + seconds * 1_000_000;
        // What was printed before the end has been read some time after it.
        tokio::time::sleep(Duration::from_secs(seconds) + Duration::from_millis(500)).await;
        self.count(from, to)
    }

    /// Ends all but so many of them.
    async fn keep(&mut self, processes: usize) {
        for mut process in self.processes.drain(processes..) {
            process.kill().await.unwrap();
        }
    }

    async fn stop(mut self) {
        for process in &mut self.processes {
            assert!(process.try_wait().unwrap().is_none(), "a worker has ended");
            process.kill().await.unwrap();
        }
        let errors = std::mem::take(&mut self.seen.lock().unwrap().errors);
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_that_try_share_a_limit() {
    let Some(program) = program() else { return };
    let server = Server::start(program).await;
    let test = async {
        let workers = Workers::start(&server.url(), 0).await;
        let admitted = workers.during(5).await;
        writeln!(io::stderr(), "trying callers of four processes: {admitted} in 5 s").unwrap();
        assert!((490..=510).contains(&admitted), "{admitted} in 5 s");
        workers.stop().await;
    };
    tokio::time::timeout(SECOND * 60, test).await.expect("in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_share_a_limit_keep_to_their_shares_without_the_server_and_share_again() {
    let Some(program) = program() else { return };
    let mut server = Server::start(program).await;
    let test = async {
        let mut workers = Workers::start(&server.url(), 5000).await;
        let shared = workers.during(5).await;
        server.kill();
        // Those who wait have turns that the server had reserved; then the shares: 4 times 25/s.
        tokio::time::sleep(SECOND * 2).await;
        let alone = workers.during(4).await;
        server.start_again().await;
        tokio::time::sleep(SECOND * 2).await;
        let again = workers.during(5).await;
        // By their shares two of them would have half. Those who are gone leave a few turns unused.
        workers.keep(2).await;
        tokio::time::sleep(SECOND).await;
        let by_two = workers.during(5).await;
        writeln!(
            io::stderr(),
            "waiting callers of four processes: {shared} in 5 s, {alone} in 4 s without the server, then {again} in 5 s, and \
             {by_two} by two of them"
        )
        .unwrap();
        assert!((490..=510).contains(&shared), "{shared} in 5 s");
        assert!((392..=408).contains(&alone), "{alone} in 4 s without the server");
        assert!((490..=510).contains(&again), "{again} in 5 s with the server again");
        assert!((490..=510).contains(&by_two), "{by_two} in 5 s by two of them");
        workers.stop().await;
    };
    tokio::time::timeout(SECOND * 90, test).await.expect("in time");
}
