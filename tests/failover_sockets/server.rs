//! An HTTP server that can be killed for real: it has a thread and a runtime of its own, which go with all its sockets.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread::JoinHandle,
};

use axum::{Router, serve::ListenerExt};
use tokio::{
    net::TcpListener,
    runtime,
    sync::{oneshot, watch},
};

pub(crate) struct Server {
    pub(crate) key: &'static str,
    pub(crate) address: SocketAddr,
    #[cfg_attr(not(feature = "probe"), expect(dead_code, reason = "only probes are counted by it"))]
    connections: Arc<AtomicU32>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) async fn start(key: &'static str, router: Router) -> Self {
        Self::start_at(key, ([127, 0, 0, 1], 0).into(), router).await
    }

    /// At an address that was its own before, say.
    pub(crate) async fn start_at(key: &'static str, address: SocketAddr, router: Router) -> Self {
        let listener = TcpListener::bind(address).await.expect("loopback").into_std().expect("a socket");
        let address = listener.local_addr().expect("bound");
        let connections = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&connections);
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a socket").tap_io(move |stream| {
                    counted.fetch_add(1, SeqCst);
                    // What is closed is reset, as by a process that is killed.
                    stream.set_zero_linger().expect("a socket");
                    stream.set_nodelay(true).expect("a socket");
                });
                tokio::select! {
                    served = async { axum::serve(listener, router).await } => served.expect("it serves"),
                    _ = stopped => {}
                }
            });
        };
        let thread = Some(std::thread::spawn(serve));
        Self { key, address, connections, stop: Some(stop), thread }
    }

    /// How many connections have come.
    #[cfg(feature = "probe")]
    pub(crate) fn connections(&self) -> u32 {
        self.connections.load(SeqCst)
    }

    /// Closes the listener and resets all connections; nothing of it runs any more when this is over.
    pub(crate) async fn kill(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let joined = tokio::task::spawn_blocking(move || thread.join());
            joined.await.expect("no panic").expect("no panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.take();
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

/// A number that is counted up, and can be waited for.
#[derive(Clone)]
pub(crate) struct Count(Arc<watch::Sender<u32>>);

impl Count {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(crate) fn add(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) fn get(&self) -> u32 {
        *self.0.borrow()
    }

    /// Until it is so many.
    pub(crate) async fn reaches(&self, wanted: u32) {
        crate::ends(self.0.subscribe().wait_for(|count| *count >= wanted)).await.expect("the sender is here");
    }
}
