//! The kinds of layers. A further one is a function here and a line in [`KINDS`]. Those of servers are in
//! [`server`](super::server).

use std::{cell::Cell, sync::Arc, time::Duration};

use steadfast::{
    Error,
    adaptive_limit::{AdaptiveLimit, Algorithm},
    bulkhead::{Bulkhead, BulkheadBuilder, Order},
    circuit_breaker::{Abandoned, CircuitBreaker, HalfOpenEnd, SlowCalls, State},
    fallback::Fallback,
    hedge::Hedge,
    rate_limit::{Mode, RateLimit, RateLimitBuilder},
    retry::{Budget, BudgetMode, CloneRequest, Retry, only_unsent_unless},
    storm::{Failure, Request, Response, StormClassify, Upstream},
    timeout::Timeout,
};
use tower::{Layer, util::BoxCloneSyncService};

use super::{
    fields::{Field, Fields, Setting},
    value::Value,
};
use crate::{problem::Problem, span};

/// A service between two layers.
pub(crate) type Between = BoxCloneSyncService<Request, Response, Error<Failure>>;

/// A client, while its layers are made, from inside out.
pub(crate) struct Client {
    pub(crate) upstream: Upstream,
    /// What pays for attempts at other endpoints, for the retry above to share.
    pub(crate) budget: Cell<Option<Arc<Budget>>>,
}

/// Puts a layer with a state of its own around a client's service.
pub(crate) type Wrap = Arc<dyn Fn(&Client, Between) -> Between + Send + Sync>;

/// Reads the settings of a kind of layer; the text is the layer's name.
pub(crate) type Kind<W> = fn(&Fields<'_>, String) -> Result<W, Problem>;

/// What there is, by name.
pub(crate) const KINDS: [(&str, Kind<Wrap>); 7] = [
    ("timeout", timeout),
    ("retry", retry),
    ("circuit_breaker", circuit_breaker),
    ("bulkhead", bulkhead),
    ("adaptive_limit", adaptive_limit),
    ("rate_limit", rate_limit),
    ("fallback", fallback),
];

/// What was checked when the stack was read cannot be refused now.
pub(super) const CHECKED: &str = "settings that were accepted once are accepted again";

fn wrap(layer: impl Fn(&Client, Between) -> Between + Send + Sync + 'static) -> Wrap {
    Arc::new(layer)
}

/// Uses each setting that is there with the setter of the same name.
macro_rules! set {
    ($builder:ident, $fields:ident: $($name:ident)*) => {$(
        if let Some(value) = $fields.get(stringify!($name))? {
            $builder = $builder.$name(value);
        }
    )*};
}
pub(super) use set;

/// A time, or a share of the deadline of those who ask: `"deadline"`, `"deadline/3"`.
#[derive(Clone, Copy, Debug)]
enum Total {
    Fixed(Duration),
    OfDeadline(f64),
}

impl Setting for Total {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        let Value::Text(text) = field.value() else {
            return Err(field.wrong("a duration, or \"deadline\", or \"deadline/3\""));
        };
        let share = text.strip_prefix("deadline").map(|rest| match rest.strip_prefix('/') {
            Some(parts) => parts.trim().parse().ok().filter(|parts| *parts >= 1.0),
            None => rest.is_empty().then_some(1.0),
        });
        match share {
            Some(Some(parts)) => Ok(Self::OfDeadline(parts)),
            None if span::parse(text).is_some() => Duration::read(field).map(Self::Fixed),
            _ => Err(field.wrong("a duration, or \"deadline\", or \"deadline/3\"")),
        }
    }
}

fn timeout(fields: &Fields<'_>, name: String) -> Result<Wrap, Problem> {
    let total: Total = fields.need("total")?;
    if let Total::Fixed(limit) = total {
        Timeout::builder(limit).build().map_err(|error| fields.refused(&error, &[("limit", "total")]))?;
    }
    Ok(wrap(move |client, inner| {
        let limit = match total {
            Total::Fixed(limit) => limit,
            Total::OfDeadline(parts) => client.upstream.deadline().div_f64(parts).max(Duration::from_nanos(1)),
        };
        Between::new(Timeout::builder(limit).name(name.clone()).build().expect(CHECKED).layer(inner))
    }))
}

/// `"ratio"`, `"refund"`, or a table: `mode`, `share`, `tokens`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket(pub(super) BudgetMode, pub(super) u32);

impl Bucket {
    pub(super) fn full(self) -> Arc<Budget> {
        Arc::new(Budget::new(self.0, self.1).expect(CHECKED))
    }
}

/// The budget of a retry with these settings.
pub(super) fn bucket(fields: &Fields<'_>) -> Result<Option<Bucket>, Problem> {
    Ok(fields.get("budget")?.unwrap_or(Some(Bucket(BudgetMode::Ratio(0.2), 50))))
}

impl Setting for Bucket {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        const MODES: [(&str, BudgetMode); 2] = [("ratio", BudgetMode::Ratio(0.2)), ("refund", BudgetMode::Refund(0.1))];
        struct Mode(BudgetMode);
        impl Setting for Mode {
            fn read(field: Field<'_>) -> Result<Self, Problem> {
                field.word(&MODES).map(Self)
            }
        }
        match field.value() {
            Value::Table(entries) => {
                let fields = field.fields(entries);
                let Mode(mode) = fields.need("mode")?;
                let mode = match (mode, fields.get("share")?) {
                    (BudgetMode::Ratio(_), Some(share)) => BudgetMode::Ratio(share),
                    (BudgetMode::Refund(_), Some(share)) => BudgetMode::Refund(share),
                    (mode, _) => mode,
                };
                let bucket = Self(mode, fields.get("tokens")?.unwrap_or(50));
                fields.finish()?;
                Budget::new(bucket.0, bucket.1).map_err(|error| fields.refused(&error, &[]))?;
                Ok(bucket)
            }
            Value::Text(text) if MODES.iter().any(|(mode, _)| mode == text) => Ok(Self(field.word(&MODES)?, 50)),
            _ => Err(field.wrong("\"ratio\" or \"refund\" or \"none\", or a table with `mode`")),
        }
    }
}

/// `"default"`, or a table: `after` or `percentile` and `medians`, `minimum_calls`, `share`, `burst`, `overload_hold`.
struct Hedging(Hedge);

impl Setting for Hedging {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        let Value::Table(entries) = field.value() else {
            return field.word(&[("default", ())]).map(|()| Self(Hedge::default()));
        };
        let fields = field.fields(entries);
        let after = fields.get("after")?.map(Hedge::after);
        let mut hedge = after.or(fields.get("percentile")?.map(Hedge::percentile)).unwrap_or_default();
        set!(hedge, fields: medians minimum_calls overload_hold);
        hedge = hedge.budget(fields.get("share")?.unwrap_or(0.05), fields.get("burst")?.unwrap_or(3));
        fields.finish()?;
        let names = ["percentile", "medians", "minimum_calls", "share", "burst"];
        let theirs = ["hedge.percentile", "hedge.medians", "hedge.minimum_calls", "hedge.share", "hedge.burst"];
        let names: Vec<_> = theirs.into_iter().zip(names).collect();
        hedge.alone().build().map_err(|error| fields.refused(&error, &names))?;
        Ok(Self(hedge))
    }
}

/// Builders of one attempt at a time and of two are of different types.
macro_rules! attempts {
    ($builder:expr, $replay:expr, $inner:expr) => {
        match $replay {
            Replays::All => Between::new($builder.build().expect(CHECKED).layer($inner)),
            Replays::Idempotent => {
                let replay = only_unsent_unless(CloneRequest, Request::is_idempotent);
                Between::new($builder.replay(replay).build().expect(CHECKED).layer($inner))
            }
        }
    };
}

fn retry(fields: &Fields<'_>, name: String) -> Result<Wrap, Problem> {
    let mut builder = Retry::builder().name(name.clone()).classify(StormClassify);
    set!(builder, fields: max_attempts backoff max_retry_after seed);
    let bucket = bucket(fields)?;
    let replay: Replays = fields.get("replay")?.unwrap_or(Replays::All);
    let hedge = fields.get::<Option<Hedging>>("hedge")?.flatten().map(|Hedging(hedge)| hedge);
    let soft_timeout = fields.get::<Option<Duration>>("soft_timeout")?.flatten();
    builder.clone().build().map_err(|error| fields.refused(&error, &[]))?;
    if let Some(limit) = soft_timeout {
        builder.clone().soft_timeout(limit).build().map_err(|error| fields.refused(&error, &[]))?;
    }
    Ok(wrap(move |client, inner| {
        let budget = client.budget.take().or_else(|| bucket.map(Bucket::full));
        if let Some(budget) = budget.clone() {
            client.upstream.gauge(format!("{name} tokens"), move || budget.tokens());
        }
        let builder = builder.clone().budget(budget);
        match (hedge, soft_timeout) {
            (None, None) => attempts!(builder, replay, inner),
            (Some(hedge), None) => attempts!(builder.hedge(hedge), replay, inner),
            (hedge, Some(limit)) => {
                let hedge = hedge.unwrap_or(Hedge::never());
                attempts!(builder.hedge(hedge.soft_timeout(limit)), replay, inner)
            }
        }
    }))
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Replays {
    All,
    Idempotent,
}

impl Setting for Replays {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[("all", Self::All), ("idempotent", Self::Idempotent)])
    }
}

/// One breaker for each client: so far all there is.
#[derive(Debug)]
struct Per;

impl Setting for Per {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[("client", ())]).map(|()| Self)
    }
}

struct Slow(SlowCalls);

impl Setting for Slow {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        let Value::Table(entries) = field.value() else {
            return Err(field.wrong("a table with `rate` and `longer_than`"));
        };
        let fields = field.fields(entries);
        let slow = SlowCalls { rate: fields.need("rate")?, longer_than: fields.need("longer_than")? };
        fields.finish()?;
        Ok(Self(slow))
    }
}

impl Setting for HalfOpenEnd {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[("judge", Self::Judge), ("open", Self::Open), ("close", Self::Close)])
    }
}

impl Setting for Abandoned {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[("judged", Self::Judged), ("ignored", Self::Ignored), ("failure", Self::Failure)])
    }
}

fn circuit_breaker(fields: &Fields<'_>, name: String) -> Result<Wrap, Problem> {
    let mut builder = CircuitBreaker::builder().name(name.clone()).classify(StormClassify);
    fields.get::<Per>("per")?;
    set!(builder, fields: count_window time_window minimum_calls failure_rate half_open_calls wait_open automatic_half_open abandoned
        overloaded_is_failure seed);
    if let Some(failures) = fields.get::<Option<u32>>("consecutive_failures")? {
        builder = builder.consecutive_failures(failures);
    }
    if let Some(Slow(slow)) = fields.get("slow_calls")? {
        builder = builder.slow_calls(slow.rate, slow.longer_than);
    }
    if let Some(ramp) = fields.get::<Option<Duration>>("ramp")? {
        builder = builder.ramp(ramp);
    }
    let (wait, end) = (fields.get::<Option<Duration>>("half_open_max_wait")?, fields.get("half_open_end")?);
    if wait.is_some() || end.is_some() {
        let wait = wait.unwrap_or(Some(Duration::from_secs(10)));
        builder = builder.half_open_max_wait(wait, end.unwrap_or(HalfOpenEnd::Judge));
    }
    builder.clone().build().map_err(|error| fields.refused(&error, &[]))?;
    Ok(wrap(move |client, inner| {
        let layer = builder.clone().build().expect(CHECKED);
        let handle = layer.handle();
        let label = if name == "circuit_breaker" { "breaker" } else { &name };
        client.upstream.gauge(format!("{label} open"), move || f64::from(u8::from(handle.state() == State::Open)));
        Between::new(layer.layer(inner))
    }))
}

impl Setting for Order {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[("fifo", Self::Fifo), ("lifo", Self::Lifo)])
    }
}

/// The settings of a bulkhead with so many places.
pub(super) fn queue(fields: &Fields<'_>, name: String, places: u32) -> Result<BulkheadBuilder, Problem> {
    let mut builder = Bulkhead::builder(places).name(name);
    set!(builder, fields: max_waiting max_wait order);
    builder.clone().build().map_err(|error| fields.refused(&error, &[]))?;
    Ok(builder)
}

fn bulkhead(fields: &Fields<'_>, name: String) -> Result<Wrap, Problem> {
    let builder = queue(fields, name.clone(), fields.need("max_concurrent")?)?;
    Ok(wrap(move |client, inner| {
        let layer = builder.clone().build().expect(CHECKED);
        let (running, waiting) = (layer.handle(), layer.handle());
        client.upstream.gauge(format!("{name} running"), move || running.snapshot().running.into());
        client.upstream.gauge(format!("{name} waiting"), move || waiting.snapshot().waiting as f64);
        Between::new(layer.layer(inner))
    }))
}

impl Setting for Algorithm {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[("deadline", Self::Deadline), ("aimd", Self::AIMD)])
    }
}

/// Keyed to the deadline of those who ask.
fn adaptive_limit(fields: &Fields<'_>, name: String) -> Result<Wrap, Problem> {
    let mut builder = AdaptiveLimit::builder(Duration::from_secs(1)).name(name.clone()).classify(StormClassify);
    set!(builder, fields: algorithm slow_after initial min max max_waiting max_wait order);
    let settings = builder.clone().build().map_err(|error| fields.refused(&error, &[]))?.handle().settings();
    Ok(wrap(move |client, inner| {
        let mut settings = settings;
        settings.deadline = client.upstream.deadline();
        let layer = builder.clone().settings(settings).build().expect(CHECKED);
        let (limit, waiting) = (layer.handle(), layer.handle());
        client.upstream.gauge(name.clone(), move || limit.limit().into());
        client.upstream.gauge(format!("{name} waiting"), move || waiting.snapshot().waiting as f64);
        Between::new(layer.layer(inner))
    }))
}

impl Setting for Mode {
    fn read(field: Field<'_>) -> Result<Self, Problem> {
        field.word(&[("smooth", Self::Smooth), ("cycles", Self::Cycles)])
    }
}

/// The settings of a rate limit.
pub(super) fn rate(fields: &Fields<'_>, name: String) -> Result<RateLimitBuilder, Problem> {
    let period = fields.get("period")?.unwrap_or(Duration::from_secs(1));
    let mut builder = RateLimit::builder(fields.need("limit")?, period).name(name);
    set!(builder, fields: burst max_wait max_waiting mode);
    builder.clone().build().map_err(|error| fields.refused(&error, &[]))?;
    Ok(builder)
}

fn rate_limit(fields: &Fields<'_>, name: String) -> Result<Wrap, Problem> {
    let builder = rate(fields, name)?;
    Ok(wrap(move |_, inner| Between::new(builder.clone().build().expect(CHECKED).layer(inner))))
}

fn fallback(_: &Fields<'_>, name: String) -> Result<Wrap, Problem> {
    Ok(wrap(move |_, inner| {
        let builder = Fallback::value(Response::degraded()).name(name.clone()).classify(StormClassify);
        Between::new(builder.build().layer(inner))
    }))
}
