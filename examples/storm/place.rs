//! Where a dotted path leads in a scenario: `world.load.rate`, `faults.0.factor`, `world.backends.*.workers`.

use std::time::Duration;

use steadfast::storm::{Backend, Class, Fault, FaultKind, Load, Scenario, ServiceTime};

use crate::{
    knob::Amount,
    problem::{Problem, instead},
};

/// What is there.
#[derive(Debug)]
enum Place<'a> {
    Span(&'a mut Duration),
    MaybeSpan(&'a mut Option<Duration>),
    Whole(&'a mut u32),
    Large(&'a mut u64),
    Byte(&'a mut u8),
    Number(&'a mut f64),
}

/// The first words of paths that lead into a scenario and not into a stack.
const ROOTS: [&str; 5] = ["world", "faults", "from", "until", "over"];

pub(crate) fn is_in_scenario(path: &str) -> bool {
    ROOTS.contains(&path.split('.').next().unwrap_or_default())
}

/// Changes what is there; everywhere, if a `*` stands for a number.
pub(crate) fn set(scenario: &mut Scenario, path: &str, amount: Amount) -> Result<(), Problem> {
    let (name, keys) = (scenario.name.clone(), path.split('.').collect::<Vec<_>>());
    let places = places(scenario, &keys).map_err(|what| Problem::new(path, what).of(&name))?;
    for place in places {
        place.set(amount).map_err(|wants| Problem::new(path, format!("is {amount}; it must be {wants}")).of(&name))?;
    }
    scenario.check().map_err(|error| Problem::new(path, format!("cannot be {amount}: {error}")).of(&name))
}

/// What is there; the first, if a `*` stands for a number.
pub(crate) fn get(scenario: &Scenario, path: &str) -> Result<Option<Amount>, Problem> {
    let mut scenario = scenario.clone();
    let name = scenario.name.clone();
    let places = places(&mut scenario, &path.split('.').collect::<Vec<_>>());
    let places = places.map_err(|what| Problem::new(path, what).of(&name))?;
    Ok(places.first().and_then(Place::get))
}

type Places<'a> = Result<Vec<Place<'a>>, String>;

fn places<'a>(scenario: &'a mut Scenario, path: &[&str]) -> Places<'a> {
    let world = &mut scenario.world;
    match path {
        ["from"] => Ok(vec![Place::Span(&mut scenario.window.start)]),
        ["until"] => Ok(vec![Place::Span(&mut scenario.window.end)]),
        ["over"] => Ok(vec![Place::MaybeSpan(&mut scenario.over)]),
        ["faults", which, rest @ ..] => each(&mut scenario.faults, "faults", which, |it| fault(it, rest)),
        ["world", "deadline"] => Ok(vec![Place::Span(&mut world.deadline)]),
        ["world", "network"] => Ok(vec![Place::Span(&mut world.network)]),
        ["world", "clients"] => Ok(vec![Place::Whole(&mut world.clients)]),
        ["world", "load", rest @ ..] => load(&mut world.load, rest).map(|place| vec![place]),
        ["world", "backends", which, rest @ ..] => each(&mut world.backends, "backends", which, |it| backend(it, rest)),
        ["world", "classes", which, rest @ ..] => each(&mut world.classes, "classes", which, |it| class(it, rest)),
        ["world", other, ..] => Err(unknown(other, &["deadline", "network", "clients", "load", "backends", "classes"])),
        _ => Err("names no figure of a scenario, such as world.load.rate or faults.0.factor".into()),
    }
}

fn unknown(key: &str, known: &[&str]) -> String {
    format!("there is no `{key}`{}", instead(key, known))
}

fn each<'a, T>(
    all: &'a mut [T],
    what: &str,
    which: &str,
    place: impl Fn(&'a mut T) -> Result<Place<'a>, String>,
) -> Places<'a> {
    let (number, mut found) = (all.len(), Vec::new());
    for (at, one) in all.iter_mut().enumerate() {
        if which == "*" || which.parse() == Ok(at) {
            found.push(place(one)?);
        }
    }
    if found.is_empty() {
        return Err(format!("there is no number {which} of {what}; there are {number}, from 0, and `*` for all"));
    }
    Ok(found)
}

fn load<'a>(load: &'a mut Load, path: &[&str]) -> Result<Place<'a>, String> {
    match (load, path) {
        (Load::Poisson { rate }, ["rate"]) => Ok(Place::Number(rate)),
        (Load::Closed { users, .. }, ["users"]) => Ok(Place::Whole(users)),
        (Load::Closed { think, .. }, ["think"]) => Ok(Place::Span(think)),
        (Load::Poisson { .. }, _) => Err("this load has a `rate` only".into()),
        (Load::Closed { .. }, _) => Err("this load has `users` and `think`".into()),
        _ => Err("this load has no figure that could be changed".into()),
    }
}

fn backend<'a>(backend: &'a mut Backend, path: &[&str]) -> Result<Place<'a>, String> {
    match (path, &mut backend.service) {
        (["workers"], _) => Ok(Place::Whole(&mut backend.workers)),
        (["queue"], _) => Ok(Place::Whole(&mut backend.queue)),
        (
            ["service", "mean"],
            ServiceTime::Fixed(mean) | ServiceTime::Exponential { mean } | ServiceTime::LogNormal { mean, .. },
        ) => Ok(Place::Span(mean)),
        (["service", "fixed"], ServiceTime::Fixed(time)) => Ok(Place::Span(time)),
        (["service", "exponential"], ServiceTime::Exponential { mean }) => Ok(Place::Span(mean)),
        (["service", "sigma"], ServiceTime::LogNormal { sigma, .. }) => Ok(Place::Number(sigma)),
        (["service", ..], _) => Err("a lognormal service time has `service.mean` and `service.sigma`".into()),
        _ => Err(unknown(&path.join("."), &["workers", "queue", "service.mean", "service.sigma"])),
    }
}

fn class<'a>(class: &'a mut Class, path: &[&str]) -> Result<Place<'a>, String> {
    match path {
        ["share"] => Ok(Place::Number(&mut class.share)),
        ["work"] => Ok(Place::Number(&mut class.work)),
        ["priority"] => Ok(Place::Byte(&mut class.priority)),
        ["deadline"] => Ok(Place::MaybeSpan(&mut class.deadline)),
        _ => Err(unknown(&path.join("."), &["share", "work", "priority", "deadline"])),
    }
}

fn fault<'a>(fault: &'a mut Fault, path: &[&str]) -> Result<Place<'a>, String> {
    use FaultKind as Kind;
    match (path, &mut fault.kind) {
        (["at"], _) => Ok(Place::Span(&mut fault.at)),
        (["lasts"], _) => Ok(Place::Span(&mut fault.lasts)),
        (
            ["share"],
            Kind::Fail { share }
            | Kind::FailAtOnce { share }
            | Kind::Invalid { share }
            | Kind::Stragglers { share, .. },
        ) => Ok(Place::Number(share)),
        (
            ["factor"],
            Kind::Slow { factor } | Kind::Load { factor } | Kind::Cold { factor, .. } | Kind::Stragglers { factor, .. },
        ) => Ok(Place::Number(factor)),
        (["completions"], Kind::Cold { completions, .. }) => Ok(Place::Large(completions)),
        (["extra"], Kind::Latency { extra }) => Ok(Place::Span(extra)),
        (["promoted_after"], Kind::Failover { promoted_after, .. }) => Ok(Place::Span(promoted_after)),
        (["name_follows_within"], Kind::Failover { name_follows_within, .. }) => Ok(Place::Span(name_follows_within)),
        (_, kind) => Err(format!("there is no `{}` in {kind:?}, but `at` and `lasts`", path.join("."))),
    }
}

impl Place<'_> {
    fn set(self, amount: Amount) -> Result<(), &'static str> {
        match (self, amount) {
            (Self::Span(place), Amount::Span(span)) => *place = span,
            (Self::MaybeSpan(place), Amount::Span(span)) => *place = Some(span),
            (Self::Span(_) | Self::MaybeSpan(_), _) => return Err("a duration"),
            (Self::Number(place), Amount::Whole(_) | Amount::Number(_)) => *place = amount.number(),
            (Self::Number(_), _) => return Err("a number"),
            (Self::Whole(place), Amount::Whole(whole)) => {
                *place = whole.try_into().map_err(|_| "smaller, and not below 0")?
            }
            (Self::Large(place), Amount::Whole(whole)) => *place = whole.try_into().map_err(|_| "0 or more")?,
            (Self::Byte(place), Amount::Whole(whole)) => *place = whole.try_into().map_err(|_| "0 to 255")?,
            _ => return Err("a whole number"),
        }
        Ok(())
    }

    fn get(&self) -> Option<Amount> {
        match self {
            Self::Span(span) => Some(Amount::Span(**span)),
            Self::MaybeSpan(span) => span.map(Amount::Span),
            Self::Whole(whole) => Some(Amount::Whole(i64::from(**whole))),
            Self::Large(whole) => i64::try_from(**whole).ok().map(Amount::Whole),
            Self::Byte(whole) => Some(Amount::Whole(i64::from(**whole))),
            Self::Number(number) => Some(Amount::Number(**number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_figures_of_a_scenario() {
        let mut scenario = Scenario::named("gray").unwrap();
        for (path, given) in [
            ("world.load.rate", "800"),
            ("world.clients", "5"),
            ("world.deadline", "500ms"),
            ("world.backends.*.workers", "8"),
            ("world.backends.2.service.sigma", "0.75"),
            ("world.classes.0.deadline", "2s"),
            ("faults.0.factor", "2.5"),
            ("faults.0.lasts", "5s"),
            ("until", "50s"),
        ] {
            let amount = Amount::parse(given).unwrap();
            set(&mut scenario, path, amount).unwrap();
            assert_eq!(get(&scenario, path).unwrap().unwrap().number(), amount.number(), "{path}");
            assert!(is_in_scenario(path));
        }
        assert!(scenario.world.backends.iter().all(|backend| backend.workers == 8));
        assert!(!is_in_scenario("retry.max_attempts"));
    }

    #[test]
    fn a_path_that_leads_nowhere_says_so() {
        for (path, given, why) in [
            ("world.lod.rate", "1", "did you mean `load`?"),
            ("world.load.users", "1", "has a `rate` only"),
            ("world.backends.9.workers", "1", "there are 5, from 0"),
            ("faults.0.share", "0.5", "there is no `share` in Slow"),
            ("world.clients", "1.5", "it must be a whole number"),
            ("world.deadline", "3", "it must be a duration"),
            ("world.clients", "0", "allowed: 1 to 10000"),
        ] {
            let mut scenario = Scenario::named("gray").unwrap();
            let problem = set(&mut scenario, path, Amount::parse(given).unwrap()).unwrap_err().to_string();
            assert!(problem.starts_with("gray: `") && problem.contains(why), "{problem}");
        }
    }
}
