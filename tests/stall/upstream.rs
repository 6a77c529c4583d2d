//! A healthy server on loopback, on a thread and a runtime of its own, and a client that asks it twice for each call.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use steadfast::BoxError;
use tokio::{net::TcpListener, runtime, sync::oneshot, time};

/// How long the server takes for each of the two requests of a call.
pub(crate) const TAKES: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Upstream {
    address: SocketAddr,
    out: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let out = Arc::new(AtomicBool::new(false));
        let answer = Arc::clone(&out);
        let (stop, stopped) = oneshot::channel();
        let (tell, address) = mpsc::channel();
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let router = Router::new().route(
                    "/",
                    get(async move || {
                        if answer.load(Ordering::Relaxed) {
                            return StatusCode::INTERNAL_SERVER_ERROR;
                        }
                        time::sleep(TAKES).await;
                        StatusCode::OK
                    }),
                );
                tokio::select! {
                    served = axum::serve(listener, router) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { address: address.recv().unwrap(), out, stop: Some(stop), thread: Some(thread) }
    }

    /// From now on every request fails at once.
    pub(crate) fn go_out(&self) {
        self.out.store(true, Ordering::Relaxed);
    }

    pub(crate) fn client(&self, client: reqwest::Client) -> Client {
        Client { http: client, url: format!("http://{}/", self.address).into() }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Arc<str>,
}

impl Client {
    /// One request for the token and one for the data: after a stall the second has not even been sent.
    pub(crate) async fn call(self) -> Result<(), BoxError> {
        for _ in 0..2 {
            self.http.get(&*self.url).send().await?.error_for_status()?;
        }
        Ok(())
    }
}
