//! Scenarios as text.

use std::{
    fmt::{self, Display, Write},
    time::Duration,
};

use super::time;
use crate::storm::{Backend, Class, Fault, FaultKind, Load, Scenario, ServiceTime, World};

pub(super) fn scenario(scenario: &Scenario) -> String {
    let mut toml = format!("name = {}\n", Text(&scenario.name));
    line(&mut toml, "from", Time(scenario.window.start));
    line(&mut toml, "until", Time(scenario.window.end));
    if let Some(over) = scenario.over {
        line(&mut toml, "over", Time(over));
    }
    // Without tables there could be no fields after it.
    toml.push_str("\n[world]\n");
    toml.push_str(&world(&scenario.world, "world."));
    for one in &scenario.faults {
        fault(&mut toml, one);
    }
    toml
}

/// The tables in it are called after `prefix`.
pub(super) fn world(world: &World, prefix: &str) -> String {
    let mut toml = String::new();
    line(&mut toml, "deadline", Time(world.deadline));
    line(&mut toml, "network", Time(world.network));
    line(&mut toml, "clients", world.clients);
    line(&mut toml, "load", Loaded(&world.load));
    for alike in world.backends.chunk_by(|one, other| one == other) {
        let Backend { workers, queue, service, standby } = &alike[0];
        title(&mut toml, format_args!("{prefix}backends"));
        line(&mut toml, "count", alike.len());
        line(&mut toml, "workers", workers);
        line(&mut toml, "queue", queue);
        line(&mut toml, "service", Service(service));
        line(&mut toml, "standby", standby);
    }
    for Class { name, share, priority, deadline, work, idempotent } in &world.classes {
        title(&mut toml, format_args!("{prefix}classes"));
        line(&mut toml, "name", Text(name));
        line(&mut toml, "share", Float(*share));
        line(&mut toml, "priority", priority);
        if let Some(deadline) = deadline {
            line(&mut toml, "deadline", Time(*deadline));
        }
        line(&mut toml, "work", Float(*work));
        line(&mut toml, "idempotent", idempotent);
    }
    toml
}

fn fault(toml: &mut String, fault: &Fault) {
    title(toml, format_args!("faults"));
    let mut kind = |kind| line(toml, "kind", Text(kind));
    match fault.kind {
        FaultKind::Refuse => kind("refuse"),
        FaultKind::Swallow => kind("swallow"),
        FaultKind::Fail { share } => {
            kind("fail");
            line(toml, "share", Float(share));
        }
        FaultKind::FailAtOnce { share } => {
            kind("fail_at_once");
            line(toml, "share", Float(share));
        }
        FaultKind::Slow { factor } => {
            kind("slow");
            line(toml, "factor", Float(factor));
        }
        FaultKind::Cold { factor, completions } => {
            kind("cold");
            line(toml, "factor", Float(factor));
            line(toml, "completions", completions);
        }
        FaultKind::Stragglers { share, factor } => {
            kind("stragglers");
            line(toml, "share", Float(share));
            line(toml, "factor", Float(factor));
        }
        FaultKind::Latency { extra } => {
            kind("latency");
            line(toml, "extra", Time(extra));
        }
        FaultKind::Load { factor } => {
            kind("load");
            line(toml, "factor", Float(factor));
        }
        FaultKind::Invalid { share } => {
            kind("invalid");
            line(toml, "share", Float(share));
        }
        FaultKind::Failover { promoted_after, name_follows_within } => {
            kind("failover");
            line(toml, "promoted_after", Time(promoted_after));
            line(toml, "name_follows_within", Time(name_follows_within));
        }
    }
    line(toml, "at", Time(fault.at));
    line(toml, "lasts", Time(fault.lasts));
    if !fault.backends.is_empty() {
        let _ = writeln!(toml, "backends = {:?}", fault.backends);
    }
}

fn line(toml: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(toml, "{name} = {value}");
}

fn title(toml: &mut String, name: fmt::Arguments<'_>) {
    let _ = write!(toml, "\n[[{name}]]\n");
}

struct Time(Duration);

impl Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == Duration::MAX { f.write_str("\"forever\"") } else { write!(f, "\"{}\"", time::write(self.0)) }
    }
}

/// With a point or an exponent, and as many digits as it takes to read the same number.
struct Float(f64);

impl Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for char in self.0.chars() {
            match char {
                '"' | '\\' => write!(f, "\\{char}")?,
                char if char.is_control() => write!(f, "\\u{:04X}", u32::from(char))?,
                char => f.write_char(char)?,
            }
        }
        f.write_char('"')
    }
}

struct Loaded<'a>(&'a Load);

impl Display for Loaded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Load::Poisson { rate } => write!(f, "{{ rate = {} }}", Float(*rate)),
            Load::Trace(times) => {
                f.write_str("{ trace = [")?;
                list(f, times.iter().map(|time| Time(*time)))?;
                f.write_str("] }")
            }
            Load::Closed { users, think } => write!(f, "{{ users = {users}, think = {} }}", Time(*think)),
        }
    }
}

struct Service<'a>(&'a ServiceTime);

impl Display for Service<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ServiceTime::Fixed(time) => write!(f, "{{ fixed = {} }}", Time(*time)),
            ServiceTime::Exponential { mean } => write!(f, "{{ exponential = {} }}", Time(*mean)),
            ServiceTime::LogNormal { mean, sigma } => {
                write!(f, "{{ mean = {}, sigma = {} }}", Time(*mean), Float(*sigma))
            }
            ServiceTime::Recorded(times) => {
                f.write_str("{ recorded = [")?;
                list(f, times.iter().map(|(time, calls)| format!("[{}, {calls}]", Time(*time))))?;
                f.write_str("] }")
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: impl IntoIterator<Item = impl Display>) -> fmt::Result {
    for (at, item) in items.into_iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}
