//! A server of the test's own.

use std::{
    env, fs,
    io::{self, Write},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{Client, aio::MultiplexedConnection};
use steadfast::rate_limit::redis::RedisStore;

use crate::SECOND;

pub(crate) fn program() -> Option<PathBuf> {
    let found = env::split_paths(&env::var_os("PATH")?).map(|path| path.join("redis-server")).find(|at| at.is_file());
    if found.is_none() {
        assert!(!env::var("STEADFAST_CI").is_ok_and(|ci| ci == "1"), "no redis-server in CI");
        let reason = "there is no redis-server on the PATH";
        // Not by `eprintln`, which is kept from the screen while a test passes.
        writeln!(io::stderr(), "SKIPPED: {reason}").unwrap();
    }
    found
}

/// A server on a port of its own, in a folder of its own; killed with it.
pub(crate) struct Server {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
    process: Child,
}

impl Server {
    pub(crate) async fn start(program: PathBuf) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = env::temp_dir().join(format!("steadfast-redis-{}-{port}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let process = Self::spawn(&program, &folder, port);
        let server = Self { program, folder, port, process };
        server.answers().await;
        server
    }

    fn spawn(program: &PathBuf, folder: &PathBuf, port: u16) -> Child {
        Command::new(program)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string(), "--dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    async fn answers(&self) {
        let store = RedisStore::new(&self.url()).unwrap();
        let connected = async {
            while store.connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SECOND * 20, connected).await.expect("the server answers");
    }

    /// Like `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// It keeps its connections and accepts others, and does not answer.
    pub(crate) fn freeze(&self) {
        assert!(self.signal("-STOP"));
    }

    pub(crate) fn thaw(&self) {
        assert!(self.signal("-CONT"));
    }

    fn signal(&self, signal: &str) -> bool {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        sent.is_ok_and(|status| status.success())
    }

    /// A connection beside those of the store.
    pub(crate) async fn connection(&self) -> MultiplexedConnection {
        Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// How many there have been.
    pub(crate) async fn connections(&self, beside: &mut MultiplexedConnection) -> String {
        let stats: String = redis::cmd("INFO").arg("stats").query_async(beside).await.unwrap();
        let made = stats.lines().find(|line| line.starts_with("total_connections_received"));
        made.unwrap().to_owned()
    }

    pub(crate) async fn start_again(&mut self) {
        self.process = Self::spawn(&self.program, &self.folder, self.port);
        self.answers().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal("-CONT");
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
