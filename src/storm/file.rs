//! Worlds and scenarios as TOML files.
//!
//! Everything is optional but what a fault needs: what is not given is as in [`World::default`], [`Backend::default`]
//! and [`Class::default`].
//!
//! ```
//! use std::time::Duration;
//! use steadfast::storm::Scenario;
//!
//! let scenario = Scenario::from_toml(r#"
//!     name = "checkout"         # "scenario"
//!     from = "10s"              # the time that is judged; else from the first fault, or 10 s, …
//!     until = "70s"             # … until 30 s after the last, or 70 s
//!     over = "40s"              # from where recovery is counted; else with the last fault
//!
//!     [world]
//!     deadline = "1s"
//!     network = "2ms"
//!     clients = 10
//!     load = { rate = 600 }     # or { trace = ["10ms", "12ms"] } or { users = 50, think = "100ms" }
//!
//!     [[world.backends]]
//!     count = 5                 # so many of them
//!     workers = 4
//!     queue = 500
//!     standby = false
//!     service = { mean = "20ms", sigma = 0.5 }   # or as below
//!
//!     [[world.classes]]
//!     name = "read"
//!     share = 0.9
//!     priority = 1
//!     deadline = "500ms"
//!     work = 1.0
//!     idempotent = true
//!
//!     [[faults]]
//!     kind = "slow"
//!     factor = 50
//!     at = "10s"
//!     lasts = "30s"             # or "forever"
//!     backends = [0]            # else all
//! "#)?;
//! assert_eq!(scenario.window, Duration::from_secs(10)..Duration::from_secs(70));
//! assert_eq!(Scenario::from_toml(&scenario.to_toml())?, scenario);
//! # Ok::<(), steadfast::storm::StormError>(())
//! ```
//!
//! The kinds of faults and their fields are those of [`FaultKind`]: `refuse`, `swallow`, `fail` (`share`), `fail_at_once`
//! (`share`), `slow` (`factor`), `cold` (`factor`, `completions`), `stragglers` (`share`, `factor`), `latency` (`extra`),
//! `load` (`factor`), `invalid` (`share`), `failover` (`promoted_after`, `name_follows_within`). `latency`, `load` and
//! `invalid` have no `backends`, and a `failover` without `lasts` is forever.
//!
//! The `service` of a backend is lognormal with `mean` and `sigma`, or one of these:
//!
//! ```
//! # steadfast::storm::World::from_toml(r#"
//! [[backends]]
//! service = { fixed = "20ms" }
//! [[backends]]
//! service = { exponential = "20ms" }
//! [[backends]]
//! service = { recorded = [["5ms", 100], ["20ms", 30]] }   # 100 calls took 5 ms, 30 took 20 ms
//! # "#)?;
//! # Ok::<(), steadfast::storm::StormError>(())
//! ```
//!
//! Times are numbers with a unit, `h`, `m`, `s`, `ms`, `us` or `ns`, or several: `"1m 30s"`. Backends are numbered as they
//! are in the world, so after a table with `count = 5` comes backend 5: in `faults.backends` and in errors.
//!
//! What cannot be is a [`StormError`] with the field, as a path, and its line and column:
//!
//! ```
//! use steadfast::storm::Scenario;
//!
//! let error = Scenario::from_toml("[[world.backends]]\nworker = 4\n").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "line 2, column 1: `world.backends[0].worker`: unknown field `worker`; did you mean `workers`?"
//! );
//! ```

mod names;
mod read;
mod time;
mod write;

use std::time::Duration;

use self::read::{Array, File, Table, Value};
use super::{Backend, Class, Fault, FaultKind, Load, Scenario, ServiceTime, StormError, World, validate};

const MOST_BACKENDS: usize = *validate::BACKENDS.end();
/// For how long after the last fault is judged.
const AFTER: Duration = Duration::from_secs(30);

/// The kinds of faults, with the fields each has besides `kind`, `at` and `lasts`.
const KINDS: [(&str, &[&str]); 11] = [
    ("refuse", &["backends"]),
    ("swallow", &["backends"]),
    ("fail", &["share", "backends"]),
    ("fail_at_once", &["share", "backends"]),
    ("slow", &["factor", "backends"]),
    ("cold", &["factor", "completions", "backends"]),
    ("stragglers", &["share", "factor", "backends"]),
    ("latency", &["extra"]),
    ("load", &["factor"]),
    ("invalid", &["share"]),
    ("failover", &["promoted_after", "name_follows_within", "backends"]),
];

impl Scenario {
    /// Reads a scenario: see [the format](super::file).
    ///
    /// # Errors
    /// It is no TOML, there is something else in it, or it [cannot be](Self::check). The error names the field, its line
    /// and its column.
    pub fn from_toml(toml: &str) -> Result<Self, StormError> {
        let file = File::new(toml);
        let parsed = file.parse()?;
        let scenario = scenario(&Table::whole(&file, &parsed))?;
        scenario.check().map_err(|error| file.placed(error))?;
        Ok(scenario)
    }

    /// Writes it as [a file](super::file) that [`from_toml`](Self::from_toml) reads back to the same scenario, if it can be.
    pub fn to_toml(&self) -> String {
        write::scenario(self)
    }
}

impl World {
    /// Reads a world: what is under `world` in [the format](super::file) of scenarios, without that prefix.
    ///
    /// # Errors
    /// See [`Scenario::from_toml`].
    pub fn from_toml(toml: &str) -> Result<Self, StormError> {
        let file = File::new(toml);
        let parsed = file.parse()?;
        let world = world(&Table::whole(&file, &parsed))?;
        world.check().map_err(|error| file.placed(error))?;
        Ok(world)
    }

    /// Writes it as [a file](super::file) that [`from_toml`](Self::from_toml) reads back to the same world, if it can be.
    pub fn to_toml(&self) -> String {
        write::world(self, "")
    }
}

fn scenario(table: &Table<'_>) -> Result<Scenario, StormError> {
    table.only(["name", "from", "until", "over", "world", "faults"])?;
    let mut scenario = Scenario::new("scenario");
    table.read("name", &mut scenario.name, |name| Ok(name.text()?.to_owned()))?;
    table.read("world", &mut scenario.world, |value| world(&value.table()?))?;
    table.read("faults", &mut scenario.faults, |faults| faults.array()?.each(|value| fault(&value.table()?)))?;
    scenario = scenario.judged_until(AFTER);
    table.read("from", &mut scenario.window.start, Value::time)?;
    match table.get("until") {
        Some(until) => scenario.window.end = until.time()?,
        None if scenario.window.end == Duration::MAX => return Err(endless(table, &scenario.faults)),
        None => {}
    }
    table.read("over", &mut scenario.over, |over| over.time().map(Some))?;
    Ok(scenario)
}

/// The time that is judged has no end: at the fault that is the reason.
fn endless(table: &Table<'_>, faults: &[Fault]) -> StormError {
    let longest = (0..faults.len()).max_by_key(|at| faults[*at].ends()).unwrap_or_default();
    table.missing("until", &format!("faults[{longest}].lasts"), format!("and `faults[{longest}]` lasts forever"))
}

fn world(table: &Table<'_>) -> Result<World, StormError> {
    table.only(["deadline", "network", "clients", "load", "backends", "classes"])?;
    let mut world = World::default();
    table.read("deadline", &mut world.deadline, Value::time)?;
    table.read("network", &mut world.network, Value::time)?;
    table.read("clients", &mut world.clients, |clients| clients.whole(&validate::CLIENTS))?;
    table.read("load", &mut world.load, |value| load(&value.table()?))?;
    table.read("backends", &mut world.backends, |value| backends(&value.array()?))?;
    table.read("classes", &mut world.classes, |classes| classes.array()?.each(|value| class(&value.table()?)))?;
    Ok(world)
}

fn load(table: &Table<'_>) -> Result<Load, StormError> {
    table.only(["rate", "trace", "users", "think"])?;
    match table.first() {
        Some("rate") => {
            table.only_of("a load of a `rate`", &["rate"])?;
            Ok(Load::Poisson { rate: table.required("rate")?.number()? })
        }
        Some("trace") => {
            table.only_of("a load of a `trace`", &["trace"])?;
            Ok(Load::Trace(table.required("trace")?.array()?.each(|time| time.time())?))
        }
        Some(_) => {
            table.only_of("a load of `users`", &["users", "think"])?;
            let users = table.required("users")?.whole(&validate::USERS)?;
            Ok(Load::Closed { users, think: table.required("think")?.time()? })
        }
        None => Err(table.error("is empty; expected `rate`, or `trace`, or `users` and `think`")),
    }
}

fn backends(array: &Array<'_>) -> Result<Vec<Backend>, StormError> {
    let mut backends = Vec::new();
    for at in 0..array.len() {
        let table = array.get(at, backends.len()).table()?;
        let left = MOST_BACKENDS - backends.len();
        if left == 0 {
            return Err(table.error(format!("is one too many; allowed: {MOST_BACKENDS} backends")));
        }
        table.only(["count", "workers", "queue", "service", "standby"])?;
        let mut backend = Backend::default();
        table.read("workers", &mut backend.workers, |workers| workers.whole(&validate::WORKERS))?;
        table.read("queue", &mut backend.queue, |queue| queue.whole(&validate::QUEUE))?;
        table.read("service", &mut backend.service, |value| service(&value.table()?))?;
        table.read("standby", &mut backend.standby, Value::yes)?;
        let mut count = 1;
        table.read("count", &mut count, |count| count.whole(&(1..=left)))?;
        backends.extend(std::iter::repeat_n(backend, count));
    }
    Ok(backends)
}

fn service(table: &Table<'_>) -> Result<ServiceTime, StormError> {
    table.only(["mean", "sigma", "fixed", "exponential", "recorded"])?;
    match table.first() {
        Some("fixed") => {
            table.only_of("a `fixed` time", &["fixed"])?;
            Ok(ServiceTime::Fixed(table.required("fixed")?.time()?))
        }
        Some("exponential") => {
            table.only_of("`exponential` times", &["exponential"])?;
            Ok(ServiceTime::Exponential { mean: table.required("exponential")?.time()? })
        }
        Some("recorded") => {
            table.only_of("`recorded` times", &["recorded"])?;
            let times = table.required("recorded")?.array()?.each(|pair| {
                let values = pair.array()?;
                if values.len() != 2 {
                    return Err(pair.error("expected a time, and how often it was seen"));
                }
                Ok((values.get(0, 0).time()?, values.get(1, 1).whole(&(0..=u64::MAX))?))
            })?;
            Ok(ServiceTime::Recorded(times))
        }
        Some(_) => {
            table.only_of("lognormal times", &["mean", "sigma"])?;
            let (mut mean, mut sigma) = (Duration::from_millis(20), 0.5);
            table.read("mean", &mut mean, Value::time)?;
            table.read("sigma", &mut sigma, Value::number)?;
            Ok(ServiceTime::LogNormal { mean, sigma })
        }
        None => Err(table.error("is empty; expected `mean` and `sigma`, or `fixed`, `exponential` or `recorded`")),
    }
}

fn class(table: &Table<'_>) -> Result<Class, StormError> {
    table.only(["name", "share", "priority", "deadline", "work", "idempotent"])?;
    let mut class = Class::default();
    table.read("name", &mut class.name, |name| Ok(name.text()?.to_owned()))?;
    table.read("share", &mut class.share, Value::number)?;
    table.read("priority", &mut class.priority, |priority| priority.whole(&(0..=u8::MAX)))?;
    table.read("deadline", &mut class.deadline, |deadline| deadline.time().map(Some))?;
    table.read("work", &mut class.work, Value::number)?;
    table.read("idempotent", &mut class.idempotent, Value::yes)?;
    Ok(class)
}

fn fault(table: &Table<'_>) -> Result<Fault, StormError> {
    let own = KINDS.iter().flat_map(|(_, fields)| fields.iter().copied());
    table.only(["kind", "at", "lasts"].into_iter().chain(own))?;
    let kind = table.required("kind")?;
    let name = kind.text()?;
    let Some((name, own)) = KINDS.iter().find(|(known, _)| *known == name) else {
        let known = KINDS.iter().map(|(known, _)| *known);
        return Err(kind.error(match names::nearest(name, known.clone()) {
            Some(nearest) => format!("is {name:?}; did you mean `{nearest}`?"),
            None => format!("is {name:?}; there are {}", names::list(known)),
        }));
    };
    let fields: Vec<_> = ["kind", "at", "lasts"].iter().chain(*own).copied().collect();
    table.only_of(&format!("`{name}`"), &fields)?;
    let number = |name| table.required(name)?.number();
    let kind = match *name {
        "refuse" => FaultKind::Refuse,
        "swallow" => FaultKind::Swallow,
        "fail" => FaultKind::Fail { share: number("share")? },
        "fail_at_once" => FaultKind::FailAtOnce { share: number("share")? },
        "slow" => FaultKind::Slow { factor: number("factor")? },
        "cold" => FaultKind::Cold {
            factor: number("factor")?,
            completions: table.required("completions")?.whole(&validate::COMPLETIONS)?,
        },
        "stragglers" => FaultKind::Stragglers { share: number("share")?, factor: number("factor")? },
        "latency" => FaultKind::Latency { extra: table.required("extra")?.time()? },
        "load" => FaultKind::Load { factor: number("factor")? },
        "invalid" => FaultKind::Invalid { share: number("share")? },
        _ => FaultKind::Failover {
            promoted_after: table.required("promoted_after")?.time()?,
            name_follows_within: table.required("name_follows_within")?.time()?,
        },
    };
    let at = table.required("at")?.time()?;
    let lasts = match kind {
        FaultKind::Failover { .. } if table.get("lasts").is_none() => Duration::MAX,
        _ => table.required("lasts")?.time_or_forever()?,
    };
    let mut backends = Vec::new();
    table.read("backends", &mut backends, |value| value.array()?.each(|backend| backend.whole(&(0..=usize::MAX))))?;
    Ok(Fault { kind, at, lasts, backends })
}
