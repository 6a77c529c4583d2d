//! Sixteen clients that call again and again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;
use tower::{Service, ServiceExt};

use crate::{
    http::{Answer, Ask, CallError},
    server::Count,
};

pub(crate) const CLIENTS: u32 = 16;

/// One call that has ended.
pub(crate) struct Done {
    pub(crate) id: u32,
    pub(crate) took: Duration,
    pub(crate) outcome: Result<Answer, CallError>,
}

pub(crate) struct Load {
    pub(crate) ended: Count,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<Done>>>,
}

impl Load {
    /// Each call has a number of its own, and its path is that.
    pub(crate) fn start<S>(client: &S, ask: fn(String) -> Ask) -> Self
    where
        S: Service<Ask, Response = Answer, Error = CallError, Future: Send> + Clone + Send + Sync + 'static,
    {
        let (ended, stop, ids) = (Count::new(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let clients = (0..CLIENTS).map(|_| {
            let (client, ended, stop, ids) = (client.clone(), ended.clone(), Arc::clone(&stop), Arc::clone(&ids));
            tokio::spawn(async move {
                let mut calls = Vec::new();
                while !stop.load(SeqCst) {
                    let id = ids.fetch_add(1, SeqCst);
                    let began = Instant::now();
                    let outcome = client.clone().oneshot(ask(format!("/{id}"))).await;
                    calls.push(Done { id, took: began.elapsed(), outcome });
                    ended.add();
                }
                calls
            })
        });
        let clients = clients.collect();
        Self { ended, stop, clients }
    }

    /// Until so many more calls have ended.
    pub(crate) async fn goes_on(&self, calls: u32) {
        self.ended.reaches(self.ended.get() + calls).await;
    }

    /// All calls there have been.
    pub(crate) async fn stop(self) -> Vec<Done> {
        self.stop.store(true, SeqCst);
        let mut calls = Vec::new();
        for client in self.clients {
            calls.extend(crate::ends(client).await.expect("no panic"));
        }
        calls
    }
}
