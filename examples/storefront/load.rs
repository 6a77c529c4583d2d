//! The load generator: sends each request at its time, whatever became of those before, and keeps what came back.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{script::Arrival, shop::DEGRADED};

/// How long a customer waits. What comes later is a page that nobody looks at.
pub(crate) const PATIENCE: Duration = Duration::from_millis(500);

/// One request and what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    pub(crate) answer: Option<Answer>,
}

/// An answer, its time counted from when the request was due: a generator that is late flatters nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) took: Duration,
    pub(crate) page: bool,
    pub(crate) degraded: bool,
}

impl Sample {
    pub(crate) fn in_time(&self) -> bool {
        self.answer.is_some_and(|answer| answer.page && answer.took <= PATIENCE)
    }

    pub(crate) fn degraded(&self) -> bool {
        self.in_time() && self.answer.is_some_and(|answer| answer.degraded)
    }
}

/// All requests of a run, in the order in which they are due.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Arc<Mutex<Vec<Sample>>>);

impl Samples {
    pub(crate) fn of(arrivals: &[Arrival]) -> Self {
        let samples = arrivals.iter().map(|arrival| Sample { at: arrival.at, answer: None });
        Self(Arc::new(Mutex::new(samples.collect())))
    }

    fn set(&self, number: usize, answer: Answer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[number].answer = Some(answer);
    }

    pub(crate) fn now(&self) -> Vec<Sample> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Sends all requests, and waits for the last answer.
pub(crate) async fn generate(shop: SocketAddr, arrivals: Vec<Arrival>, start: Instant, samples: Samples) {
    // Longer than anything that the shop can take: what the customer does not wait for is late, not cancelled.
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build();
    let client = client.expect("a client without TLS");
    let mut requests = JoinSet::new();
    for (number, arrival) in arrivals.into_iter().enumerate() {
        let due = start + arrival.at;
        sleep_until(due).await;
        let request = client.get(format!("http://{shop}/product/{}", arrival.product));
        let samples = samples.clone();
        requests.spawn(async move {
            let answer = async {
                let response = request.send().await?;
                let (page, degraded) = (response.status() == 200, response.headers().contains_key(DEGRADED));
                response.bytes().await.map(|_| (page, degraded))
            };
            let (page, degraded) = answer.await.unwrap_or((false, false));
            samples.set(number, Answer { took: due.elapsed(), page, degraded });
        });
        while requests.try_join_next().is_some() {}
    }
    while requests.join_next().await.is_some() {}
}
