//! What a suite must reach: `min>=50`, `geomean>=80`, `gray>=90`, `naive:steady>=99`.

use std::{fmt, str::FromStr};

use crate::{
    figures::{Row, Summary},
    problem::{Problem, instead},
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Requirement {
    /// `None`: of every stack.
    pub(crate) stack: Option<String>,
    pub(crate) figure: String,
    pub(crate) least: f64,
}

impl FromStr for Requirement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let usage = "a requirement is min>=X, geomean>=X or SCENARIO>=X, with STACK: before it for one stack only";
        let (figure, least) = text.split_once(">=").ok_or(usage)?;
        let least: f64 = least.trim().parse().map_err(|_| format!("`{}` is no number; {usage}", least.trim()))?;
        let (stack, figure) = match figure.trim().split_once(':') {
            Some((stack, figure)) => (Some(stack.to_owned()), figure),
            None => (None, figure.trim()),
        };
        if figure.is_empty() || !least.is_finite() {
            return Err(usage.into());
        }
        Ok(Self { stack, figure: figure.to_owned(), least })
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(stack) = &self.stack {
            write!(f, "{stack}:")?;
        }
        write!(f, "{}>={}", self.figure, self.least)
    }
}

impl Requirement {
    /// That there will be such a figure; before hundreds of runs, and not after them.
    pub(crate) fn check(&self, stacks: &[&str], scenarios: &[&str]) -> Result<(), Problem> {
        let wrong = |what: String| Err(Problem::new(self.to_string(), what).of("--require"));
        if let Some(stack) = self.stack.as_deref().filter(|stack| !stacks.contains(stack)) {
            return wrong(format!("there is no stack `{stack}` in this suite{}", instead(stack, stacks)));
        }
        let figures: Vec<_> = ["min", "geomean"].into_iter().chain(scenarios.iter().copied()).collect();
        if figures.contains(&self.figure.as_str()) {
            return Ok(());
        }
        wrong(format!("there is no figure `{}` in this suite{}", self.figure, instead(&self.figure, &figures)))
    }

    /// What was missed, by one stack. Figures count as they are shown: with one digit behind the point.
    pub(crate) fn missed(&self, stack: &str, rows: &[&Row], summary: Summary) -> Option<String> {
        if self.stack.as_deref().is_some_and(|named| named != stack) {
            return None;
        }
        let figure = match self.figure.as_str() {
            "min" => summary.min,
            "geomean" => summary.geomean,
            name => rows.iter().find(|row| row.scenario == name)?.goodput,
        };
        let shown = (figure * 10.0).round() / 10.0;
        (shown < self.least).then(|| format!("{stack}: {} is {shown:.1}, and not >= {}", self.figure, self.least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_read() {
        let parsed: Requirement = "naive:gray >= 90.5".parse().unwrap();
        assert_eq!(parsed, Requirement { stack: Some("naive".into()), figure: "gray".into(), least: 90.5 });
        assert_eq!("min>=50".parse::<Requirement>().unwrap().to_string(), "min>=50");
        for wrong in ["min", "min>50", "min>=x", ">=5", "min>=NaN"] {
            assert!(wrong.parse::<Requirement>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_before_the_runs() {
        let check = |text: &str| text.parse::<Requirement>().unwrap().check(&["naive"], &["gray", "steady"]);
        for good in ["min>=1", "geomean>=1", "gray>=1", "naive:steady>=1"] {
            check(good).unwrap();
        }
        let problem = check("grey>=1").unwrap_err().to_string();
        assert!(problem.contains("did you mean `gray`?"), "{problem}");
        assert!(check("none:min>=1").is_err());
    }

    #[test]
    fn a_miss_is_named_with_stack_and_figure() {
        let summary = Summary { min: 49.96, geomean: 70.0 };
        let missed = |text: &str| text.parse::<Requirement>().unwrap().missed("naive", &[], summary);
        assert_eq!(missed("min>=50"), None, "as shown");
        assert_eq!(missed("min>=50.1").unwrap(), "naive: min is 50.0, and not >= 50.1");
        assert_eq!(missed("none:min>=60"), None, "another stack's");
        assert_eq!(missed("geomean>=70.5").unwrap(), "naive: geomean is 70.0, and not >= 70.5");
    }
}
