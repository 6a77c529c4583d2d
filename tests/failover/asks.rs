//! A probe that does as it is told.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use steadfast::{
    ConfigError,
    failover::{
        Check, Meta,
        probe::{Probe, Probing, Report},
    },
    telemetry::Name,
};
use tokio::time::Instant;

use crate::support::*;

#[derive(Clone, Copy)]
pub(crate) enum Says {
    Passes(Duration, Report),
    Fails(Duration),
    Hangs,
    Panics,
    PanicsAtOnce,
}

/// A probe that does as it is told, and notes when it was asked.
#[derive(Clone)]
pub(crate) struct Asks {
    pub(crate) says: Arc<Mutex<HashMap<String, Says>>>,
    pub(crate) asked: Arc<Mutex<Vec<(String, Instant)>>>,
    pub(crate) under_way: Arc<AtomicU32>,
}

struct UnderWay(Arc<AtomicU32>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Asks {
    pub(crate) fn new() -> Self {
        Self { says: Arc::default(), asked: Arc::default(), under_way: Arc::default() }
    }

    pub(crate) fn says(&self, key: &str, says: Says) -> &Self {
        self.says.lock().unwrap().insert(key.to_owned(), says);
        self
    }

    pub(crate) fn passes(&self, key: &str) -> &Self {
        self.says(key, Says::Passes(Duration::ZERO, Report::new()))
    }

    /// When it was asked, in ms from `from` on; forgets it.
    pub(crate) fn take(&self, key: &str, from: Instant) -> Vec<u128> {
        let mut asked = self.asked.lock().unwrap();
        let (of_key, others) = asked.drain(..).partition(|(asked, _)| asked == key);
        *asked = others;
        of_key.into_iter().map(|(_, at): (String, Instant)| (at - from).as_millis()).collect()
    }
}

impl Probe<Node> for Asks {
    fn probe(&self, endpoint: &Meta, _: Option<Node>) -> Probing {
        let key = endpoint.key().to_string();
        self.asked.lock().unwrap().push((key.clone(), Instant::now()));
        let says = self.says.lock().unwrap().get(&key).copied().unwrap_or(Says::Hangs);
        if matches!(says, Says::PanicsAtOnce) {
            panic!("on purpose");
        }
        self.under_way.fetch_add(1, Relaxed);
        let under_way = UnderWay(Arc::clone(&self.under_way));
        Box::pin(async move {
            let _under_way = under_way;
            match says {
                Says::Passes(after, report) => {
                    tokio::time::sleep(after).await;
                    Ok(report)
                }
                Says::Fails(after) => {
                    tokio::time::sleep(after).await;
                    Err("it is ill".into())
                }
                Says::Hangs => std::future::pending().await,
                Says::Panics | Says::PanicsAtOnce => panic!("on purpose"),
            }
        })
    }

    fn check(&self, component: &Name) -> Result<(), ConfigError> {
        match self.says.lock().unwrap().contains_key("none") {
            true => Check::default().jitter(-1.0).check(component),
            false => Ok(()),
        }
    }
}
