//! What is wrong with what was given: where, which field, and what would be right.

use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The file, or the name of what is built in; empty for the command line.
    pub(crate) source: String,
    /// From 1; 0 is no line.
    pub(crate) line: usize,
    pub(crate) field: String,
    pub(crate) what: String,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self { source: String::new(), line: 0, field: field.into(), what: what.into() }
    }

    pub(crate) fn at(mut self, line: usize) -> Self {
        self.line = line;
        self
    }

    pub(crate) fn of(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.source.as_str(), self.line) {
            ("", 0) => {}
            ("", line) => write!(f, "line {line}: ")?,
            (source, 0) => write!(f, "{source}: ")?,
            (source, line) => write!(f, "{source}, line {line}: ")?,
        }
        if !self.field.is_empty() {
            write!(f, "`{}`: ", self.field)?;
        }
        f.write_str(&self.what)
    }
}

impl std::error::Error for Problem {}

/// `; did you mean ...?` or the names there are.
pub(crate) fn instead(given: &str, known: &[&str]) -> String {
    match nearest(given, known) {
        Some(name) => format!("; did you mean `{name}`?"),
        None => format!("; there are: {}", known.join(", ")),
    }
}

/// The known name that is the fewest edits away, if they are few.
fn nearest<'a>(given: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = known.iter().map(|name| (strsim::levenshtein(given, name), *name)).min()?;
    (near.0 <= 1 + given.len() / 3).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_if_it_is_near() {
        let known = ["max_attempts", "budget", "backoff"];
        assert_eq!(instead("max_atempt", &known), "; did you mean `max_attempts`?");
        assert_eq!(instead("bugdet", &known), "; did you mean `budget`?");
        assert_eq!(instead("xyz", &known), "; there are: max_attempts, budget, backoff");
    }
}
