//! The failover client: over the backends one by one, below all layers. Without what backends of a storm do not have: zones,
//! roles, probes, cold standbys.

use std::time::Duration;

use steadfast::{
    Error,
    failover::{self, Balance, Endpoint, Failback, FailoverSettings},
    retry::{BudgetMode, CloneRequest, only_unsent_unless},
    storm::{Failure, Request, StormClassify},
};
use tower::ServiceExt;

use super::{
    fields::{Field, Fields, Setting},
    layers::{Between, Bucket, CHECKED, Client, Replays, bucket},
    value::{Entry, Value},
};
use crate::problem::Problem;

/// As it was written, checked.
#[derive(Debug)]
pub(super) struct Failover {
    settings: FailoverSettings,
    replay: Replays,
    budget: Option<Bucket>,
    /// The retry above spends of the same budget.
    shared: bool,
    seed: Option<u64>,
    /// So many of the backends, the last ones, are a second tier.
    standbys: u32,
}

impl Setting for Failback {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Text(text) if text.starts_with(|first: char| first.is_ascii_digit()) => {
                Duration::read(field).map(Self::After)
            }
            _ => field.word(&[("immediate", Self::Immediate), ("manual", Self::Manual), ("sticky", Self::Sticky)]),
        }
    }
}

impl Setting for Balance {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[
            ("peak_ewma", Self::PeakEwma),
            ("least_requests", Self::LeastRequests),
            ("round_robin", Self::RoundRobin),
        ])
    }
}

/// `"retry"`: that of the innermost retry; or one of its own.
enum Pays {
    Retry,
    Own(Bucket),
}

impl Setting for Pays {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        match field.value() {
            Value::Text(text) if text == "retry" => Ok(Self::Retry),
            _ => Bucket::read(field).map(Self::Own),
        }
    }
}

/// Sets each setting that is there.
macro_rules! set {
    ($settings:ident, $fields:ident: $($name:ident)*) => {$(
        if let Some(value) = $fields.get(stringify!($name))? {
            $settings.$name = value;
        }
    )*};
}

impl Failover {
    /// `layers` are those above.
    pub(super) fn read((line, entries): &(usize, Vec<Entry>), layers: &[(usize, Vec<Entry>)]) -> Result<Self, Problem> {
        let fields = Fields::new("failover".into(), *line, entries);
        let mut settings = FailoverSettings::default();
        set!(settings, fields: balance slow_start consecutive_failures connect_failures ejection max_ejected
            all_out_failures all_out max_hold max_endpoints_per_call acquire_timeout trial_timeout penalty failback);
        let replay = fields.get("replay")?.unwrap_or(Replays::All);
        let seed = fields.get("seed")?;
        let standbys = fields.get::<u32>("standbys")?.unwrap_or(0);
        let pays = fields.get::<Option<Pays>>("budget")?.unwrap_or(Some(Pays::Retry));
        fields.finish()?;
        let checked = failover::Failover::builder().settings(settings.clone()).endpoint(Endpoint::new("any", ()));
        checked.build().map_err(|error| fields.refused(&error, &[]))?;
        let above = layers.iter().rposition(|(_, entries)| is_retry(entries)).map(|at| {
            let (line, entries) = &layers[at];
            bucket(&Fields::new(format!("layers[{at}]"), *line, entries))
        });
        let (budget, shared) = match (pays, above.transpose()?) {
            (Some(Pays::Retry), Some(budget)) => (budget, true),
            (Some(Pays::Retry), None) => (Some(Bucket(BudgetMode::Refund(0.1), 50)), false),
            (Some(Pays::Own(bucket)), _) => (Some(bucket), false),
            (None, _) => (None, false),
        };
        Ok(Self { settings, replay, budget, shared, seed, standbys })
    }

    /// The endpoints of a client, as one service.
    pub(super) fn client(&self, client: &Client) -> Between {
        let endpoints = client.upstream.endpoints();
        let first = endpoints.len().saturating_sub(self.standbys as usize);
        let endpoint =
            |(number, endpoint)| Endpoint::new(format!("backend {number}"), endpoint).tier(u32::from(number >= first));
        let endpoints = endpoints.into_iter().map(|one| one.map_err(Error::Inner as fn(Failure) -> _));
        let budget = self.budget.map(Bucket::full);
        if self.shared {
            client.budget.set(budget.clone());
        }
        let mut builder = failover::Failover::builder().settings(self.settings.clone()).classify(StormClassify);
        builder = builder.endpoints(endpoints.enumerate().map(endpoint)).budget(budget);
        if let Some(seed) = self.seed {
            builder = builder.seed(seed);
        }
        // The number of those out.
        macro_rules! shown {
            ($builder:expr) => {{
                let (service, handle) = $builder.build().expect(CHECKED);
                let out = move || handle.snapshot().endpoints.iter().filter(|one| !one.state.is_in()).count() as f64;
                client.upstream.gauge("failover out", out);
                Between::new(service)
            }};
        }
        match self.replay {
            Replays::All => shown!(builder),
            Replays::Idempotent => shown!(builder.replay(only_unsent_unless(CloneRequest, Request::is_idempotent))),
        }
    }
}

fn is_retry(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| entry.key == "kind" && entry.value == Value::Text("retry".into()))
}
